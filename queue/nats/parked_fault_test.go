package nats_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

// The companion is purged, deleted and made anew while it is served: puts fail
// meanwhile, live traffic goes on, and what is parked afterwards is served.
func TestServingSurvivesThePurgeAndTheEndOfTheCompanion(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	js := r.js(r.conn)
	live, err := nats.Open(t.Context(), r.cfg, nats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(live.Close)
	liveHost := queuetest.NewHost(16 << 20)
	ctx, end := context.WithCancelCause(t.Context())
	liveDone := make(chan error, 1)
	go func() { liveDone <- live.Run(ctx, liveHost) }()
	strand, err := liveHost.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	p := newParkedPod(t)
	p.keep = true
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(of)
	r.put(of, laneNo(1), 100)
	kept := func() int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.kept)
	}
	r.eventually("all is out", func() bool { return kept() == 100 })
	s, err := js.Stream(t.Context(), parkedStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the strand of the purged lane ends", func() bool { return kept() == 0 })
	p.mu.Lock()
	p.keep = false
	p.mu.Unlock()
	r.put(of, laneNo(1), 50)
	r.eventually("what came after the purge is delivered", func() bool { n, _ := p.count(); return n == 50 })

	if err := js.DeleteStream(t.Context(), parkedStream); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if errs := of.Put(short, []queue.Message{parkedMessage(laneNo(2), []byte("x"))}); len(errs) != 1 || errs[0] == nil {
		t.Errorf("a put without a companion: %v", errs)
	}
	if err := of.Prepare(t.Context(), []queue.Lane{laneNo(1)}); err != nil {
		t.Fatal(err)
	}
	p.set(laneNo(2), queue.GateOpen)
	r.put(of, laneNo(2), 70)
	r.eventually("what came after the companion was made anew is delivered", func() bool { n, _ := p.count(); return n == 120 })
	stop()
	select {
	case <-strand.Ctx.Done():
		t.Errorf("the live strand ended: %v", context.Cause(strand.Ctx))
	case err := <-liveDone:
		t.Errorf("the live source ended: %v", err)
	default:
	}
	end(&queue.End{Reason: queue.Stopping})
	strand.Finish(nil)
	<-liveDone
}

