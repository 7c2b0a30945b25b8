package worker

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// outbox puts parts on a companion queue and then ends them. It never drops: while the
// queue fails or is full the parts stay open, which withholds the acknowledgement.
type outbox struct {
	w       *Worker
	sink    queue.Sink
	what    string                                  // for people
	loses   func() bool                             // a defect: what is refused counts as stored
	crash   func()                                  // a failpoint behind a put
	needs   func(*doomed) bool                      // false: it is stored there already
	compose func(*doomed, *addressee) queue.Message // what is stored for a part
	bury    func([]doomed)                          // ends parts that are stored

	most  int   // parts in one put
	bytes int64 // and bytes

	mu      sync.Mutex
	pending []doomed // in order
	why     string   // the last failure of the sink; empty: it works
	since   time.Time
	wake    chan struct{}
	hurry   chan struct{} // closed when waits have to be short
}

// At most this much goes into one Put of letters.
const (
	partsPerPut = 512
	bytesPerPut = 4 << 20
)

func newOutbox(w *Worker, sink queue.Sink, what string) *outbox {
	return &outbox{w: w, sink: sink, what: what, most: partsPerPut, bytes: bytesPerPut, wake: make(chan struct{}, 1), hurry: make(chan struct{})}
}

// hasten shortens the waits between tries, once, because the process stops.
func (o *outbox) hasten() { close(o.hurry) }

// run puts what is pending until ctx ends.
func (o *outbox) run(ctx context.Context) {
	wait := newBackoff(500*time.Millisecond, 30*time.Second)
	for {
		ds := o.take()
		if len(ds) == 0 {
			select {
			case <-o.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		failed, err := o.put(ctx, ds)
		o.note(err)
		if err == nil {
			wait.b.Reset()
			continue
		}
		o.back(failed)
		if !o.pause(ctx, wait.next()) {
			return
		}
	}
}

// pause waits for the next try. False: there will be none.
func (o *outbox) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-o.hurry:
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(min(d, urgentRetry)):
		return true
	case <-ctx.Done():
		return false
	}
}

// take removes the next parts from the line, without those that were released.
func (o *outbox) take() []doomed {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ds []doomed
	var bytes int64
	n := 0
	for ; n < len(o.pending) && len(ds) < o.most && bytes < o.bytes; n++ {
		if d := o.pending[n]; d.p.open() && d.p.m.hold() { // Put reads the message
			d.p.m.puts.Add(1)
			ds = append(ds, d)
			bytes += d.p.m.d.Message().Size()
		}
	}
	clear(o.pending[:n])
	if o.pending = o.pending[n:]; len(o.pending) == 0 {
		o.pending = nil
	} else {
		poke(o.wake) // for who puts beside this one
	}
	return ds
}

func (o *outbox) back(ds []doomed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = append(append([]doomed{}, ds...), o.pending...)
}

// put stores parts and ends those that were stored. It returns those that were not,
// and one of the errors.
func (o *outbox) put(ctx context.Context, ds []doomed) (failed []doomed, err error) {
	ms := make([]queue.Message, 0, len(ds))
	to := addressee{deployment: o.w.cfg.Deployment}
	at := make([]int, len(ds)) // of ms, from 1; 0: it is there already
	for i := range ds {
		if o.needs(&ds[i]) {
			ms = append(ms, o.compose(&ds[i], &to))
			at[i] = len(ms)
		}
	}
	var errs []error
	if len(ms) > 0 {
		errs = o.sink.Put(ctx, ms)
		o.crash()
	}
	stored := make([]doomed, 0, len(ds))
	for i := range ds {
		if errs != nil && at[i] > 0 && errs[at[i]-1] != nil && !o.loses() {
			failed, err = append(failed, ds[i]), errs[at[i]-1]
		} else {
			stored = append(stored, ds[i])
		}
	}
	o.bury(stored)
	for i := range ds {
		ds[i].p.m.drop(1)
		ds[i].p.m.puts.Add(-1)
	}
	return failed, err
}

// buryAll ends parts of one put. Neighbours of one lane are ended under one lock: what
// is parked is thousands of one lane.
func buryAll(ds []doomed, how func(*doomed) (outcome, string)) {
	for len(ds) > 0 {
		b := ds[0].p.book()
		n := 1
		for n < len(ds) && ds[n].p.book() == b {
			n++
		}
		b.mu.Lock()
		ended := make([]*part, 0, n)
		for i := range ds[:n] {
			o, reason := how(&ds[i])
			if b.endLocked(ds[i].p, o, reason) {
				ended = append(ended, ds[i].p)
			}
		}
		b.mu.Unlock()
		for _, p := range ended {
			p.m.partEnded(1)
		}
		ds = ds[n:]
	}
}

// note keeps the state of the sink and logs when it changes.
func (o *outbox) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil && o.why != "":
		o.w.cfg.Logger.Info("the "+o.what+" works again", zap.String("queue", o.sink.Describe()))
		o.why = ""
	case err != nil:
		if o.why == "" {
			o.since = time.Now()
			o.w.cfg.Logger.Error("the "+o.what+" fails; what belongs there is kept and not acknowledged",
				zap.String("queue", o.sink.Describe()), zap.Error(err))
		}
		o.why = err.Error()
	}
}

// failure is why the sink fails; empty while it works.
func (o *outbox) failure() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.why
}

// purge forgets parts that were released.
func (o *outbox) purge() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending = stillOpen(o.pending)
}

func stillOpen(ds []doomed) []doomed {
	kept := ds[:0]
	for _, d := range ds {
		if d.p.open() {
			kept = append(kept, d)
		}
	}
	clear(ds[len(kept):])
	return kept
}
