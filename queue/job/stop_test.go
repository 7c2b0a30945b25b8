package job_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

// A stop finds a slice that was read to its end, and of which not all was fetched:
// what lay in the buffer is not done.
func TestWhatWasReadAndNotFetchedComesAfterAStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		in.batch = func(string, int64) int { return 100 }
		slice := in.fill("a", 100)
		got := &seen{}
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, queue.Room{Messages: 10, Bytes: 4 << 20})
			got.add(ds)
			ack(ds...)
			<-ctx.Done()
			return err
		}}
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, slice))
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx, h) }()
		synctest.Wait()
		stop(stopping(time.Second))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if r := src.Report(); r.Finished || r.Slices != 0 || r.Messages != 10 || r.Twice != 0 {
			t.Errorf("after the stop: %+v", r)
		}
		if n := h.bytes.Load(); n != 0 {
			t.Errorf("%d bytes were not given back", n)
		}

		src = newSource(t, configOf(in, newLease(lease.Checkpoint()), slice))
		if err := src.Run(t.Context(), &server{serve: deliverAll(got)}); err != nil {
			t.Fatal(err)
		}
		if r := src.Report(); !r.Finished || r.Messages != 100 {
			t.Errorf("after the second start: %+v", r)
		}
		want := map[string]int{}
		for _, c := range in.at["a"] {
			want[c.value] = 1
		}
		if diff := cmp.Diff(want, got.all()); diff != "" {
			t.Errorf("delivered (-want +got):\n%s", diff)
		}
	})
}

// However long the strands take to end, the last checkpoint has its time afterwards.
func TestALongDrainLeavesTimeForTheLastCheckpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		slice := in.fill("a", 100)
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, room) // 16 messages
			if err != nil {
				return err
			}
			<-ctx.Done()
			time.Sleep(time.Minute)
			ack(ds...)
			return nil
		}}
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, slice))
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx, h) }()
		synctest.Wait()
		stop(stopping(time.Minute))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		kept := newSource(t, configOf(in, newLease(lease.Checkpoint()), slice)).Report()
		if kept.Messages != 16 || kept.Twice != 0 {
			t.Errorf("the last checkpoint says %+v", kept)
		}
	})
}