// A full companion refuses, keeps nothing of a record that it did not take whole, and
// takes records again when it is drained.
func TestAFullCompanionRefusesAndIsDrained(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	r := newParkedRig(t, startBroker(t, func(o *server.Options) { o.MaxPayload = limit }))
	of := r.open()
	js := r.js(r.conn)
	s, err := js.Stream(t.Context(), parkedStream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	c.MaxBytes = 10 * limit
	if _, err := js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for i := range 12 {
		errs := of.Put(t.Context(), []queue.Message{parkedMessage(laneNo(1), noise(byte(i), 5*limit/2))})
		if errs == nil {
			stored++
		}
	}
	if stored == 0 || stored == 12 {
		t.Fatalf("%d of 12 were stored", stored)
	}
	if held := r.held()[laneNo(1).String()]; held != int64(stored) {
		t.Errorf("%d are parked, %d were stored", held, stored)
	}
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != uint64(3*stored) {
		t.Errorf("%d messages for %d records of three chunks each", info.State.Msgs, stored)
	}
	p := newParkedPod(t)
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(of)
	r.eventually("all is delivered and its chunks are gone", func() bool {
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	if errs := of.Put(t.Context(), []queue.Message{parkedMessage(laneNo(1), noise(99, 5*limit/2))}); errs != nil {
		t.Errorf("after it was drained: %v", errs)
	}
	r.eventually("the last one is delivered", func() bool { n, _ := p.count(); return n == stored+1 })
	stop()
}

// The server goes away and comes back while a lane is drained: what had ended has
// ended, and the rest follows.
func TestServingSurvivesARestartOfTheServer(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	r.put(of, laneNo(1), 400)
	p := newParkedPod(t)
	half := make(chan struct{})
	n := 0
	p.look = func(*queue.Delivery) {
		if n++; n == 200 {
			close(half)
		}
	}
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(of)
	<-half
	r.stop()
	r.start()
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == 400 })
	r.eventually("nothing is parked", func() bool {
		lanes, err := of.Lanes(t.Context())
		return err == nil && len(lanes) == 0
	})
	stop()
}

// More lanes than are probed at once, the older half of them dead: the others are
// drained all the same, and no more strands live at once than may.
func TestManyParkedLanesTakeTurns(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	p := newParkedPod(t)
	var ms []queue.Message
	for i := range 240 {
		l := laneNo(i)
		p.fail(l, i < 120) // the oldest
		for k := range 3 {
			ms = append(ms, parkedMessage(l, fmt.Appendf(nil, "%d-%d", i, k)))
		}
	}
	if errs := of.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	stop := p.run(of)
	shut := func() { // what was tried and failed is shut
		p.mu.Lock()
		defer p.mu.Unlock()
		for name := range p.serving {
			if lane := name[len(parkedStream)+1:]; p.down[lane] && len(p.tries) > 0 {
				p.gates[lane] = queue.GateShut
			}
		}
	}
	r.eventually("the lanes that live are drained", func() bool {
		shut()
		n, _ := p.count()
		return n == 360
	})
	stop()
	if p.most > 100 {
		t.Errorf("%d strands at once", p.most)
	}
	if held := r.held(); len(held) != 120 {
		t.Errorf("%d lanes are parked, want the 120 dead ones", len(held))
	}
}

// A put is stored, its message is not acknowledged and comes again: the record is there
// twice, with one id.
func TestACrashBetweenPutAndAcknowledgementParksTwiceWithOneID(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	r.put(of, laneNo(1), 1)
	r.put(r.open(), laneNo(1), 1)
	p := newParkedPod(t)
	ids := map[queue.Origin]int{}
	p.look = func(d *queue.Delivery) { ids[d.Origin()]++ }
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(of)
	r.eventually("both are delivered", func() bool { _, n := p.count(); return n == 2 })
	stop()
	if len(ids) != 1 {
		t.Errorf("one record has the ids %v", ids)
	}
}

// A pod dies with a record out: another one gets it after the ack wait.
func TestWhatADeadPodHeldIsServedByAnother(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	r.cfg.AckWait = nats.MinAckWait
	conn := r.connect(r.cfg)
	of, err := nats.OpenParked(t.Context(), conn, r.cfg, r.cfg.List()[0], nats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.put(of, laneNo(1), 10)
	dies, lives := newParkedPod(t), newParkedPod(t)
	dies.keep = true
	stop := dies.run(of)
	r.eventually("a record is out", func() bool {
		dies.mu.Lock()
		defer dies.mu.Unlock()
		return len(dies.kept) == 1
	})
	conn.NATS().Close() // nothing is given back
	lives.set(laneNo(1), queue.GateOpen)
	stopOther := lives.run(r.open())
	r.eventually("everything is delivered", func() bool { n, _ := lives.count(); return n == 10 })
	stopOther()
	stop()
}

// Whoever may not see or change a companion hears of it.
func TestParkedSettingsThatLoseAreRefused(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	cfg := b.config()
	conn := b.connect(cfg)
	js := b.js(conn)
	good := jetstream.StreamConfig{
		Name: parkedStream, Subjects: []string{parkedStream + ".>"}, Retention: jetstream.WorkQueuePolicy,
		Discard: jetstream.DiscardNew, Storage: jetstream.FileStorage, AllowDirect: true,
	}
	for _, tt := range []struct {
		name, field string
		change      func(*jetstream.StreamConfig)
	}{
		{"as it should be", "", func(*jetstream.StreamConfig) {}},
		{"expiry", "max_age", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"deletes the oldest", "discard", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"keeps what ended", "retention", func(c *jetstream.StreamConfig) { c.Retention = jetstream.LimitsPolicy }},
		{"in memory", "storage", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"other subjects", "subjects", func(c *jetstream.StreamConfig) { c.Subjects = []string{"other.>"} }},
	} {
		c := good
		tt.change(&c)
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		_, err := nats.OpenParked(t.Context(), conn, cfg, cfg.List()[0], nats.Options{})
		if (err != nil) != (tt.field != "") || err != nil && !contains(err.Error(), tt.field+": ", "mend it with: ") {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := js.DeleteStream(t.Context(), parkedStream); err != nil {
			t.Fatal(err)
		}
	}
	steps, err := nats.Plan(t.Context(), conn, cfg, nats.SetupOptions{Parked: true})
	if err != nil || len(steps) != 3 || steps[2].Name != parkedStream || steps[2].Action != queue.Create {
		t.Errorf("plan: %+v, %v", steps, err)
	}
}
