package job_test

import (
	"context"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// A rate is no burst now and nothing later: a Fetch brings about 100 ms worth of it.
func TestAFetchAtARateBringsALittle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		in.batch = func(string, int64) int { return 1 << 20 }
		cfg := configOf(in, nil, in.fill("a", 2000))
		groups := 0
		cfg.Gate = job.NewGate(1000, 0, func(*queue.Message) int { groups++; return 2 })
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			for {
				ds, err := s.Fetch(ctx, room)
				if len(ds) > 51 {
					t.Errorf("%d messages of two groups came at once, at 1,000 groups a second", len(ds))
				}
				ack(ds...)
				if err != nil {
					return nilIf(err, true)
				}
			}
		}}
		if err := newSource(t, cfg).Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		if groups != 2000 {
			t.Errorf("%d messages were counted, want each of 2,000 once", groups)
		}
	})
}

// A closed gate holds back what was read, and the next Read; the end of a slice needs
// no gate.
func TestAClosedGateHoldsReadingBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		cfg := configOf(in, newLease(nil), in.fill("a", 100), in.fill("b", 100))
		cfg.Gate = job.NewGate(0, 0, nil)
		got := &seen{}
		first := make(chan struct{})
		deliver := deliverAll(got)
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, queue.Room{Messages: 1, Bytes: 1 << 20})
			if err != nil {
				return err
			}
			got.add(ds)
			ack(ds...)
			cfg.Gate.Close("lag")
			first <- struct{}{}
			return deliver(ctx, s)
		}}
		src := newSource(t, cfg)
		done := make(chan error, 1)
		go func() { done <- src.Run(t.Context(), h) }()
		<-first
		time.Sleep(time.Hour)
		before := len(got.all())
		if before > 2 {
			t.Errorf("%d messages came through a closed gate", before)
		}
		go func() { <-first }()
		cfg.Gate.Open()
		time.Sleep(time.Hour)
		cfg.Gate.Open()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(got.all()); n != 200 {
			t.Errorf("%d messages came, want 200", n)
		}
	})
}
