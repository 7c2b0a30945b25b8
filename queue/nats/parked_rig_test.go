package nats_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

const parkedStream = "LOGS_flushline_PARKED"

var roomy = queue.Room{Messages: 1 << 20, Bytes: 1 << 30}

func laneNo(n int) queue.Lane {
	return queue.Lane{Route: "shop", Flusher: "es", Project: "p", Logstore: "l", Config: fmt.Sprintf("c%d", n)}
}

// parkedRig is a broker with a source and what is parked beside it.
type parkedRig struct {
	*broker
	cfg  *nats.Config
	conn *nats.Conn
	log  *zap.Logger
}

func newParkedRig(t *testing.T, b *broker) *parkedRig {
	t.Helper()
	r := &parkedRig{broker: b, cfg: b.config()}
	r.conn = b.connect(r.cfg)
	if _, err := nats.Setup(t.Context(), r.conn, r.cfg, nats.SetupOptions{Parked: true}); err != nil {
		t.Fatal(err)
	}
	return r
}

// open is the companion over a connection of its own, as another pod has it.
func (r *parkedRig) open() *nats.Parked {
	r.Helper()
	p, err := nats.OpenParked(r.Context(), r.connect(r.cfg), r.cfg, r.cfg.List()[0], nats.Options{Name: "nats", Log: r.log})
	if err != nil {
		r.Fatal(err)
	}
	return p
}

// put parks n records for a lane, named <config>-<i>.
func (r *parkedRig) put(p *nats.Parked, lane queue.Lane, n int) {
	r.Helper()
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i] = parkedMessage(lane, fmt.Appendf(nil, "%s-%d", lane.Config, i))
	}
	if errs := p.Put(r.Context(), ms); errs != nil {
		r.Fatal(errs)
	}
}

func parkedMessage(lane queue.Lane, value []byte) queue.Message {
	return queue.Message{Subject: lane.String(), Value: value, Headers: []queue.Header{
		{Key: queue.HeaderTo, Value: "flushline/" + lane.Entry()},
		{Key: queue.HeaderOrigin, Value: "000102030405060708090a0b0c0d0e0f"},
		{Key: "x-log-project", Value: lane.Project},
		{Key: "x-log-logstore", Value: lane.Logstore},
		{Key: "x-log-config", Value: lane.Config},
		{Key: "Nats-Msg-Id", Value: "the producer's"},
	}}
}

// held counts what the companion holds, by lane.
func (r *parkedRig) held() map[string]int64 {
	r.Helper()
	lanes, err := nats.ParkedLanes(r.Context(), r.conn, r.cfg.List()[0])
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]int64{}
	for _, l := range lanes {
		out[l.Lane.String()] += l.Messages
	}
	return out
}

func (r *parkedRig) eventually(what string, is func() bool) {
	r.Helper()
	eventually(r.T, what, is)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within three minutes: %s", what)
		}
	}
}

// parkedPod is a worker as a companion sees it: lanes with gates, and destinations that it
// sees or not.
type parkedPod struct {
	*queuetest.Host
	t *testing.T

	mu      sync.Mutex
	gates   map[string]queue.Gate // without an entry: probe
	down    map[string]bool       // lanes whose destination takes nothing
	got     map[string]int        // deliveries that were taken, by value
	tries   []time.Time           // of what was handed out while its destination was down
	serving map[string]int
	most    int // of strands at once
	keep    bool
	kept    []*queue.Delivery
	infos   map[string]queue.Info
	ends    []queue.Reason
	look    func(*queue.Delivery)
}

func newParkedPod(t *testing.T) *parkedPod {
	return &parkedPod{
		Host: queuetest.NewHost(64 << 20), t: t, gates: map[string]queue.Gate{}, down: map[string]bool{}, got: map[string]int{},
		serving: map[string]int{}, infos: map[string]queue.Info{},
	}
}

// Gate implements queue.ParkedHost.
func (p *parkedPod) Gate(lane queue.Lane) queue.Gate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g, ok := p.gates[lane.String()]; ok {
		return g
	}
	return queue.GateProbe
}

func (p *parkedPod) set(lane queue.Lane, g queue.Gate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gates[lane.String()] = g
}

func (p *parkedPod) fail(lane queue.Lane, down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down[lane.String()] = down
}

// Serve implements queue.Host: what is down is deferred, the rest taken.
func (p *parkedPod) Serve(ctx context.Context, s queue.Strand) error {
	name := s.Info().Name
	p.mu.Lock()
	p.serving[name]++
	p.infos[name] = s.Info()
	n := 0
	for _, k := range p.serving {
		n += k
	}
	p.most = max(p.most, n)
	p.mu.Unlock()
	for {
		ds, err := s.Fetch(ctx, roomy)
		if err != nil {
			break
		}
		for _, d := range ds {
			p.take(name, d)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.kept {
		d.Release()
		d.Free()
	}
	p.kept = nil
	if p.serving[name]--; p.serving[name] == 0 {
		delete(p.serving, name)
	}
	var end *queue.End
	if !errors.As(context.Cause(ctx), &end) {
		p.t.Errorf("strand %s ended by %v", name, context.Cause(ctx))
		return nil
	}
	p.ends = append(p.ends, end.Reason)
	return nil
}

func (p *parkedPod) take(name string, d *queue.Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lane := name[len(parkedStream)+1:]
	if p.look != nil {
		p.look(d)
	}
	switch {
	case p.down[lane]:
		p.tries = append(p.tries, time.Now())
		d.Defer()
	case p.keep:
		p.kept = append(p.kept, d)
		return
	default:
		p.got[string(d.Message().Value)]++
		d.Ack()
	}
	d.Free()
}

func (p *parkedPod) count() (values, deliveries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.got {
		deliveries += n
	}
	return len(p.got), deliveries
}

// run runs a companion against the pod until the returned function ends it.
func (p *parkedPod) run(of *nats.Parked) (stop func()) {
	p.t.Helper()
	ctx, end := context.WithCancelCause(p.t.Context())
	done := make(chan error, 1)
	go func() { done <- of.Run(ctx, p) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
			select {
			case err := <-done:
				if err != nil {
					p.t.Errorf("run returned %v", err)
				}
			case <-time.After(30 * time.Second):
				p.t.Error("run did not return")
				return
			}
			if u := p.Usage(); u.Used != 0 {
				p.t.Errorf("%d bytes were never given back: %+v", u.Used, u)
			}
			if err := p.Err(); err != nil {
				p.t.Error(err)
			}
		})
	}
	p.t.Cleanup(stop)
	return stop
}
