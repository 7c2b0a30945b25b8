package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

// durables is the consumers of the companion.
func (r *parkedRig) durables() (out []*jetstream.ConsumerInfo) {
	r.Helper()
	s, err := r.js(r.conn).Stream(r.Context(), parkedStream)
	if err != nil {
		r.Fatal(err)
	}
	list := s.ListConsumers(r.Context())
	for info := range list.Info() {
		out = append(out, info)
	}
	if list.Err() != nil {
		r.Fatal(list.Err())
	}
	return out
}

// A lane that is probed lets out one record; once it is open the rest follows, each
// record once, and what served it is gone with the last of them.
func TestAParkedLaneIsProbedAndThenDrained(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	core, logs := observer.New(zap.WarnLevel)
	r.log = zap.New(core)
	of := r.open()
	r.put(of, laneNo(1), 1500)
	p := newParkedPod(t)
	p.keep = true
	p.look = func(d *queue.Delivery) {
		m := d.Message()
		if d.Origin().String() != "000102030405060708090a0b0c0d0e0f" {
			t.Errorf("origin %s", d.Origin())
		}
		if was, _ := m.Header("x-flushline-was-nats-msg-id"); was != "the producer's" {
			t.Errorf("the producer's Nats-Msg-Id is %q", was)
		}
		if id, ok := m.Header("Nats-Msg-Id"); ok {
			t.Errorf("a record has the server's header Nats-Msg-Id: %s", id)
		}
	}
	stop := p.run(of)
	r.eventually("one record is out", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.kept) == 1
	})
	name := parkedStream + "/" + laneNo(1).String()
	if info := p.infos[name]; info.Source != "nats_parked" || !info.Parked {
		t.Errorf("the strand is %+v", info)
	}
	list := r.durables()
	if len(list) != 1 || list[0].Config.MaxAckPending != 1 || list[0].NumAckPending != 1 || list[0].NumPending != 1499 {
		t.Fatalf("durables while it is probed: %+v", list)
	}
	p.mu.Lock()
	p.keep = false
	first := p.kept[0]
	p.kept = nil
	p.got[string(first.Message().Value)]++
	first.Ack()
	first.Free()
	p.mu.Unlock()
	p.set(laneNo(1), queue.GateOpen)
	of.Look(laneNo(1))
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == 1500 })
	r.eventually("the lane's durable is gone", func() bool { return len(r.durables()) == 0 })
	stop()
	for _, l := range logs.FilterMessageSnippet("couldn't serve").All() {
		if contains(fmt.Sprint(l.ContextMap()["error"]), "not found") {
			t.Errorf("a lane without a durable is no trouble: %v", l.ContextMap())
		}
	}
	if _, n := p.count(); n != 1500 {
		t.Errorf("1500 records were delivered %d times", n)
	}
	if held := r.held(); len(held) != 0 {
		t.Errorf("still parked: %v", held)
	}
	for _, e := range p.ends {
		if e != queue.Closed {
			t.Errorf("the strand of an empty lane ended as %s", e)
		}
	}
}

// Two pods probe a lane whose destination is down: each attempt follows the one before
// by the probe interval, whichever pod makes it.
func TestADeadLaneIsTriedOnceAnIntervalOverAllPods(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of, other := r.open(), r.open()
	r.put(of, laneNo(1), 20)
	a, b := newParkedPod(t), newParkedPod(t)
	a.fail(laneNo(1), true)
	b.fail(laneNo(1), true)
	stopA, stopB := a.run(of), b.run(other)
	tries := func() []time.Time {
		a.mu.Lock()
		defer a.mu.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		all := append(append([]time.Time{}, a.tries...), b.tries...)
		for i := range all {
			for k := i; k > 0 && all[k].Before(all[k-1]); k-- {
				all[k], all[k-1] = all[k-1], all[k]
			}
		}
		return all
	}
	r.eventually("three attempts", func() bool { return len(tries()) >= 3 })
	stopA()
	stopB()
	all := tries()
	for i := 1; i < len(all); i++ {
		if gap := all[i].Sub(all[i-1]); gap < 4*time.Second {
			t.Errorf("attempt %d came %v after the one before, want at least 5s", i+1, gap)
		}
	}
	if diff := cmp.Diff(map[string]int64{laneNo(1).String(): 20}, r.held()); diff != "" {
		t.Errorf("parked (-want +got):\n%s", diff)
	}
}

