package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
	"github.com/flushline/flushline/option"
)

// Run publishes, kills workers, and judges what the destination of h stored. A
// failure says what was lost or came twice; h.Except means nothing here.
func Run(t testing.TB, kind flushers.Kind, h flushertest.Harness) {
	t.Helper()
	RunPlan(t, kind, h, Plan{})
}

// Result is what a run was. The test has failed where it is not as it should be.
type Result struct {
	Groups     int // published and confirmed
	Lives      int // workers
	Killed     int // of them
	Outages    int // of the destination
	Verdict    *ledger.Verdict
	MostCopies int // logs that may be stored more often than once, by what the kind declares and what was killed
}

// RunPlan is Run in another size, or on another queue. The result is nil in the
// process of another test's worker.
func RunPlan(t testing.TB, kind flushers.Kind, h flushertest.Harness, p Plan) *Result {
	t.Helper()
	rounds := 1
	if os.Getenv("FLUSHLINE_LONG") != "" {
		rounds = 10
	}
	return runLives(t, kind, h, p, func(r *run) {
		for range rounds {
			r.live(r.round())
		}
		for r.journal.Tried() < uint64(p.Groups) {
			r.live([]life{(*run).dieOld})
		}
	})
}

// runLives is RunPlan with what happens to the workers that come before the last.
func runLives(t testing.TB, kind flushers.Kind, h flushertest.Harness, p Plan, lives func(*run)) *Result {
	t.Helper()
	if k := taskOfProcess(); k != nil {
		if k.Test == t.Name() {
			k.play(kind)
		}
		return nil // another test's process
	}
	r := newRun(t, kind, h, p.or(startNATS))
	r.program("check", r.checked)
	r.program("setup", "-c", r.config)
	stop := r.produce()
	lives(r)
	stop()
	r.drained()
	return r.judge()
}

// run is one Run.
type run struct {
	testing.TB
	kind    flushers.Kind
	to      flushertest.Target
	rng     *mathrand.Rand
	plan    Plan
	queue   Queue
	load    ledger.Load
	path    string // of the journal
	journal *ledger.Journal
	dir     string
	config  string // of the workers
	checked string // the same, as users of the kind write it
	lives   int
	killed  int
	outages int // of the destination
	held    int // messages that were not acknowledged when a worker was killed
	open    int // groups that a worker may have stored and did not acknowledge
	failed  int // groups that were in a Flush which failed
}

// keys are lanes over two projects: enough for several at a time, few enough for a
// kind that opens something for each.
var keys = ledger.Keys(12, "shop", "billing")

// live lets workers live one after the other.
func (r *run) live(lives []life) {
	for _, l := range lives {
		l(r)
	}
}

func newRun(t testing.TB, kind flushers.Kind, h flushertest.Harness, p Plan) *run {
	t.Helper()
	if kind.Durability == flushers.Enqueued {
		t.Fatalf("the kind %s says Enqueued: it promises nothing that a kill could break", kind.Name)
	}
	r := &run{TB: t, kind: kind, plan: p, rng: seed.New(t), dir: t.TempDir(), to: h.Start(t)}
	f := kind.New()
	option.Decode(option.FromAny(r.to.Options), f)
	r.kind = kind.As(f)
	if r.to.Stored == nil {
		t.Fatal("Target.Stored is missing: there is no verdict without a look at what is stored")
	}
	r.queue = p.Queue(t)
	r.load = ledger.Load{Run: runName(), Keys: keys, Logs: p.Logs, Bytes: 100, Rate: p.Rate, Start: time.Now()}
	r.path = filepath.Join(r.dir, "journal")
	var err error
	if r.journal, err = ledger.OpenJournal(r.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.journal.Close() }) // each line was written when it was made
	if err := r.writeConfigs(&r.kind, r.to.Options); err != nil {
		t.Fatal(err)
	}
	return r
}

// runName keeps the ids of two runs at one destination apart.
func runName() string {
	var b [4]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// program runs a command of flushline that ends by itself.
func (r *run) program(args ...string) {
	r.Helper()
	c := (&task{Args: args}).command(r)
	if _, err := c.StdinPipe(); err != nil { // its end would be the end of the process
		r.Fatal(err)
	}
	if out, err := c.CombinedOutput(); err != nil {
		r.Fatalf("`flushline %s` failed with the Target's options: %v\n%s", args[0], err, out)
	}
}

// backlog is for how many seconds messages may wait for a worker: a slow destination is
// not buried in what it could never store in time.
const backlog = 2

// produce publishes in the background until the returned function is called.
func (r *run) produce() (stop func()) {
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- r.publish(ctx) }()
	return func() {
		r.Helper()
		cancel()
		if err := <-done; err != nil {
			r.Fatal(err)
		}
	}
}

func (r *run) publish(ctx context.Context) error {
	load := r.load
	load.Groups = max(50, load.Rate/10)
	send := r.queue.Send(&load)
	for ctx.Err() == nil {
		at, err := r.queue.Ask(r.Context())
		if err != nil {
			return err
		}
		if at.Waiting > backlog*load.Rate {
			<-time.After(50 * time.Millisecond)
			continue
		}
		if err := ledger.ProduceTo(ctx, send, load, r.journal); err != nil {
			return err
		}
	}
	return nil
}
