package sim

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/worker"
)

// fault is one entry of a world's schedule.
type fault struct {
	kind  string
	at    time.Duration // after the world's begin
	lasts time.Duration
	slot  int // whose
	n     int // a number for what else has to be chosen
}

func (f *fault) String() string {
	return fmt.Sprintf("%8v %-20s %v, slot %d, n %d", f.at, f.kind, f.lasts, f.slot, f.n)
}

// The faults that every queue has. Those a half adds are its own.
const (
	faultStop    = "stop"    // a worker drains and is replaced
	faultKill    = "kill"    // a worker is gone at once, and replaced
	faultCutStop = "cutstop" // a worker drains, and is killed before it is done if it takes a moment
	faultReload  = "reload"  // other versions of entries, and one more entry for a while
	faultLetters = "letters" // the dead letter queue fails
	faultSilent  = "silent"  // a destination hangs, for three ack waits or sessions
)

// again is how often a fault may make the broker deliver a message again.
func (f *fault) again() int {
	switch f.kind {
	case faultReload, faultLetters, faultSilent:
		return 0
	case faultCutStop:
		return 2 // it may end two workers
	}
	return 1
}

// schedule draws the faults of a world.
func (w *world) schedule(d *dice) {
	var kinds []string
	switch w.mood {
	case clean:
		kinds = append([]string{faultStop, faultReload}, w.half.cleanKinds()...)
	case held, alone:
		kinds = []string{faultReload, faultLetters, faultLetters, faultSilent}
		if s, is := w.half.(survivor); is && w.mood == alone {
			kinds = append(append(kinds, s.survived()...), s.survived()...)
		}
	case wild:
		kinds = []string{faultStop, faultStop, faultReload, faultKill, faultKill, faultCutStop, faultLetters, faultSilent}
		kinds = append(append(kinds, w.half.kinds()...), w.half.kinds()...)
	}
	for range d.between(2, 9) {
		f := &fault{
			kind: pick(d, kinds...), at: d.within(time.Second, w.lasts), lasts: d.within(200*time.Millisecond, w.half.patience()),
			slot: d.n(len(w.slots)), n: d.n(1 << 16),
		}
		switch {
		case f.kind == faultSilent:
			f.lasts = 3 * w.half.patience()
		case f.kind == faultLetters && w.mood != wild:
			f.lasts = 2 * w.half.patience()
		}
		w.faults = append(w.faults, f)
	}
}

// strike carries out one fault, from its begin to its end.
func (w *world) strike(f *fault) {
	time.Sleep(f.at)
	w.logf("begin %s", f)
	defer w.logf("end   %s", f)
	switch f.kind {
	case faultStop, faultKill:
		w.slots[f.slot].order(f.kind, f.lasts)
	case faultCutStop:
		w.slots[f.slot].order(faultStop, f.lasts)
		time.Sleep(time.Duration(f.n%300) * time.Millisecond)
		w.slots[f.slot].order(faultKill, f.lasts)
	case faultReload:
		w.reload(f)
	case faultLetters:
		w.letters.Store(int32(lettersRefused) + int32(f.n%3))
		time.Sleep(f.lasts)
		w.letters.Store(int32(lettersWork))
		w.letterGate.open()
	case faultSilent:
		t := w.destinations[pick(throw(w.seed, "silent", fmt.Sprint(f.n)), entries...)]
		t.silent.Store(true)
		time.Sleep(f.lasts)
		t.silent.Store(false)
	default:
		w.half.fault(f)
	}
}

// reload gives entries other versions and adds one, and takes that away again.
func (w *world) reload(f *fault) {
	version := map[string]string{}
	for i, name := range entries {
		if f.n>>i&1 == 1 {
			version[name] = fmt.Sprint(f.n)
		}
	}
	for _, extra := range []bool{f.n>>4&1 == 1, false} {
		if p := w.slots[f.slot].pod.Load(); p != nil {
			got, err := p.worker.Reload(worker.Table{Routes: p.routes(extra, version), Removed: worker.RemovedDrain})
			switch {
			case err == nil && len(got.Changed)+len(got.Added)+len(got.Removed) > 0:
				w.saw("reload")
			case err != nil && !strings.Contains(err.Error(), worker.ErrStopping.Error()):
				w.book.violate("a reload of pod %d failed: %v", p.number, err)
			}
		}
		time.Sleep(f.lasts)
		clear(version)
	}
}

// letters is how the dead letter queue answers.
type letters int32

const (
	lettersWork        letters = iota
	lettersRefused             // nothing is stored
	lettersHang                // nothing is stored, and it takes as long as the fault
	lettersUnconfirmed         // all is stored, and nobody hears of it
)

// gate holds back who waits until it is opened; then it is shut again.
type gate struct {
	mu sync.Mutex
	ch chan struct{}
}

func (g *gate) channel() chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

func (g *gate) wait(ctx context.Context) {
	select {
	case <-g.channel():
	case <-ctx.Done():
	}
}

func (g *gate) open() {
	ch := g.channel()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == ch {
		g.ch = nil
		close(ch)
	}
}

// slot is a place where one pod after another runs.
type slot struct {
	w      *world
	index  int
	pod    atomic.Pointer[pod]
	orders chan order
}

// order ends a slot's pod; the next one begins after the gap.
type order struct {
	kind string
	gap  time.Duration
}

// order waits until the slot has a pod that can follow it.
func (s *slot) order(kind string, gap time.Duration) { s.orders <- order{kind, gap} }

// live runs pods until the world is over.
func (s *slot) live() {
	for s.w.ctx.Err() == nil {
		p, err := s.w.startPod(s.index, int(s.w.pods.Add(1)))
		if err != nil { // as a process that ends with an error and is started again
			s.w.logf("slot %d: %v", s.index, err)
			s.w.nap(time.Second)
			continue
		}
		s.w.keep(p)
		s.pod.Store(p)
		s.w.nap(s.run(p))
	}
}

// run is one pod's life. It says how long nobody follows.
func (s *slot) run(p *pod) time.Duration {
	select {
	case o := <-s.orders:
		if o.kind == faultKill {
			p.kill()
			return o.gap
		}
		return s.drain(p, o.gap)
	case <-p.ended:
		s.w.book.violate("pod %d ended by itself: %v", p.number, p.err)
		p.close()
		return time.Second
	case <-s.w.ctx.Done():
		p.finish()
		return 0
	}
}

// drain stops a pod. An order that comes meanwhile kills it.
func (s *slot) drain(p *pod, gap time.Duration) time.Duration {
	finished := make(chan struct{})
	s.w.graves.Go(func() {
		defer close(finished)
		p.finish()
	})
	select {
	case <-finished:
		return gap
	case o := <-s.orders:
		if s.w.mood == clean {
			<-finished
			return o.gap
		}
		s.w.saw("kill-while-draining")
		p.kill()
		return o.gap
	}
}
