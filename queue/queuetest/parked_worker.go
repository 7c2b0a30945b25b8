package queuetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flushline/flushline/queue"
)

// ParkedWorker is a worker that only serves parked records. Its lanes have gates, and
// take what they get, hold it or give it back.
type ParkedWorker struct {
	*Host

	mu    sync.Mutex
	lanes map[queue.Lane]*workerLane
	ends  []error // causes of strands that ended
	wrong []error
}

// workerLane is a lane as a ParkedWorker has it.
type workerLane struct {
	gate  queue.Gate
	dead  bool // what comes is deferred
	holds bool // what comes is kept
	asked int  // gates
	out   []*queue.Delivery
	took  []Taken
	tries []time.Time // of what was deferred
}

// Taken is a record that a lane took.
type Taken struct {
	Message queue.Message
	Origin  queue.Origin
	Attempt int
}

// NewParkedWorker makes one whose gates are shut, with a budget of limit bytes.
func NewParkedWorker(limit int64) *ParkedWorker {
	return &ParkedWorker{Host: NewHost(limit), lanes: map[queue.Lane]*workerLane{}}
}

func (w *ParkedWorker) laneLocked(lane queue.Lane) *workerLane {
	l := w.lanes[lane]
	if l == nil {
		l = &workerLane{gate: queue.GateShut}
		w.lanes[lane] = l
	}
	return l
}

// with changes or reads a lane.
func (w *ParkedWorker) with(lane queue.Lane, f func(l *workerLane)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.laneLocked(lane))
}

// Gate implements queue.ParkedHost.
func (w *ParkedWorker) Gate(lane queue.Lane) (g queue.Gate) {
	w.with(lane, func(l *workerLane) { l.asked++; g = l.gate })
	return g
}

// Serve implements queue.Host.
func (w *ParkedWorker) Serve(ctx context.Context, s queue.Strand) error {
	if !s.Info().Parked {
		w.complain(fmt.Errorf("strand %s does not say that it is of parked records", s.Info().Name))
	}
	mine := map[*queue.Delivery]bool{} // held, of this strand
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: 64, Bytes: 1 << 20})
		if err != nil {
			if ctx.Err() == nil {
				w.complain(fmt.Errorf("fetch failed and its context lives: %w", err))
			}
			break
		}
		if len(ds) > 64 {
			w.complain(fmt.Errorf("a fetch with room for 64 returned %d", len(ds)))
		}
		for _, d := range ds {
			w.handle(d)
			mine[d] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lanes {
		kept := l.out[:0]
		for _, d := range l.out {
			if !mine[d] {
				kept = append(kept, d)
				continue
			}
			d.Release()
			d.Free()
		}
		l.out = kept
	}
	w.ends = append(w.ends, context.Cause(ctx))
	return nil
}

func (w *ParkedWorker) complain(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, err)
}

func (w *ParkedWorker) handle(d *queue.Delivery) {
	m := d.Message()
	lane := queue.Lane{Route: "shop", Flusher: "es"}
	lane.Project, _ = m.Header("x-log-project")
	lane.Logstore, _ = m.Header("x-log-logstore")
	lane.Config, _ = m.Header("x-log-config")
	w.with(lane, func(l *workerLane) {
		switch {
		case l.holds:
			l.out = append(l.out, d)
			return
		case l.dead:
			l.tries = append(l.tries, time.Now())
			d.Defer()
		default:
			l.take(d)
		}
		d.Free()
	})
}

func (l *workerLane) take(d *queue.Delivery) {
	m := *d.Message()
	m.Value, m.Key = append([]byte(nil), m.Value...), append([]byte(nil), m.Key...)
	m.Headers = append([]queue.Header(nil), m.Headers...)
	l.took = append(l.took, Taken{Message: m, Origin: d.Origin(), Attempt: d.Attempt()})
	d.Ack()
}

// Release takes what a lane holds, and all that comes from now on.
func (w *ParkedWorker) Release(lane queue.Lane) {
	w.with(lane, func(l *workerLane) {
		for _, d := range l.out {
			l.take(d)
			d.Free()
		}
		l.out, l.holds, l.dead = nil, false, false
	})
}

// Took is what a lane took.
func (w *ParkedWorker) Took(lane queue.Lane) (all []Taken) {
	w.with(lane, func(l *workerLane) { all = append(all, l.took...) })
	return all
}

// Faults is what the companion did wrong.
func (w *ParkedWorker) Faults() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(append(w.wrong, w.Err())...)
}
