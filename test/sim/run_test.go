package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// What the environment says: how many seeds, which first, or one and how often.
const (
	seedsEnv = "FLUSHLINE_SIM_SEEDS"
	firstEnv = "FLUSHLINE_SIM_FIRST"
	seedEnv  = "FLUSHLINE_SIM_SEED"
	timesEnv = "FLUSHLINE_SIM_TIMES"
)

const (
	defaultSeeds = 8   // in a plain `go test`
	plantedSeeds = 80  // in `make mutants`
	defaultTimes = 20  // of a seed that is to be repeated
	enough       = 100 // seeds in which every kind of fault has to happen
)

func number(t testing.TB, env string, or uint64) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return or
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// planted says that a defect may be planted, which has to show: the first seed that
// fails is enough.
func planted() bool {
	_, is := os.LookupEnv("FLUSHLINE_MUTANT")
	return is
}

// simulation is one half's test.
type simulation struct {
	name  string // of the run that is kept
	test  string // the name of the test
	shows string
	half  func(t *testing.T) half
	musts []string // faults of the half that have to happen
}

// sharedMusts are the faults that have to happen whatever the queue is.
var sharedMusts = []string{
	"stop-while-holding", "kill-while-holding", "kill-while-draining", "reload", "letters-fail", "destination-silent",
	"flush-slow", "flush-error", "flush-retry-after", "flush-partial", "flush-too-large", "flush-permanent", "flush-panic",
	"flush-misconfigured", "flush-hang", "flush-deaf", "not-ready", "ready-panic", "ready-slow", "init-error", "stop-error",
}

// outcome is one seed's.
type outcome struct {
	Seed    uint64         `json:"seed"`
	Mood    mood           `json:"mood"`
	Broken  []string       `json:"broken,omitempty"`
	Story   []string       `json:"story,omitempty"` // of a seed that failed
	Seen    map[string]int `json:"seen"`
	Sum     sum            `json:"sum"`
	Pods    int            `json:"pods"`
	Looks   int            `json:"looks"`
	Minutes float64        `json:"minutes"` // simulated
}

// run is the test: seeds in children of this process, their outcomes here.
func (s *simulation) run(t *testing.T) {
	if spec := os.Getenv(childEnv); spec != "" {
		s.asChild(t, spec)
		return
	}
	or := uint64(defaultSeeds)
	if planted() {
		or = plantedSeeds
	}
	first, n, times := number(t, firstEnv, 1), number(t, seedsEnv, or), 1
	one := number(t, seedEnv, 0)
	if one > 0 {
		first, n, times = one, 1, int(number(t, timesEnv, defaultTimes))
	}
	run := proof.Begin("sim-"+s.name, s.shows, fmt.Sprintf("make sim SEEDS=%d RUN=%s", n, s.test))
	all := s.children(t, first, int(n), times)
	for _, o := range all {
		if len(o.Broken) > 0 {
			t.Errorf("seed %d: %s\n%s\nrepeat it %d times: %s=%d make sim RUN=%s",
				o.Seed, strings.Join(o.Broken, "\n  "), strings.Join(o.Story, "\n"), defaultTimes, seedEnv, o.Seed, s.test)
		}
	}
	s.judge(t, run, all, int(n), one > 0)
}

