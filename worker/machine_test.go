package worker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// step runs a machine where time is virtual, and counts its steps. A bubble has no
// Deadline, which rapid would ask for.
func step(t *testing.T, run func(*rapid.T, *steps.Counter)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		count := steps.Count(t)
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { run(t, count) })
	})
}

// engine is a worker on a memory queue that a machine drives.
type engine struct {
	w       *worker.Worker
	q       *memory.Queue
	source  queue.Source // what the worker consumes: q, or what stands in front of it
	letters *memory.Sink
	sent    int
	stop    context.CancelFunc
	done    chan error
	ended   bool
	seed    *uint64 // of waits; nil: they are never the same
}

func begin(t *rapid.T, q *memory.Queue, source queue.Source, cfg worker.Config) *engine {
	return beginWith(t, &engine{q: q, source: source}, cfg)
}

// seeded is begin, with waits that are the same each time that the seed is.
func seeded(t *rapid.T, q *memory.Queue, cfg worker.Config, seed uint64) *engine {
	return beginWith(t, &engine{q: q, source: q, seed: &seed}, cfg)
}

func beginWith(t *rapid.T, e *engine, cfg worker.Config) *engine {
	e.letters, e.done = memory.NewSink("letters"), make(chan error, 1)
	e.run(t, cfg)
	t.Cleanup(func() { // also where a step failed
		if !e.ended {
			e.stop()
			e.w.Hurry()
			<-e.done
			time.Sleep(time.Minute) // what was left behind returns
		}
	})
	return e
}

func (e *engine) run(t *rapid.T, cfg worker.Config) {
	cfg.Deployment, cfg.DeadLetter = "test", worker.DeadLetter{Sink: e.letters, StopAfter: 1 << 30}
	var err error
	if e.w, err = worker.New(cfg); err != nil {
		t.Fatal(err)
	}
	if e.seed != nil {
		e.w.SeedWaits(*e.seed)
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop, e.ended = stop, false
	go func() { e.done <- e.w.Run(ctx, e.source) }()
	synctest.Wait()
}

// end stops the worker and says what Run returned.
func (e *engine) end() error {
	e.stop()
	err := <-e.done
	e.ended = true
	return err
}

// publish sends one message to a lane and returns its id.
func (e *engine) publish(lane int) string {
	e.publishAll(lane, 1)
	return fmt.Sprint(e.sent - 1)
}

// publishAll sends messages to a lane, which come at once.
func (e *engine) publishAll(lane, n int) {
	var ms []queue.Message
	for range n {
		value, _ := group(fmt.Sprint(e.sent)).Marshal()
		m := keyed("p", fmt.Sprint("ls", lane), value)
		m.Partition = int32(lane)
		ms = append(ms, m)
		e.sent++
	}
	e.q.Publish(ms...)
}

// finish waits until all that was published has ended, and stops.
func (e *engine) finish(t *rapid.T) {
	hour, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := e.q.WaitAcked(hour, int64(e.sent)); err != nil {
		t.Fatalf("%v; lanes %+v", err, e.w.Status().Lanes)
	}
	if err := e.end(); err != nil {
		t.Fatalf("Run returned %v", err)
	}
	e.check(t)
	for _, p := range e.w.Status().Pools {
		if p.Used != 0 || p.Waiting != 0 {
			t.Fatalf("pool %+v after the end", p)
		}
	}
}

// check looks at what has to be true at any moment.
func (e *engine) check(t *rapid.T) {
	st := e.w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			t.Fatalf("the counts of the source do not add up: %+v", s.Counts)
		}
	}
	if st.Defects != 0 {
		t.Fatalf("%d deliveries were settled twice", st.Defects)
	}
	if n := e.q.EarlyReleases(); n != 0 {
		t.Fatalf("%d messages were released while their strand lived", n)
	}
}

// pass lets time pass.
func pass(t *rapid.T, most time.Duration) {
	ms := rapid.IntRange(1, int(most.Milliseconds())).Draw(t, "ms")
	time.Sleep(time.Duration(ms) * time.Millisecond)
	synctest.Wait()
}
