package kafka_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
)

// A second worker takes half of the partitions over while parked records flow: each
// record is taken once.
func TestParkedPartitionsMoveBetweenWorkers(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-rebalance", 4)
	const lanes, each = 16, 100
	var names []string
	for n := range lanes {
		names = append(names, fmt.Sprintf("p%02d", n))
		k.park(cfg, names[n], n*each, (n+1)*each)
	}
	o := newKeeper(t, connect(t, cfg), cfg)
	total := func(ks ...*keeper) (n int) {
		for _, k := range ks {
			for _, project := range names {
				n += k.count(project)
			}
		}
		return n
	}
	for _, project := range names[:lanes/2] {
		k.gates[project], o.gates[project] = queue.GateOpen, queue.GateOpen
	}
	k.serve()
	eventually(t, "half of the lanes being taken", func() bool { return total(k) == lanes*each/2 })
	o.serve()
	eventually(t, "both having partitions", func() bool { return k.serves() == 2 && o.serves() == 2 })
	for _, project := range names[lanes/2:] {
		k.set(project, queue.GateOpen)
		o.set(project, queue.GateOpen)
	}
	eventually(t, "all being taken", func() bool { return total(k, o) >= lanes*each })
	empties(t, b, name)
	if n := total(k, o); n != lanes*each || total(o) == 0 {
		t.Errorf("%d records were taken, %d of them by the second worker; want each of %d once", n, total(o), lanes*each)
	}
	o.stop()
	eventually(t, "one having all partitions again", func() bool { return k.serves() == 4 })
	k.stop()
}

// serves is how many partitions this worker has.
func (k *keeper) serves() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.strands)
}

// What has ended above a record that has not is not served again after a restart.
func TestParkedRestartRepeatsNothing(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-restart", 1)
	k.gates["held"], k.gates["a"] = queue.GateProbe, queue.GateOpen
	k.dead["held"] = false
	k.slow["held"] = true
	k.park(cfg, "held", 0, 50)
	k.park(cfg, "a", 50, 250)
	k.serve()
	eventually(t, "all but what is held", func() bool { return k.count("a") == 200 && k.times(k.tries, "held") == 1 })
	k.stop()
	if start, end := b.Starts(t, name)[0], b.Ends(t, name)[0]; start != 0 || end != 250 {
		t.Errorf("the log goes from %d to %d", start, end)
	}
	o := newKeeper(t, connect(t, cfg), cfg)
	o.gates["held"], o.gates["a"] = queue.GateOpen, queue.GateOpen
	o.serve()
	empties(t, b, name)
	if o.count("held") != 50 || o.count("a") != 0 {
		t.Errorf("after the restart %d of the one and %d of the other lane were taken, want 50 and 0", o.count("held"), o.count("a"))
	}
	o.stop()
}

// Many more dead records than may wait in memory lie before a living lane.
func TestALongDeadLaneHidesNobody(t *testing.T) {
	t.Parallel()
	b, cfg, _, name := parking(t, "parked-long", 1)
	k := newKeeper(t, connect(t, cfg), cfg, func(o *kafka.Options) { o.Window = 64 })
	k.prepare()
	k.park(cfg, "dead", 0, 700)
	k.park(cfg, "alive", 700, 800)
	k.serve()
	eventually(t, "a sweep that has seen both", func() bool { return k.times(k.asked, "alive") > 0 })
	k.unmoved(b, name, 800)
	k.drains("alive", 100)
	eventually(t, "its records being gone", func() bool { return b.Starts(t, name)[0] == 800 })
	if end := b.Ends(t, name)[0]; end != 1500 {
		t.Errorf("the log ends at %d, want 1500: each dead record put again once", end)
	}
	k.drains("dead", 700)
	empties(t, b, name)
	if n := k.count("alive"); n != 100 {
		t.Errorf("%d records of the living lane were taken", n)
	}
	k.stop()
}

// The topic is deleted while its records are held: they are gone, later ones are parked
// in a new one and served.
func TestAParkedTopicMadeAnew(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-anew", 1)
	k.gates["a"], k.slow["a"] = queue.GateOpen, true
	k.park(cfg, "a", 0, 20)
	k.serve()
	eventually(t, "all being held", func() bool { return k.times(k.tries, "a") == 20 })
	b.DeleteTopic(t, name)
	m := []queue.Message{parkedRecord(cfg, "a", 100)}
	if errs := k.parked.Put(t.Context(), m); errs == nil {
		t.Log("the put found its topic again at once")
	}
	k.mu.Lock()
	k.slow["a"] = false
	holding := k.holding
	k.holding = nil
	k.mu.Unlock()
	for _, d := range holding { // too late: it is settled for a log that is no more
		d.Ack()
		d.Free()
	}
	eventually(t, "a put into a new topic", func() bool { return k.parked.Put(t.Context(), m) == nil })
	k.parked.Look(laneOf("a"))
	eventually(t, "what is in the new topic being taken", func() bool { return k.count("a") > 0 })
	empties(t, b, name)
	k.stop()
}

