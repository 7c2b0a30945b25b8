package jobtest

import (
	"context"
	"testing"
	"time"

	"github.com/flushline/flushline/queue/job"
)

// Place is where one job may be kept that has not begun.
type Place struct {
	// Open is another process's view of the job. What it opens, the suite closes.
	Open func(t *testing.T) job.State

	// Freeze makes the process behind a State look dead to all others, although it
	// lives: nothing that it does reaches the place until thaw is called. nil: holders
	// cannot be taken for dead here.
	Freeze func(t *testing.T, st job.State) (thaw func())

	// Lease is how long a holder that died keeps a shard at most. 0: it does not.
	Lease time.Duration

	// Patience is how long one test of the suite may last; 0: a minute.
	Patience time.Duration
}

// Run runs the suite, each test on a place of its own and all in parallel.
func Run(t *testing.T, begin func(t *testing.T) Place) {
	for name, test := range map[string]func(*bench){
		"a job that has not begun is empty":                       nothingThere,
		"what was published is there for everybody":               published,
		"a plan may have no piece":                                noPieces,
		"of several that begin a job one wins":                    publishRace,
		"a plan that ends with an error begins nothing":           brokenPlan,
		"what a publisher that died left is never seen":           deadPublisher,
		"a held shard is refused and others are free":             heldIsRefused,
		"of several that claim a shard one gets it":               claimRace,
		"a released shard is free at once":                        released,
		"the shard of a holder that died becomes free":            deadHolder,
		"a holder that was taken for dead loses the shard":        frozenHolder,
		"what was saved last counts":                              saves,
		"a save that was given up is replaced by the next":        abandonedSave,
		"checkpoints of shards are apart":                         shardsApart,
		"the largest value fits":                                  largest,
		"a removed job can begin anew and nothing of it comes up": removed,
		"a job that is worked at is not removed":                  heldIsNotRemoved,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bench{T: t, Place: begin(t)}
			if b.Patience == 0 {
				b.Patience = time.Minute
			}
			ctx, cancel := context.WithTimeout(context.Background(), b.Patience)
			t.Cleanup(cancel)
			b.ctx = ctx
			test(b)
		})
	}
}

// bench is one test's place and its patience.
type bench struct {
	*testing.T
	Place
	ctx context.Context
}

// open is a process's view, closed at the end of the test.
func (b *bench) open() job.State {
	b.Helper()
	st := b.Open(b.T)
	b.Cleanup(func() { _ = st.Close() })
	return st
}

func (b *bench) claim(st job.State, shard int) job.Lease {
	b.Helper()
	l, err := st.Claim(b.ctx, shard)
	if err != nil {
		b.Fatalf("claim of shard %d: %v", shard, err)
	}
	return l
}

func (b *bench) save(l job.Lease, value []byte) {
	b.Helper()
	if err := l.Save(b.ctx, value); err != nil {
		b.Fatalf("save: %v", err)
	}
}

func (b *bench) release(l job.Lease) {
	b.Helper()
	if err := l.Release(b.ctx); err != nil {
		b.Fatalf("release: %v", err)
	}
}
