package job_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// logs fills slices with LogGroups of a key each.
func logs(t *testing.T, in *tape, slices, messages int) (plan []job.Slice) {
	t.Helper()
	for i := range slices {
		name := fmt.Sprint("logs[", i, "]")
		for n := range messages {
			g := protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "id", Value: fmt.Sprint(i, "/", n)}}}}}
			v, err := g.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			in.add(name, cell{value: string(v), headers: []queue.Header{
				{Key: protocol.HeaderProject, Value: "p"}, {Key: protocol.HeaderLogstore, Value: fmt.Sprint("ls", n%5)}, {Key: protocol.HeaderConfig, Value: "c"},
			}})
		}
		plan = append(plan, in.slice(name))
	}
	return plan
}

func workerFor(t *testing.T, out *checker.Script, letters queue.Sink) *worker.Worker {
	t.Helper()
	kind := out.Kind()
	w, err := worker.New(worker.Config{
		Deployment: "d", DeadLetter: worker.DeadLetter{Sink: letters},
		Limits: worker.Limits{Window: 100},
		Routes: []worker.Route{{Name: "all", Flushers: []worker.Entry{{Name: "out", Kind: kind, New: kind.New, Batch: worker.Batch{Groups: 10}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func balanced(t *testing.T, w *worker.Worker) {
	t.Helper()
	st := w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			t.Errorf("the counts of source %s do not add up: %+v", s.Name, s.Counts)
		}
	}
	for _, p := range st.Pools {
		if p.Used != 0 {
			t.Errorf("pool %s holds %d bytes after the end", p.Name, p.Used)
		}
	}
	if st.Defects != 0 {
		t.Errorf("%d deliveries were settled twice", st.Defects)
	}
}

// The whole way: the worker ends by itself when the job has, and the report counts
// what the flushers got.
func TestAWorkerRunsAJobToItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := logs(t, in, 5, 400)
		out := checker.New()
		out.FailNext(1, flushers.Permanent(errors.New("not this one")))
		out.FailNext(3, errors.New("try again"))
		letters := memory.NewSink("letters")
		w := workerFor(t, out, letters)
		cfg := configOf(in, newLease(nil), plan...)
		cfg.Open = 2
		src := newSource(t, cfg)
		if err := w.Run(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		balanced(t, w)
		r := src.Report()
		var flushed, dead int64
		for _, g := range r.Groups {
			flushed += g.Flushed
			dead += g.DeadLettered[worker.ReasonPermanent]
		}
		if !r.Finished || r.Messages != 2000 || flushed != int64(out.Stats().Groups) || flushed+dead != 2000 || dead != int64(len(letters.Messages())) {
			t.Errorf("%d groups were flushed, %d are letters; the report says %+v", out.Stats().Groups, len(letters.Messages()), r)
		}
	})
}

// A stop in the middle: what could end did, the rest comes with the next start, and
// nothing comes twice.
func TestAWorkerThatStopsLeavesTheRestOfAJobToTheNext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		in.batch = func(string, int64) int { return 50 }
		plan := logs(t, in, 4, 3000)
		out := checker.New()
		out.SetDelay(10 * time.Millisecond)
		var value []byte
		starts := 0
		for finished := false; !finished; starts++ {
			lease := newLease(value)
			src := newSource(t, configOf(in, lease, plan...))
			w := workerFor(t, out, memory.NewSink("letters"))
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx, src) }()
			if starts < 3 {
				time.Sleep(time.Duration(starts+1) * 130 * time.Millisecond)
				stop()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			stop()
			synctest.Wait()
			balanced(t, w)
			value = lease.Checkpoint()
			finished = src.Report().Finished
		}
		ids := map[string]int{}
		for _, g := range out.Groups() {
			ids[g.Logs[0].Contents[0].Value]++
		}
		r, err := job.ReportOf(configOf(in, nil, plan...).Manifest, 0, value)
		if err != nil {
			t.Fatal(err)
		}
		want := job.Report{
			Job: "test", Of: 1, Kind: "tape", Range: "all", Finished: true, Planned: job.ShardSize{Slices: 4, Positions: 12_000},
			Totals: job.Totals{Slices: 4, Messages: 12_000, Bytes: r.Bytes, Groups: map[string]job.Groups{"all/out": {Flushed: 12_000}}},
			Starts: int64(starts), Twice: r.Twice, Elapsed: r.Elapsed,
		}
		if diff := cmp.Diff(want, r); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		if len(ids) != 12_000 || out.Stats().Groups != 12_000 || starts < 2 {
			t.Errorf("%d ids in %d groups after %d starts, want 12,000 in 12,000", len(ids), out.Stats().Groups, starts)
		}
	})
}

// Without a place for what can never be delivered, a job does not end as if it had
// been.
func TestAJobWithoutDeadLettersStopsAtWhatCannotBeDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		plan := logs(t, in, 1, 10)
		in.add("logs[0]", cell{value: "no group"})
		plan[0].To++
		src := newSource(t, configOf(in, newLease(nil), plan...))
		w := workerFor(t, checker.New(), nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx, src) }()
		time.Sleep(time.Minute)
		stop()
		err := <-done
		if r := src.Report(); r.Finished || r.Messages != 10 {
			t.Errorf("Run returned %v; report %+v", err, r)
		}
	})
}