// The topic is another one when the next sweep begins, and nobody saw it go: all of it
// is served, also what lies below the old position.
func TestAParkedTopicMadeAnewBetweenSweeps(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-between", 1)
	k.gates["a"] = queue.GateOpen
	k.park(cfg, "a", 0, 20)
	k.serve()
	eventually(t, "all being taken", func() bool { return k.count("a") == 20 })
	empties(t, b, name)
	b.DeleteTopic(t, name)
	b.CreateTopic(t, name, 1, 1, map[string]string{"retention.ms": "-1"})
	k.park(cfg, "a", 100, 105)
	k.parked.Look(laneOf("a"))
	eventually(t, "what is in the new topic being taken", func() bool { return k.count("a") == 25 })
	empties(t, b, name)
	k.park(cfg, "a", 105, 140) // beyond where the old one ended
	k.parked.Look(laneOf("a"))
	eventually(t, "the rest being taken", func() bool { return k.count("a") == 60 })
	empties(t, b, name)
	k.stop()
}

// The topic takes nothing: what would be put again stays where it is, others are served,
// and it is put again when the topic takes it.
func TestAFullParkedTopicHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	k := newKeeper(t, connect(t, cfg), cfg)
	k.prepare()
	k.gates["alive"] = queue.GateOpen
	k.park(cfg, "dead", 0, 30)
	k.park(cfg, "alive", 30, 60)
	fault := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "logs.g.parked.shop.es", Count: -1})
	defer fault.Remove()
	k.serve()
	eventually(t, "the living lane being taken", func() bool { return k.count("alive") == 30 })
	parked := func() int64 {
		lanes, err := k.parked.Lanes(t.Context())
		if err != nil || len(lanes) != 1 {
			t.Fatalf("parked: %v, %v", lanes, err)
		}
		return lanes[0].Messages
	}
	if n := parked(); n != 60 {
		t.Errorf("%d are parked, want 60: nothing has ended below the dead lane", n)
	}
	fault.Remove()
	eventually(t, "the dead lane having made way", func() bool { return parked() == 30 })
	k.set("dead", queue.GateOpen)
	eventually(t, "it being taken", func() bool { return k.count("dead") == 30 })
	k.stop()
	if n := k.count("alive"); n != 30 {
		t.Errorf("%d records of the living lane were taken", n)
	}
}

// Without the right to delete all is served, and said once.
func TestServingWithoutTheRightToDelete(t *testing.T) {
	t.Parallel()
	const topic, group = kmsg.ACLResourceTypeTopic, kmsg.ACLResourceTypeGroup
	name := "logs.g.parked.shop.es"
	b := secured(t,
		right(topic, "logs", kmsg.ACLOperationRead), right(topic, "logs", kmsg.ACLOperationDescribe), right(group, "g.parked", kmsg.ACLOperationRead),
		right(topic, name, kmsg.ACLOperationWrite), right(topic, name, kmsg.ACLOperationRead), right(topic, name, kmsg.ACLOperationDescribe), right(topic, name, kmsg.ACLOperationDescribeConfigs))
	root := quick(as(t, b, "root"))
	r := newKeeper(t, connect(t, root), root)
	r.prepare()
	cfg := quick(as(t, b, "limited"))
	k := newKeeper(t, connect(t, cfg), cfg)
	k.prepare()
	k.gates["a"] = queue.GateOpen
	k.serve()
	for n := range 3 { // each of them is committed by itself
		k.park(cfg, "a", 10*n, 10*n+10)
		k.parked.Look(laneOf("a"))
		eventually(t, "what is parked being taken", func() bool { return k.count("a") == 10*n+10 })
	}
	eventually(t, "the warning", func() bool { return k.logs.FilterMessageSnippet("what was served cannot be deleted").Len() >= 2 })
	k.stop()
	if n := k.logs.FilterMessage("what was served cannot be deleted, so it uses disk for ever").Len(); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	if lanes, err := k.parked.Lanes(t.Context()); err != nil || len(lanes) > 0 {
		t.Errorf("parked: %v, %v", lanes, err)
	}
}

