package job_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

func TestAJobDeliversItsRangeAndSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := []job.Slice{in.fill("a", 100), in.fill("b", 0), in.fill("c", 37)}
		in.add("d", cell{value: "d/0"}, cell{hole: job.PassedControl}, cell{hole: job.PassedExpired}, cell{value: "d/3", damaged: true}, cell{hole: job.PassedControl})
		plan = append(plan, in.slice("d"))
		got := &seen{}
		h := &server{serve: deliverAll(got)}
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, plan...))
		if src.Done() {
			t.Error("it is done before it began")
		}
		if err := src.Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		r := src.Report()
		want := job.Report{
			Job: "test", Of: 1, Kind: "tape", Range: "all", Finished: true, Planned: job.ShardSize{Slices: 4, Positions: 142},
			Totals: job.Totals{
				Slices: 4, Messages: 139, Bytes: r.Bytes, Passed: map[string]int64{job.PassedControl: 2, job.PassedExpired: 1},
				Groups:  map[string]job.Groups{"r/f": {Flushed: 139}},
				Damaged: 1, Damage: []job.Damage{{Slice: "d", Offset: 3, Length: 1, Why: "torn"}},
			},
			Starts: 1, Elapsed: r.Elapsed,
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"1 positions passed over: expired", "1 damaged parts of inputs"}, r.Missing()); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		for value, n := range got.all() {
			if n != 1 {
				t.Errorf("%s came %d times", value, n)
			}
		}
		if n := h.bytes.Load(); n != 0 {
			t.Errorf("%d bytes were not given back", n)
		}
		if n := in.live.Load(); n != 0 {
			t.Errorf("%d readers were not closed", n)
		}

		again := newSource(t, configOf(in, newLease(lease.Checkpoint()), plan...))
		if !again.Done() {
			t.Error("a job that has finished is not done")
		}
		before := in.opened.Load()
		if err := again.Run(t.Context(), h); err != nil || in.opened.Load() != before {
			t.Errorf("a job that has finished read again: %v", err)
		}
		if diff := cmp.Diff(want, again.Report()); diff != "" {
			t.Errorf("report of the next start (-want +got):\n%s", diff)
		}
		kept, err := job.ReportOf(configOf(in, nil, plan...).Manifest, 0, lease.Checkpoint())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, kept); diff != "" {
			t.Errorf("report of the checkpoint (-want +got):\n%s", diff)
		}
	})
}

func TestAStoppedJobGoesOnWhereItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := []job.Slice{in.fill("a", 100), in.fill("b", 100)}
		got := &seen{}
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		var kept atomic.Int64
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, room) // 16 messages
			if err != nil {
				return err
			}
			got.add(ds[:10])
			ack(ds[:5]...)
			ack(ds[6:10]...)
			<-ctx.Done()
			giveBack(ds[5])
			giveBack(ds[10:]...)
			kept.Add(int64(len(ds) - 9))
			return nil
		}}
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, plan...))
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx, h) }()
		synctest.Wait()
		stop(stopping(time.Second))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r := src.Report()
		if r.Finished || r.Messages != 18 || r.Twice != kept.Load() || len(r.Reading) != 2 || r.Reading[0].At != 5 {
			t.Errorf("after the stop: %+v", r)
		}

		h.serve = deliverAll(got)
		src = newSource(t, configOf(in, newLease(lease.Checkpoint()), plan...))
		if err := src.Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		r = src.Report()
		if !r.Finished || r.Messages != 200 || r.Starts != 2 || r.Killed != 0 || r.Groups["r/f"].Flushed != 200 {
			t.Errorf("at the end: %+v", r)
		}
		for value, n := range got.all() {
			want := 1
			if strings.HasSuffix(value, "/5") { // handed out by both
				want = 2
			}
			if n != want {
				t.Errorf("%s came %d times, want %d", value, n, want)
			}
		}
		if n := h.bytes.Load(); n != 0 {
			t.Errorf("%d bytes were not given back", n)
		}
	})
}

