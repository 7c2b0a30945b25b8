package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
)

// atRest is a keeper that serves parked records of shut lanes, and where its sweeps
// came to rest: the next one is 15 s away at least.
func atRest(t *testing.T, cfg *kafka.Config, park func(*keeper)) (k *keeper, sweeps func() int) {
	t.Helper()
	core, lines := observer.New(zapcore.DebugLevel)
	k = newKeeper(t, connect(t, cfg), cfg, func(o *kafka.Options) { o.Log = zap.New(core) })
	k.prepare()
	park(k)
	k.serve()
	sweeps = func() int { return lines.FilterMessage("swept").Len() }
	eventually(t, "three sweeps", func() bool { return sweeps() == 3 })
	return k, sweeps
}

// quietly opens a gate as that of a lane opens for a try: nobody tells the companion.
func (k *keeper) quietly(project string, g queue.Gate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.gates[project] = g
}

// A lane without live traffic is tried with its own records long before the next sweep,
// whatever lies before them, and when it takes one all of them follow.
func TestAQuietLaneIsTriedBetweenSweeps(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	big := parkedRecord(cfg, "big", 100)
	big.Value = noise(3, 2_000_000) // cut into chunks
	k, sweeps := atRest(t, cfg, func(k *keeper) {
		k.park(cfg, "dead", 0, 100)
		if errs := k.parked.Put(t.Context(), []queue.Message{big}); errs != nil {
			t.Fatal(errs)
		}
		k.park(cfg, "big", 101, 120)
		k.park(cfg, "quiet", 120, 150)
	})
	k.park(cfg, "late", 150, 160) // no sweep has seen it
	before := k.times(k.tries, "dead")
	k.dead["quiet"] = true
	k.quietly("late", queue.GateProbe)
	k.quietly("quiet", queue.GateProbe)
	eventually(t, "the quiet lane being tried", func() bool { return k.times(k.tries, "quiet") > 0 })
	if n := sweeps(); n != 3 {
		t.Errorf("behind %d sweeps: it waited for the next one", n)
	}
	k.quietly("quiet", queue.GateShut)
	eventually(t, "the late lane being drained", func() bool { return k.count("late") == 10 })
	eventually(t, "the sweeps being at rest again", func() bool { return sweeps() >= 4 })
	k.quietly("big", queue.GateOpen)
	eventually(t, "the cut record's lane being drained", func() bool { return k.count("big") == 20 })
	k.quietly("quiet", queue.GateOpen)
	k.mu.Lock()
	k.dead["quiet"] = false
	k.mu.Unlock()
	eventually(t, "the quiet lane being drained", func() bool { return k.count("quiet") == 30 })
	k.stop()
	if n := k.times(k.tries, "dead") - before; n != 0 {
		t.Errorf("the dead lane was tried %d times, and its gate is shut", n)
	}
	for project, want := range map[string]int{"late": 10, "big": 20, "quiet": 30} {
		if n := k.count(project); n != want {
			t.Errorf("%d records of lane %s were taken, want %d", n, project, want)
		}
	}
	left := newKeeper(t, connect(t, cfg), cfg)
	left.gates["dead"] = queue.GateOpen
	for _, project := range []string{"late", "big", "quiet"} {
		left.gates[project] = queue.GateOpen
	}
	left.serve()
	eventually(t, "the dead lane being drained", func() bool { return left.count("dead") == 100 })
	left.stop()
	if n := len(left.took); n != 100 {
		t.Errorf("%d records came, want 100: those of the others have ended", n)
	}
}

// What a lane takes between two sweeps while the process stops has ended.
func TestATryThatEndsWithTheStopIsCommitted(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	k, sweeps := atRest(t, cfg, func(k *keeper) {
		k.park(cfg, "dead", 0, 10)
		k.park(cfg, "a", 10, 20)
	})
	k.mu.Lock()
	k.slow["a"], k.lateAck = true, true
	k.mu.Unlock()
	k.quietly("a", queue.GateProbe)
	eventually(t, "a try being out", func() bool { return k.times(k.tries, "a") == 1 })
	if n := sweeps(); n != 3 {
		t.Fatalf("behind %d sweeps: it is none between two", n)
	}
	k.stop()
	again := newKeeper(t, connect(t, cfg), cfg)
	again.gates["a"], again.gates["dead"] = queue.GateOpen, queue.GateOpen
	again.serve()
	eventually(t, "the rest being taken", func() bool { return again.count("dead") == 10 })
	eventually(t, "the rest of the lane being taken", func() bool { return again.count("a") >= 9 })
	again.stop()
	if n := again.count("a"); n != 9 {
		t.Errorf("%d records of the lane came again, want 9: one was taken", n)
	}
}