func TestParkedRecordsAreMoved(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-move", 2)
	k.park(cfg, "a", 0, 100)
	k.park(cfg, "b", 100, 150)
	from, to := laneOf(""), queue.Lane{Route: "store", Flusher: "es"}
	only := from
	only.Project, only.Logstore, only.Config = "b", "", ""
	from.Logstore, from.Config = "", ""
	if n, err := k.parked.Move(t.Context(), only, to); err != nil || n != 50 {
		t.Fatalf("%d records of one lane were moved, %v", n, err)
	}
	there := cfg.Topics[0] + "." + cfg.Group + ".parked.store.es"
	for _, rs := range stored(t, b.Bootstrap(), there) {
		for i, r := range rs {
			m := messageOf(r)
			project, _ := m.Header("x-log-project")
			target, _ := m.Header(queue.HeaderTo)
			origin, _ := m.Header(queue.HeaderOrigin)
			if project != "b" || target != cfg.Group+"/store/es" || origin != fmt.Sprintf("%032x", 100+i+1) {
				t.Errorf("record %d is of %s, to %s, origin %s", i, project, target, origin)
			}
		}
	}
	left := func(entry string) (n int64) {
		lanes, err := k.parked.Lanes(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lanes {
			if l.Lane.Entry() == entry {
				n += l.Messages
			}
		}
		return n
	}
	if a, s := left("shop/es"), left("store/es"); a != 100 || s != 50 {
		t.Errorf("%d and %d are parked, want 100 and 50", a, s)
	}
	if n, err := k.parked.Move(t.Context(), from, to); err != nil || n != 100 {
		t.Fatalf("%d records were moved, %v", n, err)
	}
	empties(t, b, name)
	if s := left("store/es"); s != 150 {
		t.Errorf("%d are parked, want 150", s)
	}
	k.gates["a"], k.gates["b"] = queue.GateOpen, queue.GateOpen
	k.serve()
	eventually(t, "all being taken", func() bool { return k.count("a") == 100 && k.count("b") == 50 })
	_, err := k.parked.Move(t.Context(), to, from)
	wantAll(t, err, "group "+cfg.Group+".parked", "stop its workers")
	k.stop()
}

func TestParkedRecordsAreDropped(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-drop", 3)
	for n := range 12 {
		k.park(cfg, fmt.Sprintf("p%d", n), 10*n, 10*n+10)
	}
	entry := queue.Lane{Route: "shop", Flusher: "es"}
	_, err := k.parked.Drop(t.Context(), laneOf("p1"), -1)
	wantAll(t, err, "couldn't drop a lane", "parked move")
	_, err = k.parked.Drop(t.Context(), queue.Lane{Route: "no", Flusher: "es"}, -1)
	wantAll(t, err, "no/es", "parked.no.es")
	ends := b.Ends(t, name)
	n, err := k.parked.Drop(t.Context(), entry, 1)
	if err != nil || n != ends[1] || n == 0 {
		t.Errorf("%d of %d in one partition were dropped, %v", n, ends[1], err)
	}
	if starts := b.Starts(t, name); starts[0] != 0 || starts[1] != ends[1] || starts[2] != 0 {
		t.Errorf("the partitions begin at %v", starts)
	}
	if n, err := k.parked.Drop(t.Context(), entry, -1); err != nil || n != ends[0]+ends[2] {
		t.Errorf("%d of %d were dropped, %v", n, ends[0]+ends[2], err)
	}
	empties(t, b, name)
	k.park(cfg, "p1", 500, 510)
	k.gates["p1"] = queue.GateOpen
	k.serve()
	eventually(t, "what came later being taken", func() bool { return k.count("p1") == 10 })
	k.stop()
}

// An entry that nobody here has: its records stay, and are reported once.
func TestRecordsForNobodyStay(t *testing.T) {
	t.Parallel()
	b, cfg, k, name := parking(t, "parked-nobody", 1)
	k.gates["gone"], k.gates["here"] = queue.GateUnknown, queue.GateOpen
	k.park(cfg, "gone", 0, 10)
	k.park(cfg, "here", 10, 20)
	k.serve()
	eventually(t, "the other lane being taken", func() bool { return k.count("here") == 10 })
	eventually(t, "what stays being at the tail", func() bool { return b.Starts(t, name)[0] == 20 })
	k.parked.Look(laneOf("here"))
	asked := k.times(k.asked, "gone")
	eventually(t, "another sweep", func() bool { return k.times(k.asked, "gone") > asked })
	if n := k.logs.FilterMessageSnippet("does not have").Len(); n != 1 {
		t.Errorf("it was reported %d times", n)
	}
	k.stop()
	if lanes, err := k.parked.Lanes(t.Context()); err != nil || len(lanes) != 1 || lanes[0].Messages != 10 || lanes[0].Oldest.Before(time.Now().Add(-time.Hour)) {
		t.Errorf("parked: %+v, %v", lanes, err)
	}
}
