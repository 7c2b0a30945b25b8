package worker_test

import (
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A batch does not wait for what cannot come: when its strand holds all that it may,
// the batch is closed, and the strand goes on.
func TestBatchesOfAFullStrandDoNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		full, other := checker.New(), checker.New()
		a, b := entryOf("full", full), entryOf("other", other)
		a.Batch.Wait, b.Batch.Wait = 30*time.Second, 30*time.Second
		cfg := worker.Config{Routes: []worker.Route{
			routeOf("other", worker.Match{Project: "other"}, b), routeOf("full", worker.Match{}, a),
		}}
		cfg.Limits.Window = 500
		r := start(t, memory.Config{Strands: 2}, cfg)
		began := time.Now()
		for range 10 { // to the other strand, which stays nearly empty
			m := keyed("other", "ls", encode(t, group("x")))
			m.Partition = 1
			r.q.Publish(m)
		}
		r.publish(5000, 1) // ten windows
		r.acked(5010)
		if took := time.Since(began); took > 50*time.Second { // two a window, and the last batch, which is not full, waits
			t.Errorf("ten windows took %s: each waited for a batch that could not become fuller", took)
		}
		if n := full.Stats().Flushes; n > 20 {
			t.Errorf("ten windows took %d calls of Flush: the batches are small", n)
		}
		if n := other.Stats().Flushes; n != 1 {
			t.Errorf("the batch of the other strand took %d calls of Flush, want one behind its wait", n)
		}
		clean(t, full)
		r.mustStop()
		r.drained()
	})
}

// Nor is what waits in a batch parked: its destination is well.
func TestWhatWaitsForItsBatchIsNotParked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		good, other := checker.New(), checker.New()
		parked := memory.NewParked("memory")
		e := entryOf("x", good)
		e.Batch.Wait = 30 * time.Second
		r := start(t, memory.Config{}, worker.Config{
			Parked: parked, Limits: worker.Limits{Window: 1000},
			Routes: []worker.Route{
				{Name: "a", Match: worker.Match{Logstore: "ls0"}, Flushers: []worker.Entry{e}, Park: true},
				{Name: "b", Flushers: []worker.Entry{entryOf("x", other)}, Park: true},
			},
		})
		r.publish(5000, 2)
		r.acked(5000)
		for _, f := range r.w.Status().Flushers {
			if f.Counts.Parked != 0 {
				t.Errorf("%d parts of %s were parked", f.Counts.Parked, f.Flusher)
			}
		}
		r.mustStop()
		r.drained()
	})
}
