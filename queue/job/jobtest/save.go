package jobtest

import (
	"context"
	"errors"
	"fmt"

	"github.com/flushline/flushline/queue/job"
)

func saves(b *bench) {
	st := b.open()
	b.publish(st, "job")
	l := b.claim(st, 0)
	other := b.open()
	for i := range 50 {
		want := fmt.Sprintf("save %d %s", i, value("x", i*100))
		b.save(l, []byte(want))
		if i%10 > 0 {
			continue
		}
		if got, err := other.Checkpoint(b.ctx, 0); err != nil || string(got) != want {
			b.Errorf("after save %d the checkpoint is %.20q and %v", i, got, err)
		}
	}
	if lost(l) {
		b.Error("the shard was lost to nobody")
	}
	b.release(l)
}

func abandonedSave(b *bench) {
	st := b.open()
	b.publish(st, "job")
	l := b.claim(st, 0)
	b.save(l, []byte("first"))
	for i := range 5 {
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		_ = l.Save(ctx, fmt.Append(nil, "given up ", i)) // whether it was stored is not known
		b.save(l, fmt.Append(nil, "kept ", i))
		b.checkpointIs(0, fmt.Sprint("kept ", i))
	}
	b.release(l)
}

func shardsApart(b *bench) {
	st := b.open()
	b.publish(st, "job")
	var leases []job.Lease
	for shard := range 3 {
		leases = append(leases, b.claim(st, shard))
	}
	for shard, l := range leases {
		b.save(l, fmt.Append(nil, "of ", shard))
	}
	for shard, l := range leases {
		b.checkpointIs(shard, fmt.Sprint("of ", shard))
		b.release(l)
	}
	for shard := range leases {
		l := b.claim(b.open(), shard)
		b.begins(l, fmt.Sprint("of ", shard))
		b.release(l)
	}
}

func removed(b *bench) {
	st := b.open()
	if err := st.Remove(b.ctx); err != nil {
		b.Fatalf("remove of what has not begun: %v", err)
	}
	b.publish(st, "first")
	l := b.claim(st, 0)
	b.save(l, []byte("of the first"))
	b.release(l)
	other := b.open()
	if err := other.Remove(b.ctx); err != nil {
		b.Fatalf("remove: %v", err)
	}
	for _, st := range []job.State{st, other, b.open()} {
		b.seesNothing(st)
		if got, err := st.Checkpoint(b.ctx, 0); got != nil || err != nil {
			b.Errorf("checkpoint of a removed job is %q and %v", got, err)
		}
	}
	b.publish(other, "second")
	b.sees(b.open(), "second", 3, 1000)
	l = b.claim(b.open(), 0)
	b.begins(l, "")
	b.save(l, []byte("of the second"))
	b.checkpointIs(0, "of the second")
	b.release(l)
}

func heldIsNotRemoved(b *bench) {
	st := b.open()
	b.publish(st, "job")
	l := b.claim(st, 1)
	b.save(l, []byte("at work"))
	err := b.open().Remove(b.ctx)
	var held *job.HeldError
	if !errors.As(err, &held) || held.Shard != 1 {
		b.Errorf("remove of a job that is worked at returned %v, want a HeldError of shard 1", err)
	}
	b.sees(b.open(), "job", 3, 1000)
	b.save(l, []byte("still at work"))
	b.checkpointIs(1, "still at work")
	b.release(l)
}