// While checkpoints cannot be stored, no more is handed out than may come twice.
func TestNoMoreIsHandedOutThanMayComeTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		in.batch = func(string, int64) int { return 700 }
		plan := []job.Slice{in.fill("a", 30_000), in.fill("b", 30_000)}
		got := &seen{}
		h := &server{serve: deliverAll(got)}
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, plan...))
		down := errors.New("disk full")
		saves := 0
		lease.set(func() error {
			if saves++; saves > 1 { // the first says that it began
				return down
			}
			return nil
		})
		done := make(chan error, 1)
		go func() { done <- src.Run(t.Context(), h) }()
		time.Sleep(10 * time.Second)
		if n := len(got.all()); n != 20_000 {
			t.Errorf("%d messages were handed out without a checkpoint, want 20,000", n)
		}
		lease.set(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := len(got.all()); n != 60_000 {
			t.Errorf("%d messages came, want 60,000", n)
		}
	})
}

func TestTheStateOfAStrandSaysWhatIsWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := in.fill("a", 100)
		var wrong atomic.Pointer[error]
		set := func(err error) { wrong.Store(&err) }
		in.before = func(string, int64) error { return *wrong.Load() }
		gate := job.NewGate(0, 0, nil)
		strands := make(chan queue.Strand, 1)
		got := &seen{}
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			strands <- s
			return deliverAll(got)(ctx, s)
		}}
		cfg := configOf(in, nil, plan)
		cfg.Gate = gate
		gate.Close("the others are behind")
		set(job.Away(errors.New("connection refused")))
		src := newSource(t, cfg)
		done := make(chan error, 1)
		go func() { done <- src.Run(t.Context(), h) }()
		s := <-strands
		is := func(state, cause string) {
			t.Helper()
			time.Sleep(time.Minute)
			if st := s.Status(); st.State != state || !strings.Contains(st.Cause, cause) {
				t.Errorf("state %s, because %q; want %s because %q", st.State, st.Cause, state, cause)
			}
		}
		is(queue.StateStalled, "the others are behind")
		if s.Status().Full {
			t.Error("a closed gate counts as a strand that holds all it may")
		}
		gate.Open()
		is(queue.StateBrokerAway, "connection refused")
		set(errors.New("checksum"))
		is(queue.StateStalled, "checksum")
		if st := s.Status(); st.Lag != 100 || st.End != 99 || st.Position != -1 || st.Committed != -1 || !s.Info().Bounded || !s.Info().Accounted {
			t.Errorf("status %+v of %+v", st, s.Info())
		}
		set(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if st := s.Status(); st.State != queue.StateEnded || st.Lag != 0 || st.Position != 99 || st.Committed != 99 {
			t.Errorf("status %+v", st)
		}
		if n := len(got.all()); n != 100 {
			t.Errorf("%d messages came", n)
		}
	})
}

func TestARateHolds(t *testing.T) {
	for name, c := range map[string]struct {
		groups, bytes float64
	}{
		"groups": {groups: 1000},
		"bytes":  {bytes: 4000},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := newTape()
				var plan []job.Slice
				for i := range 4 {
					name := fmt.Sprint("slice", i)
					for range 5000 {
						in.add(name, cell{value: "four"})
					}
					plan = append(plan, in.slice(name))
				}
				got := &seen{}
				cfg := configOf(in, nil, plan...)
				cfg.Gate = job.NewGate(c.groups, c.bytes, func(*queue.Message) int { return 1 })
				began := time.Now()
				if err := newSource(t, cfg).Run(t.Context(), &server{serve: deliverAll(got)}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
					t.Errorf("20,000 messages at 1,000 a second took %v", took)
				}
			})
		})
	}
}

