package worker

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// ErrDrainDeadline is returned by Run when the drain's deadline passed with a
// Flush unfinished. What it held went back to the queue; exit code 75.
var ErrDrainDeadline = errors.New("the drain deadline passed with a Flush unfinished; what it held was given back")

// Worker moves deliveries from sources to flushers.
type Worker struct {
	cfg    Config
	limits protocol.Limits
	keyer  *keyer
	only   selection
	table  atomic.Pointer[table] // written under mu

	held    *heldPool
	work    *workPool
	runners *runners
	letters *letters
	parker  *outbox // nil: no companion
	shared  flushers.Shared
	kinds   kindMetrics
	dice    *dice // set by tests alone, before Run

	hard      context.Context // ends when nothing may run on; every instance's context
	endHard   context.CancelCauseFunc
	hurry     chan struct{}
	hurryOnce sync.Once

	urgent     atomic.Bool  // the process stops
	ending     atomic.Int32 // strands that drain
	unfinished atomic.Bool  // a Flush ran at the deadline
	abandoned  atomic.Int32
	late       atomic.Int64
	turning    atomic.Int64 // of all strands
	pressed    atomic.Int64 // when batches were last closed early

	started time.Time
	state   atomic.Pointer[string]

	drainFor  atomic.Int64 // a time.Duration
	stopAfter atomic.Int64
	pauses    atomic.Pointer[[]pause] // nil: nothing is paused
	taps      atomic.Pointer[[]*Tap]  // nil: none is open; written under mu

	reloading sync.Mutex // one reload at a time

	mu       sync.Mutex
	lanes    map[laneID]*lane
	surplus  map[*lane]bool      // those of them beyond `limits.lanes`
	parkings map[laneID]*parking // of lanes that were stopped for being idle
	noneIdle time.Time           // when idle lanes were last looked for, and there were none
	sources  []*source
	strands  []*strand
	departed []tally // by source: what entries had counted that are gone
}

// laneID is one key toward one flusher entry.
type laneID struct {
	entry *entry
	key   protocol.Key
}

// New builds a worker; it starts nothing. Errors name the route, flusher or rule.
func New(cfg Config) (*Worker, error) {
	cfg.setDefaults()
	w := &Worker{cfg: cfg, lanes: map[laneID]*lane{}, surplus: map[*lane]bool{}, parkings: map[laneID]*parking{}, hurry: make(chan struct{}), started: time.Now()}
	w.setState("starting")
	w.drainFor.Store(int64(cfg.Drain))
	w.stopAfter.Store(int64(cfg.DeadLetter.StopAfter))
	w.hard, w.endHard = context.WithCancelCause(context.Background())
	w.held, w.work = newHeldPool(cfg.Limits.InFlight), newWorkPool(cfg.Limits.Work)
	w.runners = &runners{most: max(1, runtime.GOMAXPROCS(0)), crash: w.crash}
	w.letters = newLetters(w, cfg.DeadLetter.Sink)
	if cfg.Parked != nil {
		w.parker = newParker(w, cfg.Parked)
	}
	w.limits = protocol.Limits{Decompressed: cfg.Limits.Decompressed}
	var err error
	if w.keyer, err = newKeyer(cfg.Payload.Key); err != nil {
		return nil, err
	}
	if err := checkRoutes(cfg.Routes); err != nil {
		return nil, err
	}
	if w.only, err = newSelection(cfg.Only, cfg.Routes); err != nil {
		return nil, err
	}
	w.table.Store(firstTable(w, cfg.Routes))
	return w, nil
}

