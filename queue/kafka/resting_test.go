package kafka_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
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
	k, sweeps = counting(t, cfg)
	k.prepare()
	park(k)
	k.serve()
	eventually(t, "three sweeps", func() bool { return sweeps() == 3 })
	return k, sweeps
}

// counting is a keeper, and how many of its sweeps have ended.
func counting(t *testing.T, cfg *kafka.Config) (k *keeper, sweeps func() int) {
	t.Helper()
	core, lines := observer.New(zapcore.DebugLevel)
	k = newKeeper(t, connect(t, cfg), cfg, func(o *kafka.Options) { o.Log = zap.New(core) })
	return k, func() int { return lines.FilterMessage("swept").Len() }
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
	k.refuses(true, "quiet")
	k.quietly("quiet", queue.GateProbe)
	eventually(t, "the quiet lane being tried", func() bool { return k.times(k.tries, "quiet") >= 3 }) // a sweep does so once
	if n := sweeps(); n != 3 {
		t.Errorf("behind %d sweeps: it waited for the next one", n)
	}
	k.quietly("quiet", queue.GateShut)
	k.quietly("late", queue.GateProbe)
	eventually(t, "the late lane being drained", func() bool { return k.count("late") == 10 })
	eventually(t, "the sweeps being at rest again", func() bool { return sweeps() >= 4 })
	k.quietly("big", queue.GateOpen)
	eventually(t, "the cut record's lane being drained", func() bool { return k.count("big") == 20 })
	k.quietly("quiet", queue.GateOpen)
	k.refuses(false, "quiet")
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
	k.leaves(cfg, "a", 9)
}

// leaves has another keeper take all, and expects so many records of a lane: the others
// have ended.
func (k *keeper) leaves(cfg *kafka.Config, project string, want int) {
	k.Helper()
	again := newKeeper(k.T, connect(k.T, cfg), cfg)
	again.gates[project], again.gates["dead"] = queue.GateOpen, queue.GateOpen
	again.serve()
	again.emptied()
	again.stop()
	if n := again.count(project); n != want {
		k.Errorf("%d records of lane %s came again, want %d", n, project, want)
	}
}

// emptied waits until nothing is parked any more.
func (k *keeper) emptied() {
	k.Helper()
	eventually(k.T, "nothing being parked any more", func() bool {
		left, err := k.parked.Lanes(k.Context())
		return err == nil && len(left) == 0
	})
}

// So has what it took before the stop, when the next sweep had not begun.
func TestATryBeforeTheStopIsCommitted(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	k, sweeps := atRest(t, cfg, func(k *keeper) {
		k.park(cfg, "dead", 0, 10)
		k.park(cfg, "a", 10, 20)
	})
	var silent atomic.Bool
	var asked atomic.Int32
	b.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) { // a sweep begins with it
		b.KeepControl()
		if !silent.Load() {
			return nil, nil, false
		}
		asked.Add(1)
		return req.ResponseKind(), nil, true
	})
	silent.Store(true)
	k.quietly("a", queue.GateProbe)
	eventually(t, "the next sweep asking for the log", func() bool { return asked.Load() > 0 })
	k.stop()
	if took, n := k.count("a"), sweeps(); took != 1 || n != 3 {
		t.Fatalf("%d records were taken behind %d sweeps, want one behind 3", took, n)
	}
	silent.Store(false)
	k.leaves(cfg, "a", 9)
}

// What a lane is tried with between two sweeps and does not take stays parked.
func TestARefusedTryStaysParked(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	k, _ := atRest(t, cfg, func(k *keeper) {
		k.park(cfg, "quiet", 0, 10)
		k.park(cfg, "dead", 10, 20)
	})
	k.refuses(true, "quiet")
	k.quietly("quiet", queue.GateProbe)
	eventually(t, "the quiet lane being tried", func() bool { return k.times(k.tries, "quiet") >= 2 })
	k.refuses(false, "quiet")
	k.set("quiet", queue.GateOpen)
	k.set("dead", queue.GateOpen)
	k.emptied()
	k.stop()
	for _, project := range []string{"quiet", "dead"} {
		if n := k.count(project); n != 10 {
			t.Errorf("nothing is parked any more, and %d records of lane %s were taken, want 10", n, project)
		}
	}
}

// A sweep that put records again rests long. Lanes whose records lie behind what it read,
// because it put them there or because they came since, are tried meanwhile.
func TestWhatWasPutAgainIsTriedBetweenSweeps(t *testing.T) {
	t.Parallel()
	const lasts = 5 * time.Second // the sweep: it rests for thrice as long at least
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := quick(reading(b.ListenAddrs(), "logs"))
	k, sweeps := counting(t, cfg)
	k.prepare()
	k.park(cfg, "dead", 0, 20)
	k.park(cfg, "alive", 20, 40)
	k.park(cfg, "slow", 40, 41)
	k.gates["alive"], k.gates["slow"], k.slow["slow"] = queue.GateOpen, queue.GateOpen, true
	k.serve()
	eventually(t, "the slow lane having its record", func() bool { return k.times(k.tries, "slow") == 1 })
	began := time.Now()
	eventually(t, "the sweep having lasted", func() bool { return time.Since(began) >= lasts })
	k.letGo()
	eventually(t, "the end of the sweep", func() bool { return sweeps() == 1 })
	k.park(cfg, "late", 41, 51)
	k.refuses(true, "dead", "late")
	k.quietly("dead", queue.GateProbe)
	k.quietly("late", queue.GateProbe)
	for _, project := range []string{"dead", "late"} {
		eventually(t, "lane "+project+" being tried", func() bool { return k.times(k.tries, project) >= 3 }) // a sweep does so once
	}
	if n := sweeps(); n != 1 {
		t.Errorf("behind %d sweeps: they waited for the next one", n)
	}
	k.refuses(false, "dead", "late")
	k.drains("dead", 20)
	k.drains("late", 10)
	k.stop()
}