func TestAnInputThatChangedEndsTheJob(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := []job.Slice{in.fill("a", 100), in.fill("b", 100)}
		in.before = func(slice string, at int64) error {
			if slice == "b" && at >= 32 {
				return &job.ChangedError{Slice: "b", Why: "another size"}
			}
			return nil
		}
		got := &seen{}
		deliver := deliverAll(got)
		var end *queue.End
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			if s.Info().Name == "a" { // it is at work while the other one fails
				<-ctx.Done()
				if !errors.As(context.Cause(ctx), &end) {
					t.Errorf("the strand ended with %v", context.Cause(ctx))
				}
				return nil
			}
			return deliver(ctx, s)
		}}
		lease := newLease(nil)
		err := newSource(t, configOf(in, lease, plan...)).Run(t.Context(), h)
		var changed *job.ChangedError
		if !errors.As(err, &changed) {
			t.Fatalf("Run returned %v", err)
		}
		if end == nil || end.Reason != queue.Stopping {
			t.Errorf("the other strand ended as %+v, want a clean stop", end)
		}
		src := newSource(t, configOf(in, newLease(lease.Checkpoint()), plan...))
		if r := src.Report(); r.Finished || r.Messages != 32 {
			t.Errorf("the checkpoint has %+v", r)
		}
	})
}

func TestTheRestOfASliceThatCannotBeReadIsReported(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := []job.Slice{in.fill("a", 100), in.fill("b", 100)}
		in.before = func(slice string, at int64) error {
			if slice == "a" && at >= 48 {
				return job.Unreadable(errors.New("wrong checksum"))
			}
			return nil
		}
		src := newSource(t, configOf(in, newLease(nil), plan...))
		if err := src.Run(t.Context(), &server{serve: deliverAll(&seen{})}); err != nil {
			t.Fatal(err)
		}
		r := src.Report()
		if !r.Finished || r.Slices != 2 || r.Messages != 148 || r.Failed != 1 {
			t.Errorf("report: %+v", r)
		}
		if diff := cmp.Diff([]job.Failure{{Slice: "a", At: 48, Why: "wrong checksum"}}, r.Failure); diff != "" {
			t.Errorf("failures (-want +got):\n%s", diff)
		}
		if len(r.Missing()) != 1 {
			t.Errorf("missing: %q", r.Missing())
		}
	})
}

func TestALostShardEndsItsStrandsAsLost(t *testing.T) {
	for name, draining := range map[string]bool{"at work": false, "in a drain": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := newTape()
				lease := newLease(nil)
				ctx, stop := context.WithCancelCause(t.Context())
				defer stop(nil)
				h := &server{serve: func(ctx context.Context, s queue.Strand) error {
					ds, err := s.Fetch(ctx, room)
					if err != nil {
						return err
					}
					<-ctx.Done()
					var end *queue.End
					if !errors.As(context.Cause(ctx), &end) {
						t.Fatalf("the strand ended with %v", context.Cause(ctx))
					}
					if draining {
						<-end.Lost
					} else if end.Reason != queue.Lost {
						t.Errorf("the strand ended as %s", end.Reason)
					}
					giveBack(ds...)
					return nil
				}}
				src := newSource(t, configOf(in, lease, in.fill("a", 100)))
				done := make(chan error, 1)
				go func() { done <- src.Run(ctx, h) }()
				synctest.Wait()
				saves := lease.saves
				if draining {
					stop(stopping(time.Minute))
					synctest.Wait()
				}
				close(lease.lost)
				if err := <-done; !errors.Is(err, job.ErrLost) {
					t.Errorf("Run returned %v", err)
				}
				if lease.saves != saves {
					t.Error("a checkpoint was stored for a shard that was lost")
				}
			})
		})
	}
}

func TestASaveThatFindsTheShardLostEndsTheRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		lease := newLease(nil)
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, room)
			if err != nil {
				return err
			}
			lease.set(func() error { return fmt.Errorf("wrong revision: %w", job.ErrLost) })
			ack(ds...)
			<-ctx.Done()
			return nil
		}}
		if err := newSource(t, configOf(in, lease, in.fill("a", 100))).Run(t.Context(), h); !errors.Is(err, job.ErrLost) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// Without a dead letter queue a worker gives back what can never be delivered, also
