package nats_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

func contains(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// Records of an entry that is gone stay and are reported once; moved to another entry
// they are delivered, chunks and all.
func TestRecordsOfAnUnknownEntryStayUntilTheyAreMoved(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t, func(o *server.Options) { o.MaxPayload = 32 << 10 }))
	core, logs := observer.New(zap.WarnLevel)
	r.log = zap.New(core)
	of := r.open()
	r.put(of, laneNo(1), 150)
	big := noise(1, 100<<10)
	if errs := of.Put(t.Context(), []queue.Message{parkedMessage(laneNo(1), big)}); errs != nil {
		t.Fatal(errs)
	}
	r.put(of, laneNo(2), 5)
	p := newParkedPod(t)
	for _, l := range []queue.Lane{laneNo(1), laneNo(2)} {
		p.set(l, queue.GateUnknown)
	}
	stop := p.run(of)
	r.eventually("it is reported", func() bool { return logs.Len() > 0 })
	to := queue.Lane{Route: "new", Flusher: "os"}
	moved, err := nats.MoveParked(t.Context(), r.conn, r.cfg.List()[0], laneNo(1), to)
	if err != nil || moved != 151 {
		t.Fatalf("moved %d: %v", moved, err)
	}
	p.mu.Lock()
	p.look = func(d *queue.Delivery) {
		m := d.Message()
		v, _ := m.Header(queue.HeaderTo)
		n, _ := m.Header(queue.HeaderMoves)
		was, _ := m.Header("x-flushline-was-nats-msg-id")
		if v != "flushline/new/os" || n != "1" || was != "the producer's" || d.Origin().String() != "000102030405060708090a0b0c0d0e0f" {
			t.Errorf("a moved record goes to %q, moved %q, was %q, origin %s", v, n, was, d.Origin())
		}
	}
	p.mu.Unlock()
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == 151 })
	if p.got[string(big)] != 1 {
		t.Error("the large record did not come back whole")
	}
	stop()
	if n := logs.FilterMessageSnippet("does not have").Len(); n != 1 {
		t.Errorf("the entry was reported %d times: %v", n, logs.All())
	}
	if diff := cmp.Diff(map[string]int64{laneNo(2).String(): 5}, r.held()); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
	n, err := nats.DropParked(t.Context(), r.conn, r.cfg.List()[0], laneNo(2))
	if err != nil || n != 5 || len(r.held()) != 0 {
		t.Errorf("dropped %d: %v", n, err)
	}
	if _, err := nats.MoveParked(t.Context(), r.conn, r.cfg.List()[0], laneNo(2), laneNo(3)); err == nil {
		t.Error("a lane was moved to itself")
	}
}

// A move that ends between the put and the removal has records twice and loses none;
// the next one finishes it.
func TestAMoveThatIsCutShortIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "x"},
			{Username: "some", Password: "x", Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.MSG.DELETE.>"}},
			}},
		}
		o.NoAuthUser = "all"
	}))
	of := r.open()
	r.put(of, laneNo(1), 200)
	limited := *r.cfg
	limited.User, limited.Password = "some", option.NewSecret("x")
	to := queue.Lane{Route: "new", Flusher: "os"}
	moved, err := nats.MoveParked(t.Context(), r.connect(&limited), r.cfg.List()[0], laneNo(1), to)
	if err == nil || !contains(err.Error(), "STREAM.MSG.DELETE") || moved != 0 {
		t.Fatalf("moved %d without the right to remove: %v", moved, err)
	}
	if moved, err = nats.MoveParked(t.Context(), r.conn, r.cfg.List()[0], laneNo(1), to); err != nil || moved != 200 {
		t.Fatalf("moved %d: %v", moved, err)
	}
	to.Project, to.Logstore, to.Config = "p", "l", "c1"
	held := r.held()
	if len(held) != 1 || held[to.String()] < 200 || held[to.String()] > 264 {
		t.Errorf("parked: %v", held)
	}
	p := newParkedPod(t)
	p.set(to, queue.GateOpen)
	stop := p.run(of)
	r.eventually("everything is delivered", func() bool { return len(r.held()) == 0 })
	stop()
	for i := range 200 {
		if p.got[fmt.Sprintf("c1-%d", i)] == 0 {
			t.Fatalf("record %d is lost", i)
		}
	}
}

// Keys that no subject can carry are found by the headers of their records.
func TestLanesWhoseKeyNoSubjectCarries(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	long := laneNo(1)
	long.Config = strings.Repeat("/very/long", 300)
	r.put(of, long, 3)
	lanes, err := of.Lanes(t.Context())
	if err != nil || len(lanes) != 1 || lanes[0].Lane != long || lanes[0].Messages != 3 || lanes[0].Oldest.IsZero() {
		t.Fatalf("lanes: %+v, %v", lanes, err)
	}
	p := newParkedPod(t)
	p.set(long, queue.GateOpen)
	stop := p.run(of)
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == 3 })
	stop()
	if errs := of.Put(t.Context(), []queue.Message{{Subject: "no.lane"}, parkedMessage(long, []byte("x"))}); len(errs) != 2 || errs[0] == nil || errs[1] != nil {
		t.Errorf("a record of no lane: %v", errs)
	}
}

func TestWithoutACompanionNothingIsParked(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	conn := b.connect(b.config())
	one := b.config().List()[0]
	var missing *queue.MissingError
	if _, err := nats.ParkedLanes(t.Context(), conn, one); !errors.As(err, &missing) {
		t.Errorf("lanes: %v", err)
	}
	if _, err := nats.DropParked(t.Context(), conn, one, laneNo(1)); !errors.As(err, &missing) {
		t.Errorf("drop: %v", err)
	}
	if _, err := nats.MoveParked(t.Context(), conn, one, laneNo(1), queue.Lane{Route: "a", Flusher: "b"}); !errors.As(err, &missing) {
		t.Errorf("move: %v", err)
	}
}