// One of two pods sees the destination: it gets everything, although the other one
// tries, too.
func TestThePodThatSeesTheDestinationDrainsTheLane(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of, other := r.open(), r.open()
	r.put(of, laneNo(1), 300)
	blind, sees := newParkedPod(t), newParkedPod(t)
	blind.fail(laneNo(1), true)
	stop := blind.run(of)
	r.eventually("the blind pod has tried", func() bool {
		blind.mu.Lock()
		defer blind.mu.Unlock()
		return len(blind.tries) > 0
	})
	blind.set(laneNo(1), queue.GateShut)
	stopOther := sees.run(other)
	sees.set(laneNo(1), queue.GateOpen)
	r.eventually("everything is delivered", func() bool { n, _ := sees.count(); return n == 300 })
	stop()
	stopOther()
	if _, n := sees.count(); n != 300 {
		t.Errorf("300 records were delivered %d times", n)
	}
}

// Neither pod can hold a quarter of the lane, so both get some of it.
func TestPodsShareAnOpenLane(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of, other := r.open(), r.open()
	var ms []queue.Message
	for i := range 200 {
		ms = append(ms, parkedMessage(laneNo(1), append(fmt.Appendf(nil, "%d:", i), make([]byte, 20<<10)...)))
	}
	if errs := of.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	a, b := newParkedPod(t), newParkedPod(t)
	for _, p := range []*parkedPod{a, b} {
		p.Host = queuetest.NewHost(1 << 20)
		p.set(laneNo(1), queue.GateOpen)
		p.keep = true
	}
	stopA, stopB := a.run(of), b.run(other)
	kept := func(p *parkedPod) int {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.kept)
	}
	r.eventually("both have records", func() bool { return kept(a) > 0 && kept(b) > 0 })
	for _, p := range []*parkedPod{a, b} {
		p.mu.Lock()
		for _, d := range p.kept {
			p.got[string(d.Message().Value)]++
			d.Ack()
			d.Free()
		}
		p.kept, p.keep = nil, false
		p.mu.Unlock()
	}
	r.eventually("all has ended", func() bool { return len(r.held()) == 0 })
	stopA()
	stopB()
	n, all := a.count()
	k, allToo := b.count()
	if n+k != 200 || all+allToo != 200 {
		t.Errorf("200 records: %d and %d, delivered %d times", n, k, all+allToo)
	}
}

// Of two dead lanes one recovers: it is drained in full and the other keeps all.
func TestOfTwoDeadLanesTheOneThatRecoversIsDrained(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	for i := range 200 { // mixed in the stream
		for _, l := range []queue.Lane{laneNo(1), laneNo(2)} {
			if errs := of.Put(t.Context(), []queue.Message{parkedMessage(l, fmt.Appendf(nil, "%s-%d", l.Config, i))}); errs != nil {
				t.Fatal(errs)
			}
		}
	}
	p := newParkedPod(t)
	p.fail(laneNo(1), true)
	p.fail(laneNo(2), true)
	stop := p.run(of)
	r.eventually("both were tried", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.tries) >= 2
	})
	p.set(laneNo(1), queue.GateShut)
	p.fail(laneNo(2), false)
	p.set(laneNo(2), queue.GateOpen)
	of.Look(laneNo(2))
	r.eventually("the lane that recovered is empty", func() bool { return r.held()[laneNo(2).String()] == 0 })
	stop()
	if n, k := p.count(); n != 200 || k != 200 {
		t.Errorf("200 records: %d, delivered %d times", n, k)
	}
	if held := r.held(); held[laneNo(1).String()] != 200 {
		t.Errorf("the dead lane has %v", held)
	}
}

