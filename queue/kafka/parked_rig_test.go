package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// keeper is a worker that only serves parked records: a lane takes them if alive says
// so, and its gate is what gate says.
type keeper struct {
	*testing.T
	parked *kafka.Parked
	end    context.CancelCauseFunc
	done   chan error
	logs   *observer.ObservedLogs
	bytes  atomic.Int64

	mu      sync.Mutex
	gates   map[string]queue.Gate // by lane's project; GateShut without one
	dead    map[string]bool       // of projects whose gate is not shut and that take nothing all the same
	slow    map[string]bool       // of projects whose records are held, neither taken nor refused
	lateAck bool                  // they are taken when the strand ends
	holding []*queue.Delivery
	took    []queue.Message
	tries   map[string]int // records handed out, by project
	strands map[string]queue.Strand
	asked   map[string]int // gates asked for, by project
}

func newKeeper(t *testing.T, client *wire.Client, cfg *kafka.Config, with ...func(*kafka.Options)) *keeper {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	opt := kafka.Options{Log: zap.New(core), Drain: 5 * time.Second}
	for _, f := range with {
		f(&opt)
	}
	p, err := kafka.OpenParked(t.Context(), client, cfg, opt)
	if err != nil {
		t.Fatal(err)
	}
	return &keeper{
		T: t, parked: p, logs: logs, done: make(chan error, 1), gates: map[string]queue.Gate{}, dead: map[string]bool{}, slow: map[string]bool{},
		tries: map[string]int{}, strands: map[string]queue.Strand{}, asked: map[string]int{},
	}
}

// serve begins to serve.
func (k *keeper) serve() {
	ctx, end := context.WithCancelCause(context.Background())
	k.end = end
	go func() { k.done <- k.parked.Run(ctx, k) }()
	k.Cleanup(func() {
		end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
		tellLogs(k.T, k.logs)
	})
}

// stop ends it in order and checks that every byte came back.
func (k *keeper) stop() {
	k.Helper()
	k.end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
	select {
	case err := <-k.done:
		if err != nil {
			k.Errorf("run returned %v", err)
		}
	case <-time.After(within):
		k.Fatal("run did not return")
	}
	if n := k.bytes.Load(); n != 0 {
		k.Errorf("%d bytes were never given back", n)
	}
}

func (k *keeper) set(project string, g queue.Gate) {
	k.mu.Lock()
	k.gates[project] = g
	k.mu.Unlock()
	k.parked.Look(laneOf(project))
}

// refuses has lanes take nothing, or take all again.
func (k *keeper) refuses(all bool, projects ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, project := range projects {
		k.dead[project] = all
	}
}

// letGo settles what slow lanes hold; none holds anything from now on.
func (k *keeper) letGo() {
	k.mu.Lock()
	holding := k.holding
	k.holding, k.slow = nil, map[string]bool{}
	k.mu.Unlock()
	for _, d := range holding {
		d.Ack()
		d.Free()
	}
}

// drains opens a lane and waits until all n records of it were taken, each once.
func (k *keeper) drains(project string, n int) {
	k.Helper()
	k.set(project, queue.GateOpen)
	eventually(k.T, project+" being drained", func() bool { return k.count(project) >= n })
	if got := k.count(project); got != n {
		k.Errorf("%d records of %s were taken, want %d", got, project, n)
	}
}

// unmoved expects that a log ends where it did: nothing was put again.
func (k *keeper) unmoved(b *kafkabroker.Cluster, topic string, end int64) {
	k.Helper()
	if got := b.Ends(k.T, topic)[0]; got != end {
		k.Errorf("the log ends at %d, want %d: records were put again for nobody", got, end)
	}
}

func (k *keeper) count(project string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for i := range k.took {
		if p, _ := k.took[i].Header("x-log-project"); p == project {
			n++
		}
	}
	return n
}

func (k *keeper) times(m map[string]int, project string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return m[project]
}

// Gate implements queue.ParkedHost.
func (k *keeper) Gate(lane queue.Lane) queue.Gate {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked[lane.Project]++
	g, ok := k.gates[lane.Project]
	if !ok {
		return queue.GateShut
	}
	return g
}

