package jobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"

	"github.com/flushline/flushline/queue/job"
)

// value is n bytes that no place can compress away.
func value(name string, n int) []byte {
	v := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), uint64(len(name))))
	for i := range v {
		v[i] = byte(r.Uint32())
	}
	copy(v, name)
	return v
}

// values are the n pieces of a name.
func values(name string, n, size int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range n {
			if !yield(value(fmt.Sprintf("%s/%d ", name, i), size)) {
				return
			}
		}
	}
}

// plan is them as they come to be published.
func plan(name string, n, size int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for v := range values(name, n, size) {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func manifest(name string) func(int) ([]byte, error) {
	return func(pieces int) ([]byte, error) { return fmt.Appendf(nil, "%s of %d\n\x00", name, pieces), nil }
}

// publish begins the job with 3 pieces.
func (b *bench) publish(st job.State, name string) {
	b.Helper()
	if err := st.Publish(b.ctx, plan(name, 3, 1000), manifest(name)); err != nil {
		b.Fatalf("publish: %v", err)
	}
}

// sees checks that a view has the whole plan of a name.
func (b *bench) sees(st job.State, name string, pieces, size int) {
	b.Helper()
	want, _ := manifest(name)(pieces)
	if got, err := st.Manifest(b.ctx); err != nil || !bytes.Equal(got, want) {
		b.Errorf("manifest is %q and %v, want %q", got, err, want)
	}
	i := 0
	for want := range values(name, pieces, size) {
		if got, err := st.Piece(b.ctx, i); err != nil || !bytes.Equal(got, want) {
			b.Errorf("piece %d of %s has %d bytes (%.20q) and %v, want %d (%.20q)", i, name, len(got), got, err, len(want), want)
		}
		i++
	}
	if got, err := st.Piece(b.ctx, pieces); err == nil {
		b.Errorf("there is a piece %d of %d bytes beyond the last", pieces, len(got))
	}
}

func (b *bench) seesNothing(st job.State) {
	b.Helper()
	if got, err := st.Manifest(b.ctx); got != nil || err != nil {
		b.Errorf("manifest is %q and %v, want none", got, err)
	}
}

func nothingThere(b *bench) {
	st := b.open()
	b.seesNothing(st)
	if got, err := st.Checkpoint(b.ctx, 0); got != nil || err != nil {
		b.Errorf("checkpoint is %q and %v, want none", got, err)
	}
	if st.Describe() == "" {
		b.Error("it does not say where it is")
	}
}

func published(b *bench) {
	st := b.open()
	b.publish(st, "first")
	b.sees(st, "first", 3, 1000)
	other := b.open()
	if err := other.Publish(b.ctx, plan("second", 1, 10), manifest("second")); !errors.Is(err, job.ErrBegun) {
		b.Errorf("a second publish returned %v, want ErrBegun", err)
	}
	b.sees(other, "first", 3, 1000)
	b.sees(b.open(), "first", 3, 1000)
}

func noPieces(b *bench) {
	st := b.open()
	if err := st.Publish(b.ctx, plan("none", 0, 0), manifest("none")); err != nil {
		b.Fatalf("publish: %v", err)
	}
	b.sees(b.open(), "none", 0, 0)
}

func publishRace(b *bench) {
	const several = 4
	var (
		wg   sync.WaitGroup
		errs [several]error
		sts  [several]job.State
	)
	for i := range several {
		sts[i] = b.open()
	}
	begin := make(chan struct{})
	for i := range several {
		wg.Go(func() {
			<-begin
			name := fmt.Sprintf("attempt %d", i)
			errs[i] = sts[i].Publish(b.ctx, plan(name, 5, 3000), manifest(name))
		})
	}
	close(begin)
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			b.Errorf("attempts %d and %d both began the job", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, job.ErrBegun):
			b.Errorf("attempt %d failed with %v, want ErrBegun", i, err)
		}
	}
	if winner < 0 {
		b.Fatal("nobody began the job")
	}
	for _, st := range sts {
		b.sees(st, fmt.Sprintf("attempt %d", winner), 5, 3000)
	}
}

var errPlan = errors.New("the walk failed")

func brokenPlan(b *bench) {
	st := b.open()
	broken := func(yield func([]byte, error) bool) {
		_ = yield(value("broken", 1000), nil) && yield(nil, errPlan)
	}
	if err := st.Publish(b.ctx, broken, manifest("broken")); !errors.Is(err, errPlan) {
		b.Errorf("publish returned %v, want the plan's error", err)
	}
	b.seesNothing(st)
	err := st.Publish(b.ctx, plan("broken", 1, 10), func(int) ([]byte, error) { return nil, errPlan })
	if !errors.Is(err, errPlan) {
		b.Errorf("publish returned %v, want the manifest's error", err)
	}
	b.seesNothing(st)
	b.publish(st, "whole")
	b.sees(b.open(), "whole", 3, 1000)
}

func deadPublisher(b *bench) {
	ctx, die := context.WithCancel(b.ctx)
	dying := func(yield func([]byte, error) bool) {
		if yield(value("first", 1000), nil) && yield(value("second", 1000), nil) {
			die()
			_ = yield(value("third", 1000), nil)
		}
	}
	st := b.Open(b.T)
	if err := st.Publish(ctx, dying, manifest("dead")); err == nil {
		b.Error("a publish whose context ended has begun the job")
	}
	if err := st.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
	st = b.open()
	b.seesNothing(st)
	b.publish(st, "living")
	b.sees(b.open(), "living", 3, 1000)
}

func largest(b *bench) {
	st := b.open()
	whole := func(pieces int) ([]byte, error) { return value(fmt.Sprint(pieces), job.MaxValue), nil }
	if err := st.Publish(b.ctx, plan("large", 3, job.MaxValue), whole); err != nil {
		b.Fatalf("publish: %v", err)
	}
	other := b.open()
	if got, err := other.Manifest(b.ctx); err != nil || !bytes.Equal(got, value("3", job.MaxValue)) {
		b.Errorf("manifest has %d bytes (%.10q) and %v", len(got), got, err)
	}
	i := 0
	for want := range values("large", 3, job.MaxValue) {
		if got, err := other.Piece(b.ctx, i); err != nil || !bytes.Equal(got, want) {
			b.Errorf("piece %d has %d bytes (%.20q) and %v", i, len(got), got, err)
		}
		i++
	}
	l := b.claim(st, 0)
	b.save(l, value("checkpoint", job.MaxValue))
	if got, err := other.Checkpoint(b.ctx, 0); err != nil || !bytes.Equal(got, value("checkpoint", job.MaxValue)) {
		b.Errorf("checkpoint has %d bytes (%.10q) and %v", len(got), got, err)
	}
	b.release(l)
}
