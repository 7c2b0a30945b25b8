package jobtest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flushline/flushline/queue/job"
)

// checkpointIs checks what everybody sees of a shard.
func (b *bench) checkpointIs(shard int, want string) {
	b.Helper()
	if got, err := b.open().Checkpoint(b.ctx, shard); err != nil || string(got) != want {
		b.Errorf("checkpoint of shard %d is %.50q and %v, want %.50q", shard, got, err, want)
	}
}

func (b *bench) begins(l job.Lease, want string) {
	b.Helper()
	if got := string(l.Checkpoint()); got != want {
		b.Errorf("the lease begins with %.50q, want %.50q", got, want)
	}
}

// refused checks that a shard cannot be claimed.
func (b *bench) refused(st job.State, shard int) {
	b.Helper()
	l, err := st.Claim(b.ctx, shard)
	var held *job.HeldError
	if !errors.As(err, &held) {
		if err == nil {
			_ = l.Release(b.ctx)
		}
		b.Fatalf("claim of a shard that is held returned %v, want a HeldError", err)
	}
	if held.Shard != shard || held.By == "" {
		b.Errorf("shard %d is held by %q, want shard %d and a name", held.Shard, held.By, shard)
	}
}

func lost(l job.Lease) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

func heldIsRefused(b *bench) {
	st := b.open()
	b.publish(st, "job")
	l := b.claim(st, 1)
	b.begins(l, "")
	b.save(l, []byte("one"))
	other := b.open()
	b.refused(other, 1)
	b.release(b.claim(other, 0))
	if lost(l) {
		b.Error("the holder lost its shard to somebody who was refused")
	}
	b.save(l, []byte("two"))
	b.checkpointIs(1, "two")
	b.release(l)
}

func claimRace(b *bench) {
	const several = 4
	b.publish(b.open(), "job")
	var (
		wg     sync.WaitGroup
		leases [several]job.Lease
		errs   [several]error
		sts    [several]job.State
	)
	for i := range several {
		sts[i] = b.open()
	}
	begin := make(chan struct{})
	for i := range several {
		wg.Go(func() {
			<-begin
			leases[i], errs[i] = sts[i].Claim(b.ctx, 0)
		})
	}
	close(begin)
	wg.Wait()
	winner := -1
	for i, err := range errs {
		var held *job.HeldError
		switch {
		case err == nil && winner >= 0:
			b.Errorf("%d and %d both hold the shard", winner, i)
		case err == nil:
			winner = i
		case !errors.As(err, &held):
			b.Errorf("claim %d failed with %v, want a HeldError", i, err)
		}
	}
	if winner < 0 {
		b.Fatal("nobody got the shard")
	}
	b.save(leases[winner], []byte("mine"))
	b.checkpointIs(0, "mine")
	b.release(leases[winner])
}

func released(b *bench) {
	st := b.open()
	b.publish(st, "job")
	for i := range 3 {
		before := time.Now()
		l := b.claim(b.open(), 0)
		if took := time.Since(before); i > 0 && b.Lease > 0 && took > b.Lease/2 {
			b.Errorf("a shard that was released is free after %v, want at once (a lease is %v)", took, b.Lease)
		}
		want := ""
		if i > 0 {
			want = fmt.Sprint("save ", i-1)
		}
		b.begins(l, want)
		b.save(l, fmt.Append(nil, "save ", i))
		b.release(l)
		if err := l.Save(b.ctx, []byte("late")); err == nil {
			b.Error("a lease that was released can still save")
		}
	}
	b.checkpointIs(0, "save 2")
}

func deadHolder(b *bench) {
	st := b.Open(b.T)
	b.publish(st, "job")
	old := b.claim(st, 0)
	b.save(old, []byte("its last"))
	if err := st.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
	l := b.claim(b.open(), 0)
	b.begins(l, "its last")
	if err := old.Save(b.ctx, []byte("of the dead")); err == nil {
		b.Error("a lease of a state that was closed can still save")
	}
	b.save(l, []byte("next"))
	b.checkpointIs(0, "next")
	b.release(l)
}

func frozenHolder(b *bench) {
	if b.Freeze == nil {
		b.Skip("holders cannot be taken for dead here")
	}
	st := b.open()
	b.publish(st, "job")
	old := b.claim(st, 0)
	b.save(old, []byte("its last"))
	thaw := b.Freeze(b.T, st)
	l := b.claim(b.open(), 0)
	b.begins(l, "its last")
	b.save(l, []byte("next"))
	thaw()
	b.lostSave(old)
	select {
	case <-old.Lost():
	case <-b.ctx.Done():
		b.Error("the old holder was not told that it lost the shard")
	}
	b.checkpointIs(0, "next")
	b.save(l, []byte("still mine"))
	b.checkpointIs(0, "still mine")
	if lost(l) {
		b.Error("the new holder lost the shard to the old one")
	}
	b.release(l)
}

// lostSave tries until the place answers: it may be some time before a process that
// was frozen reaches it again.
func (b *bench) lostSave(l job.Lease) {
	b.Helper()
	for {
		err := l.Save(b.ctx, []byte("of the frozen"))
		if errors.Is(err, job.ErrLost) {
			return
		}
		if err == nil || b.ctx.Err() != nil {
			b.Errorf("the old holder's save returned %v, want ErrLost", err)
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-b.ctx.Done():
		}
	}
}