// at the end of a slice.
func TestASliceThatEndsWithoutSomeOfItsMessagesIsNotFinished(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			ds, err := s.Fetch(ctx, room)
			if err != nil {
				return err
			}
			if _, err := s.Fetch(ctx, room); !errors.Is(err, io.EOF) {
				t.Errorf("fetch returned %v, want io.EOF", err)
			}
			ack(ds[1:]...)
			giveBack(ds[0])
			return nil
		}}
		src := newSource(t, configOf(in, newLease(nil), in.fill("a", 10)))
		err := src.Run(t.Context(), h)
		var back *job.GivenBackError
		if !errors.As(err, &back) || back.Messages != 1 || back.Slice != "a" {
			t.Errorf("Run returned %v", err)
		}
		if r := src.Report(); r.Finished || r.Messages != 9 {
			t.Errorf("report %+v", r)
		}
	})
}

// liar is a Reader that breaks its contract.
type liar struct{ batches []job.Batch }

func (l *liar) Open(context.Context, *job.Slice, int64) (job.Reader, error) { return l, nil }
func (l *liar) Seed() *queue.OriginSeed                                     { return &queue.OriginSeed{} }
func (l *liar) Close() error                                                { return nil }

func (l *liar) Read(context.Context, int64) (job.Batch, error) {
	if len(l.batches) == 0 {
		return job.Batch{}, io.EOF
	}
	b := l.batches[0]
	l.batches = l.batches[1:]
	return b, nil
}

func TestAReaderThatLosesPositionsIsADefect(t *testing.T) {
	at := func(positions ...int64) (ms []queue.Message) {
		for _, p := range positions {
			ms = append(ms, queue.Message{Position: p})
		}
		return ms
	}
	for name, batches := range map[string][]job.Batch{
		"a hole":                 {{Messages: at(0, 2), Next: 3}},
		"too many passed over":   {{Messages: at(0), Next: 2, Passed: map[string]int64{job.PassedControl: 2}}},
		"an end before the end":  {{Messages: at(0, 1, 2), Next: 3}},
		"positions out of order": {{Messages: at(1, 0), Next: 2}},
		"a position beyond Next": {{Messages: at(0, 1), Next: 1}},
		"a position twice":       {{Messages: at(0), Next: 1}, {Messages: at(0), Next: 1}},
		"beyond the end":         {{Messages: at(0, 1, 2, 3, 4), Next: 5}},
		"nothing, and no end":    {{Messages: at(0), Next: 1}, {Next: 1}},
		"origins of others":      {{Messages: at(0, 1), Next: 2, Origins: make([]queue.Origin, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				h := &server{serve: deliverAll(&seen{})}
				src := newSource(t, configOf(&liar{batches}, newLease(nil), job.Slice{Name: "a", To: 4}))
				if err := src.Run(t.Context(), h); err == nil || !strings.Contains(err.Error(), "defect") {
					t.Errorf("Run returned %v", err)
				}
				if r := src.Report(); r.Finished {
					t.Error("the job is finished")
				}
				if n := h.bytes.Load(); n != 0 {
					t.Errorf("%d bytes were not given back", n)
				}
			})
		})
	}
}

// A plan of many files is never in memory, and what has ended is one number.
func TestALongPlanIsReadAsItGoes(t *testing.T) {
	t.Parallel()
	const files = 200_000
	in := newTape()
	in.fill("x", 1)
	begun := 0
	cfg := configOf(in, newLease(nil))
	cfg.Manifest.Shards = []job.ShardSize{{}, {Slices: files / 2}}
	cfg.Shard, cfg.Open = 1, 4
	cfg.Slices = func(context.Context) job.Slices {
		return func(yield func(job.Slice, error) bool) {
			for i := range files {
				begun = i
				s := job.Slice{Name: "x", To: 1, Shard: i % 2}
				if i%1000 > 1 {
					s.From = 1 // empty: it ends at once
				}
				if !yield(s, nil) {
					return
				}
			}
		}
	}
	src := newSource(t, cfg)
	if err := src.Run(t.Context(), &server{serve: deliverAll(&seen{})}); err != nil {
		t.Fatal(err)
	}
	if r := src.Report(); !r.Finished || r.Slices != files/2 || begun != files-1 {
		t.Errorf("report %+v", r)
	}
}