// Serve implements queue.Host.
func (k *keeper) Serve(ctx context.Context, s queue.Strand) error {
	if !s.Info().Parked || s.Info().Source != "kafka_parked" {
		k.Errorf("strand %+v is none of parked records", s.Info())
	}
	k.mu.Lock()
	k.strands[s.Info().Name] = s
	k.mu.Unlock()
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: 64, Bytes: 1 << 20})
		for _, d := range ds {
			k.handle(d)
		}
		if ctx.Err() != nil {
			k.mu.Lock()
			holding, settle := k.holding, (*queue.Delivery).Release
			if k.lateAck {
				settle = (*queue.Delivery).Ack
			}
			k.holding = nil
			delete(k.strands, s.Info().Name)
			k.mu.Unlock()
			for _, d := range holding {
				settle(d)
				d.Free()
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (k *keeper) handle(d *queue.Delivery) {
	project, _ := d.Message().Header("x-log-project")
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tries[project]++
	switch {
	case k.slow[project]:
		k.holding = append(k.holding, d)
		return
	case k.dead[project] || k.gates[project] <= queue.GateShut:
		d.Defer()
	default:
		m := *d.Message()
		m.Value = append([]byte(nil), m.Value...)
		k.took = append(k.took, m)
		d.Ack()
	}
	d.Free()
}

// Take implements queue.Host.
func (k *keeper) Take(_ context.Context, least, most int64) (int64, error) {
	n := max(least, most)
	k.bytes.Add(n)
	return n, nil
}

// Give implements queue.Host.
func (k *keeper) Give(n int64) { k.bytes.Add(-n) }

// Charge implements queue.Host.
func (k *keeper) Charge(n int64) { k.bytes.Add(n) }

func laneOf(project string) queue.Lane {
	return queue.Lane{Route: "shop", Flusher: "es", Project: project, Logstore: "l", Config: "c"}
}

// parkedRecord is the n-th record of a lane, read from partition 0 of a topic.
func parkedRecord(cfg *kafka.Config, project string, n int) queue.Message {
	lane := laneOf(project)
	return queue.Message{
		Subject: lane.String(), Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "%s/%05d", project, n),
		Headers: []queue.Header{
			{Key: "x-log-project", Value: project},
			{Key: "x-log-logstore", Value: "l"},
			{Key: "x-log-config", Value: "c"},
			{Key: queue.HeaderTo, Value: cfg.Group + "/" + lane.Entry()},
			{Key: queue.HeaderOrigin, Value: fmt.Sprintf("%032x", n+1)},
			{Key: queue.HeaderMoves, Value: "0"},
			{Key: queue.HeaderSource, Value: "kafka " + cfg.Topics[0] + "[0] " + strconv.Itoa(n)},
		},
	}
}

// park puts records of a lane.
func (k *keeper) park(cfg *kafka.Config, project string, from, to int) {
	k.Helper()
	var ms []queue.Message
	for n := from; n < to; n++ {
		ms = append(ms, parkedRecord(cfg, project, n))
	}
	if errs := k.parked.Put(k.Context(), ms); errs != nil {
		k.Fatal(errors.Join(errs...))
	}
}

func (k *keeper) prepare(entries ...queue.Lane) {
	k.Helper()
	if len(entries) == 0 {
		entries = []queue.Lane{laneOf("")}
	}
	if err := k.parked.Prepare(k.Context(), entries); err != nil {
		k.Fatal(err)
	}
}

// parking is a topic of the shared broker with its parked companion, and who serves it.
func parking(t *testing.T, name string, partitions int) (*kafkabroker.Cluster, *kafka.Config, *keeper, string) {
	t.Helper()
	b := kafkabroker.Shared(t)
	topic := fresh(name)
	b.CreateTopic(t, topic, partitions, 1, nil)
	cfg := quick(reading(b.Bootstrap(), topic))
	cfg.Group = fresh("g") // members of one group wait for each other
	k := newKeeper(t, connect(t, cfg), cfg)
	k.prepare()
	return b, cfg, k, topic + "." + cfg.Group + ".parked.shop.es"
}

func quick(cfg *kafka.Config) *kafka.Config {
	cfg.Session, cfg.Heartbeat = 6*time.Second, 200*time.Millisecond
	cfg.Commit.Every = 50 * time.Millisecond
	return cfg
}

// empties waits until the log of a topic holds nothing any more.
func empties(t *testing.T, b *kafkabroker.Cluster, topic string) {
	t.Helper()
	eventually(t, topic+" being empty", func() bool {
		starts, ends := b.Starts(t, topic), b.Ends(t, topic)
		for p, end := range ends {
			if starts[p] != end {
				return false
			}
		}
		return true
	})
}