// judge sums up, and keeps a run whose size somebody asked for.
func (s *simulation) judge(t *testing.T, run *proof.Run, all []outcome, n int, repeated bool) {
	var sum sum
	moods := map[mood]int{}
	failed, once, twice, pods, looks, minutes := 0, 0, 0, 0, 0, 0.0
	for _, o := range all {
		for kind, times := range o.Seen {
			run.Fault(kind, times)
		}
		if len(o.Broken) > 0 {
			failed++
		}
		moods[o.Mood]++
		if o.Mood != wild {
			once++
			twice += o.Sum.Duplicates
		}
		sum.add(o.Sum)
		pods, looks, minutes = pods+o.Pods, looks+o.Looks, minutes+o.Minutes
	}
	faults := 0
	for _, times := range run.Faults {
		faults += times
	}
	t.Logf("%d seeds %v, %.0f simulated minutes, %d workers, %d faults: %v", len(all), moods, minutes, pods, faults, run.Faults)
	t.Logf("%+v, %d looks at the accounts", sum, looks)
	if n >= enough && !repeated {
		for _, kind := range slices.Concat(sharedMusts, s.musts) {
			if run.Faults[kind] == 0 {
				t.Errorf("%s never happened in %d seeds: what it would show was not shown", kind, n)
			}
		}
	}
	if os.Getenv(seedsEnv) == "" || repeated {
		return
	}
	run.AtLeast("seeds", float64(len(all)), float64(n), "")
	run.AtMost("seeds in which something was lost, spurious, corrupt, acknowledged too early, repeated without reason, unbalanced or left", float64(failed), 0, "")
	run.AtMost("duplicates in worlds without unclean faults", float64(twice), 0, "")
	run.Value("worlds without unclean faults", float64(once), "")
	run.Value("faults", float64(faults), "")
	run.Value("simulated time", minutes, "minutes")
	run.Value("messages", float64(sum.Messages), "")
	run.Value("parts that had to end", float64(sum.Parts), "")
	run.Value("acknowledgements that were held against what had ended", float64(sum.Acks), "")
	run.Value("messages handed out again", float64(sum.Again), "")
	run.Value("duplicates", float64(sum.Duplicates), "")
	run.Value("dead letters", float64(sum.Letters), "")
	run.Value("looks at the accounts", float64(looks), "")
	run.Note("A group may reach a destination at most as often as a worker got its message: every duplicate was counted against a redelivery.")
	run.End(t)
}

func (s *sum) add(o sum) {
	s.Messages += o.Messages
	s.Handouts += o.Handouts
	s.Again += o.Again
	s.Parts += o.Parts
	s.Duplicates += o.Duplicates
	s.Letters += o.Letters
	s.Acks += o.Acks
}

// asChild runs seeds, each in a bubble of its own, and says how they ended.
func (s *simulation) asChild(t *testing.T, spec string) {
	var first uint64
	var n, times int
	if _, err := fmt.Sscanf(spec, "%d %d %d", &first, &n, &times); err != nil {
		t.Fatalf("%s: %v", childEnv, err)
	}
	for seed := first; seed < first+uint64(n); seed++ {
		for range times {
			forget()
			fmt.Printf("%s %d\n", sayBegin, seed)
			var o *outcome
			t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
				h := s.half(t)
				synctest.Test(t, func(t *testing.T) { o = imagine(t, h, seed) })
			})
			if o == nil {
				t.Fatalf("seed %d has no outcome", seed)
			}
			b, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("%s %s\n", sayEnd, b)
			if planted() && times == 1 && len(o.Broken) > 0 {
				return
			}
		}
	}
}

// forget empties the pools of the process: libraries keep timers and channels in them
// for reuse, and those of one bubble must not meet another. Two collections do.
func forget() {
	runtime.GC()
	runtime.GC()
}

// imagine runs one world.
func imagine(t *testing.T, h half, seed uint64) *outcome {
	w := newWorld(t, h, seed)
	w.run()
	o := &outcome{
		Seed: seed, Mood: w.mood, Broken: w.book.violations(), Seen: w.seen, Sum: w.book.sum(),
		Pods: int(w.pods.Load()), Looks: int(w.looks.Load()), Minutes: time.Since(w.began).Minutes(),
	}
	if len(o.Broken) > 0 {
		o.Story = w.story()
	}
	return o
}

// story is what a world was and what happened in it.
func (w *world) story() []string {
	lines := []string{fmt.Sprintf("%d slots, %d messages, %+v, drain %v", len(w.slots), len(w.messages), w.config.Limits, w.config.Drain), "schedule:"}
	for _, f := range w.faults {
		lines = append(lines, "  "+f.String())
	}
	return append(append(lines, "what happened:"), w.log...)
}