// Bodies around what the server takes at most, headers not counted, come back whole;
// their chunks go with them.
func TestParkedRecordsOfTheServersLimitComeBackWhole(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	r := newParkedRig(t, startBroker(t, func(o *server.Options) { o.MaxPayload = limit }))
	of := r.open()
	want := map[string]int{}
	var ms []queue.Message
	for i, n := range []int{10, limit - 300, limit - 1, limit, limit + 1, 3*limit + 7} {
		v := append([]byte(fmt.Sprintf("%d:", i)), noise(byte(i), n)...)[:n]
		want[string(v)] = 1
		ms = append(ms, parkedMessage(laneNo(1), v))
	}
	soft := bytes.Repeat([]byte("compressible "), limit)
	want[string(soft)] = 1
	ms = append(ms, parkedMessage(laneNo(1), soft))
	if errs := of.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs)
	}
	if held := r.held(); held[laneNo(1).String()] != int64(len(ms)) {
		t.Fatalf("%d records count as %v", len(ms), held)
	}
	p := newParkedPod(t)
	p.look = func(d *queue.Delivery) {
		m := d.Message()
		for _, h := range []string{queue.HeaderPart, queue.HeaderPartOf, queue.HeaderWrapped, queue.HeaderDamage} {
			if v, ok := m.Header(h); ok {
				t.Errorf("a record has %s: %q", h, v)
			}
		}
		if d.Held() < m.Size() {
			t.Errorf("a record of %d bytes holds %d", m.Size(), d.Held())
		}
	}
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(of)
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == len(ms) })
	s, err := r.js(r.conn).Stream(t.Context(), parkedStream)
	if err != nil {
		t.Fatal(err)
	}
	r.eventually("no chunk is left", func() bool {
		info, err := s.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	stop()
	if diff := cmp.Diff(want, p.got); diff != "" {
		t.Error("what came back is not what was parked")
	}
}

// A record of which chunks are missing becomes a dead letter with the rest of it, and
// holds up nobody.
func TestAParkedRecordWithoutItsChunksIsDamaged(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t, func(o *server.Options) { o.MaxPayload = 16 << 10 }))
	of := r.open()
	if errs := of.Put(t.Context(), []queue.Message{parkedMessage(laneNo(1), noise(1, 50<<10))}); errs != nil {
		t.Fatal(errs)
	}
	s, err := r.js(r.conn).Stream(t.Context(), parkedStream)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), s.CachedInfo().State.FirstSeq); err != nil {
		t.Fatal(err)
	}
	p := newParkedPod(t)
	damage := make(chan string, 1)
	p.look = func(d *queue.Delivery) {
		v, _ := d.Message().Header(queue.HeaderDamage)
		damage <- v
	}
	stop := p.run(of)
	if v := <-damage; !strings.Contains(v, "1 are missing") {
		t.Errorf("damage: %q", v)
	}
	stop()
}

// A record that its lane does not take comes again to the same strand, not at once.
func TestADeferredRecordComesAgainToTheSameStrand(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	of := r.open()
	r.put(of, laneNo(1), 50)
	p := newParkedPod(t)
	p.set(laneNo(1), queue.GateOpen)
	p.fail(laneNo(1), true)
	stop := p.run(of)
	r.eventually("all were tried", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.tries) >= 50
	})
	p.fail(laneNo(1), false)
	r.eventually("everything is delivered", func() bool { n, _ := p.count(); return n == 50 })
	stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ends) != 1 {
		t.Errorf("%d strands served the lane, want one", len(p.ends))
	}
}

func TestDeploymentsDoNotTouchEachOthersRecords(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	second := *r.cfg
	second.Durable = "other"
	if _, err := nats.Setup(t.Context(), r.conn, &second, nats.SetupOptions{Parked: true}); err != nil {
		t.Fatal(err)
	}
	ours := r.open()
	theirs, err := nats.OpenParked(t.Context(), r.conn, &second, second.List()[0], nats.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.put(ours, laneNo(1), 30)
	r.put(theirs, laneNo(1), 40)
	p := newParkedPod(t)
	p.set(laneNo(1), queue.GateOpen)
	stop := p.run(ours)
	r.eventually("ours is delivered", func() bool { return len(r.held()) == 0 })
	stop()
	lanes, err := theirs.Lanes(t.Context())
	if err != nil || len(lanes) != 1 || lanes[0].Messages != 40 {
		t.Errorf("theirs: %+v, %v", lanes, err)
	}
	if n, k := p.count(); n != 30 || k != 30 {
		t.Errorf("30 records: %d, delivered %d times", n, k)
	}
	// LOGS_a with b would have the companion of LOGS with a_b.
	clash := second
	clash.Stream, clash.Durable = "LOGS_other", "x"
	twin := second
	twin.Durable = "other_x"
	if _, err := nats.OpenParked(t.Context(), r.conn, &twin, twin.List()[0], nats.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.OpenParked(t.Context(), r.conn, &clash, clash.List()[0], nats.Options{}); err == nil || !strings.Contains(err.Error(), "another deployment") {
		t.Errorf("the companion of another deployment was taken: %v", err)
	}
}

// What a put leaves unsaid when its time is over has not been stored.
func TestAPutThatIsCutShortFailsForEveryMessage(t *testing.T) {
	t.Parallel()
	b, _, sink := letters(t)
	b.stop()
	defer b.start()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	errs := sink.Put(ctx, make([]queue.Message, 1000))
	for i := range 1000 {
		if len(errs) != 1000 || errs[i] == nil {
			t.Fatalf("message %d of 1000 counts as stored without a server", i)
		}
	}
}
