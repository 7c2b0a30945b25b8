package group

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/test/kafkabroker"
)

// TestOnApacheKafka is what only a real coordinator can show. Three brokers, so
// that one can be lost.
func TestOnApacheKafka(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three brokers")
	}
	c := kafkabroker.Start(t, kafkabroker.Options{Nodes: 3})
	on := func(t *testing.T, topic string) (work, *watch) {
		c.CreateTopic(t, topic, 12, 3, nil)
		return work{cluster: c, brokers: c.Bootstrap(), topic: topic, config: Config{
			Session: 3 * time.Second, Rebalance: 10 * time.Second, Heartbeat: 250 * time.Millisecond, Drain: 8 * time.Second,
		}}, &watch{}
	}
	t.Run("join and leave", func(t *testing.T) {
		o, w := on(t, "join")
		joinAndLeave(t, o, w)
	})
	t.Run("one drains four seconds", func(t *testing.T) {
		o, w := on(t, "drain")
		slowDrain(t, o, w)
	})
	t.Run("static restart", func(t *testing.T) {
		o, w := on(t, "static")
		staticRestart(t, o, w)
	})
	t.Run("frozen", func(t *testing.T) {
		o, w := on(t, "frozen")
		frozenWorker(t, o, w)
	})
	t.Run("chaos", func(t *testing.T) {
		o, w := on(t, "chaos")
		chaos(t, o, w)
	})
	t.Run("coordinator killed", func(t *testing.T) {
		o, w := on(t, "killed")
		coordinatorKilled(t, o, w)
	})
}

// Margins are wide: the machine may be busy. What was measured is logged.
const margin = 2 * time.Second

func joinAndLeave(t *testing.T, o work, w *watch) {
	a := o.start(t, w, "a", 0)
	shared(t, 12, a)
	w.ticking(t, 12)
	since := time.Now()
	b := o.start(t, w, "b", 0)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	kept, moved, n := w.stalls(since)
	t.Logf("join: %d partitions moved and stalled %v at most, the others %v", n, moved, kept)
	if n != 6 || kept > margin || moved > margin {
		t.Error("that is too much")
	}
	since = time.Now()
	b.halt()
	shared(t, 12, a)
	w.ticking(t, 12)
	kept, moved, n = w.stalls(since)
	t.Logf("leave: %d partitions moved and stalled %v at most, the others %v", n, moved, kept)
	if n != 6 || kept > margin || moved > margin {
		t.Error("that is too much")
	}
	a.halt()
	if g := o.cluster.Group(t, o.topic); g.State != "Empty" || len(g.Members) != 0 {
		t.Errorf("after all have left: %+v", g)
	}
	w.verify(t)
}

func slowDrain(t *testing.T, o work, w *watch) {
	a := o.start(t, w, "a", 4*time.Second)
	shared(t, 12, a)
	w.ticking(t, 12)
	since := time.Now()
	b := o.start(t, w, "b", 0)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	kept, moved, n := w.stalls(since)
	t.Logf("one drains 4 s: %d partitions moved and stalled %v, the others %v", n, moved, kept)
	if n != 6 || kept > margin || moved < 4*time.Second || moved > 4*time.Second+margin {
		t.Error("that is not as it should be")
	}
	w.verify(t)
}

func staticRestart(t *testing.T, o work, w *watch) {
	one, two := o, o
	one.config.Instance, two.config.Instance = "pod-1", "pod-2"
	a, b := one.start(t, w, "a", 0), two.start(t, w, "b", 0)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	had := assignedTo(o, t, "pod-1")
	generation := b.Status().Generation
	a.halt()
	begin := time.Now()
	a = one.start(t, w, "a again", 0)
	shared(t, 6, a)
	took := time.Since(begin)
	t.Logf("a static member is back with its partitions %v after it started", took)
	if diff := cmp.Diff(had, assignedTo(o, t, "pod-1")); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	w.ticking(t, 12)
	if got := b.Status().Generation; got != generation {
		t.Errorf("the other member noticed: generation %d -> %d", generation, got)
	}
	w.verify(t)
}

func assignedTo(o work, t *testing.T, instance string) []int32 {
	t.Helper()
	for _, m := range o.cluster.Group(t, o.topic).Members {
		if m.Instance == instance {
			return m.Assigned[o.topic]
		}
	}
	t.Fatalf("no member %q", instance)
	return nil
}