// Run consumes the sources until ctx ends or all bounded sources are done. The
// end of ctx begins a stop that lasts at most Config.Drain; return means fully
// stopped. A Worker runs once.
//
// The goroutines it starts: one per source, which start one per strand in Serve;
// the dead letter writer; the sweeper of idle lanes; and, by need, runners.
func (w *Worker) Run(ctx context.Context, sources ...queue.Source) error {
	w.setState("running")
	sourceCtx, endSources := context.WithCancelCause(context.Background())
	stopped := context.AfterFunc(ctx, func() { endSources(w.beginStop()) })
	defer stopped()

	var background sync.WaitGroup
	lettersCtx, endLetters := context.WithCancel(context.Background())
	background.Go(func() { defer w.crash(); w.letters.run(lettersCtx) })
	background.Go(func() { defer w.crash(); w.sweep(lettersCtx) })
	if w.parker != nil {
		for range parkingPuts {
			background.Go(func() { defer w.crash(); w.parker.run(lettersCtx) })
		}
	}

	errs := make([]error, len(sources))
	var running sync.WaitGroup
	for i, src := range sources {
		running.Go(func() { defer w.crash(); errs[i] = src.Run(sourceCtx, host{w.held, w, src}) })
	}
	if w.parker != nil && len(sources) > 0 {
		parkedCtx, endParked := context.WithCancelCause(sourceCtx)
		served := make(chan struct{})
		go func() {
			defer close(served)
			defer w.crash()
			if err := w.cfg.Parked.Run(parkedCtx, parkedHost{host{w.held, w, nil}}); err != nil {
				w.cfg.Logger.Error("what is parked is not served", zap.Error(err))
			}
		}()
		running.Wait()
		endParked(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(w.drain())}) // of bounded sources
		<-served
	}
	running.Wait()

	endSources(nil)
	w.urgent.Store(true)
	endLetters()
	background.Wait()
	if w.unfinished.Load() {
		w.endHard(errStopped) // those calls have had their time
	}
	w.wakeLanes()
	w.awaitRunners(otherLimit)
	w.stopLanes()
	w.endHard(errStopped)
	w.setState("stopped")

	err := errors.Join(errs...)
	if err == nil && w.unfinished.Load() {
		return ErrDrainDeadline
	}
	return err
}

var errStopped = errors.New("the worker stopped")

// beginStop turns everything urgent and returns the end that strands see.
func (w *Worker) beginStop() *queue.End {
	w.setState("draining")
	w.cfg.Logger.Info("stopping: finishing what is held", zap.Duration("at_most", w.drain()))
	w.urgent.Store(true)
	w.wakeLanes()
	w.letters.hasten()
	if w.parker != nil {
		w.parker.hasten()
	}
	return &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(w.drain())}
}

// Hurry skips what is left of the drain (a second signal).
func (w *Worker) Hurry() { w.hurryOnce.Do(func() { close(w.hurry) }) }

func (w *Worker) drain() time.Duration { return time.Duration(w.drainFor.Load()) }

func (w *Worker) setState(s string) { w.state.Store(&s) }

// hasten says that no batch may wait to become fuller: the process or a strand
// ends. While a pool is nearly used up the largest alone are closed (closeBatches),
// so that a blocked destination does not turn everybody's batches into single
// groups.
func (w *Worker) hasten() bool { return w.urgent.Load() || w.ending.Load() > 0 }

// wakeLanes wakes every lane that waits on a wheel.
func (w *Worker) wakeLanes() {
	for _, e := range w.table.Load().all() {
		e.wheel.wakeAll()
	}
}

// awaitRunners waits for lanes that run, but not for calls that hang.
func (w *Worker) awaitRunners(patience time.Duration) {
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-w.runners.idle():
	case <-t.C:
		w.cfg.Logger.Warn("calls into flushers have not returned; they are left behind")
	}
}

func (w *Worker) sourceOf(name string) *source {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if s.name == name {
			return s
		}
	}
	s := &source{name: name, index: len(w.sources)}
	w.sources = append(w.sources, s)
	return s
}

func (w *Worker) sourceList() []*source {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*source(nil), w.sources...)
}

func (w *Worker) addStrand(s *strand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.strands = append(w.strands, s)
}

func (w *Worker) removeStrand(s *strand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.strands {
		if w.strands[i] == s {
			w.strands = append(w.strands[:i], w.strands[i+1:]...)
			return
		}
	}
}