// A worker that stands still loses its partitions after the session, and when it
// wakes, nothing that it sends late changes an offset.
func frozenWorker(t *testing.T, o work, w *watch) {
	a, b := o.start(t, w, "a", 0), o.start(t, w, "b", 0)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	since := time.Now()
	a.gate.set(frozen)
	shared(t, 12, b)
	w.ticking(t, 12)
	_, moved, _ := w.stalls(since)
	t.Logf("a worker froze: its partitions stalled %v with a session of %v", moved, o.config.Session)
	before := o.cluster.Committed(t, o.topic, o.topic)
	a.gate.set(open)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	for p, c := range o.cluster.Committed(t, o.topic, o.topic) {
		if c.Offset < before[p].Offset {
			t.Errorf("partition %d: the offset went back from %d to %d", p, before[p].Offset, c.Offset)
		}
	}
	w.verify(t)
}

// Workers join, leave, are killed, freeze and wake at random.
func chaos(t *testing.T, o work, w *watch) {
	length := 12 * time.Second
	if os.Getenv("FLUSHLINE_LONG") != "" {
		length = 3 * time.Minute
	}
	o.config.Session, o.config.Heartbeat, o.config.Drain = 1500*time.Millisecond, 150*time.Millisecond, 2*time.Second
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	var live []*worker
	count := map[string]int{}
	next := func() { // at least one runs
		if len(live) == 0 || len(live) < 4 && chance.IntN(3) == 0 {
			live = append(live, o.start(t, w, fmt.Sprint("w", count["join"]), time.Duration(chance.IntN(700))*time.Millisecond))
			count["join"]++
			return
		}
		i := chance.IntN(len(live))
		p := live[i]
		switch what := chance.IntN(4); {
		case what == 0:
			count["leave"]++
			live = slices.Delete(live, i, i+1)
			go p.halt()
		case what == 1:
			count["kill"]++
			live = slices.Delete(live, i, i+1)
			p.gate.set(cut)
		default:
			count["freeze"]++
			p.gate.set(frozen)
			time.AfterFunc(time.Duration(chance.IntN(3000))*time.Millisecond, func() { p.gate.set(open) })
		}
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		next()
		time.Sleep(time.Duration(chance.IntN(800)) * time.Millisecond)
	}
	for len(live) > 3 {
		go live[0].halt()
		live = live[1:]
	}
	for len(live) < 3 {
		live = append(live, o.start(t, w, fmt.Sprint("w", count["join"]), 0))
		count["join"]++
	}
	shared(t, 4, live...)
	w.ticking(t, 12)
	for _, p := range live {
		p.halt()
	}
	commits := w.verify(t)
	t.Logf("%v: %v; %d leases, %d commits stored", length, count, len(w.spans), commits)
	if commits == 0 || len(w.spans) < 24 {
		t.Error("nothing happened")
	}
	w.ends(t, o)
}

// ends checks that what is stored in the end is what the last lease stored last.
func (w *watch) ends(t *testing.T, o work) {
	t.Helper()
	last := map[int32]stored{}
	for _, s := range w.spans {
		for _, c := range s.stored {
			if c.returned.After(last[s.Partition].returned) {
				last[s.Partition] = c
			}
		}
	}
	for p, c := range o.cluster.Committed(t, o.topic, o.topic) {
		if c.Offset != last[p].offset {
			t.Errorf("partition %d: stored is %d, the last commit said %d", p, c.Offset, last[p].offset)
		}
	}
}

// The coordinator is lost: nobody loses a lease, and commits go on where it comes
// up again. It is the last test, for a broker stays away.
func coordinatorKilled(t *testing.T, o work, w *watch) {
	a, b := o.start(t, w, "a", 0), o.start(t, w, "b", 0)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	rebalances := a.Status().Rebalances + b.Status().Rebalances
	since := time.Now()
	o.cluster.Node(o.cluster.Coordinator(t, o.topic)).Kill()
	for a.Status().Err == nil && b.Status().Err == nil {
		if time.Since(since) > 20*time.Second {
			t.Fatal("nobody noticed")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for a.Status().Err != nil || b.Status().Err != nil || w.lastCommit().Before(since.Add(time.Second)) {
		if time.Since(since) > 60*time.Second {
			t.Fatalf("%+v\n%+v", a.Status(), b.Status())
		}
		time.Sleep(10 * time.Millisecond)
	}
	away := time.Since(since)
	time.Sleep(o.config.Session + time.Second) // a session that was not kept would end now
	w.ticking(t, 12)
	kept, _, n := w.stalls(since)
	t.Logf("coordinator killed: commits again after %v; %d partitions moved, the others stalled %v at most", away, n, kept)
	if got := a.Status().Rebalances + b.Status().Rebalances; n != 0 || got != rebalances || kept > margin {
		t.Errorf("%d partitions moved, %d rebalances, stall %v", n, got-rebalances, kept)
	}
	w.verify(t)
}

func (w *watch) lastCommit() (at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.spans {
		if n := len(s.stored); n > 0 && s.stored[n-1].sent.After(at) {
			at = s.stored[n-1].sent
		}
	}
	return at
}
