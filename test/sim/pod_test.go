package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// pod is one process of the deployment, from its start to its end.
type pod struct {
	w      *world
	slot   int
	number int         // over all slots, from 1
	dead   atomic.Bool // it was killed: nothing that it still does counts

	worker  *worker.Worker
	source  queue.Source
	scripts map[string]*checker.Script
	stop    context.CancelFunc
	close   func()
	ended   chan struct{} // Run has returned err
	err     error
}

// connection is what a pod has of its queue.
type connection struct {
	source queue.Source
	sink   queue.Sink // for dead letters
	close  func()     // after Run has returned
}

// startPod tries once; the queue may be away.
func (w *world) startPod(slot, number int) (*pod, error) {
	p := &pod{w: w, slot: slot, number: number, scripts: map[string]*checker.Script{}, ended: make(chan struct{})}
	for _, name := range append([]string{extraEntry}, entries...) {
		p.scripts[name] = w.destinations[name].script(p)
	}
	c, err := w.half.connect(p)
	if err != nil {
		return nil, err
	}
	p.source, p.close = watched(c.source, p), c.close
	cfg := w.config
	cfg.Routes = p.routes(false, nil)
	cfg.DeadLetter.Sink = &watchedSink{c.sink, p}
	if p.worker, err = worker.New(cfg); err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() {
		defer close(p.ended)
		p.err = p.worker.Run(ctx, p.source)
	}()
	return p, nil
}

// routes are those of every world, with one more entry or without. An entry whose
// version is another than before gets new instances.
func (p *pod) routes(extra bool, version map[string]string) []worker.Route {
	entry := func(name string) worker.Entry {
		t := p.w.destinations[name]
		k := p.scripts[name].Kind()
		_, short, _ := strings.Cut(name, "/")
		return worker.Entry{
			Name: short, Kind: k, New: k.New, Digest: "v" + version[name], Batch: t.batch,
			RetryInitial: 50 * time.Millisecond, RetryMax: 2 * time.Second, FlushTimeout: t.timeout,
		}
	}
	both := worker.Route{Name: routeBoth, Match: worker.Match{Project: "shop", Logstore: "both*"}, Flushers: []worker.Entry{entry("both/a"), entry("both/b")}}
	rest := worker.Route{Name: routeRest, Match: worker.Match{Project: "shop"}, Flushers: []worker.Entry{entry("rest/c")}}
	if extra {
		rest.Flushers = append(rest.Flushers, entry(extraEntry))
	}
	return []worker.Route{both, rest}
}

// look holds the pod to what has to be true at any moment.
func (p *pod) look() *worker.Status {
	st := p.worker.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			p.w.book.violate("unbalanced: source %s of pod %d: %+v", s.Name, p.number, s.Counts)
		}
	}
	for _, f := range st.Flushers {
		if !f.Counts.Balanced() {
			p.w.book.violate("unbalanced: %s/%s of pod %d: %+v", f.Route, f.Flusher, p.number, f.Counts)
		}
	}
	if st.Defects != 0 {
		p.w.book.violate("pod %d settled %d deliveries twice", p.number, st.Defects)
	}
	p.w.looks.Add(1)
	return st
}

// finish stops the pod as SIGTERM does and waits until it has ended, or was killed
// meanwhile.
func (p *pod) finish() {
	held := p.held()
	began := time.Now()
	p.stop()
	select {
	case <-p.ended:
	case <-time.After(longDrain):
		p.w.logf("pod %d still drains: %s", p.number, p.status())
		<-p.ended
	}
	if p.dead.Load() {
		return
	}
	p.close()
	took := time.Since(began)
	p.w.logf("pod %d stopped within %v: %v", p.number, took, p.err)
	if p.err != nil && !errors.Is(p.err, worker.ErrDrainDeadline) {
		p.w.book.violate("pod %d: Run returned %v", p.number, p.err)
	}
	if took > p.w.config.Drain+stopGrace {
		p.w.book.violate("pod %d: a stop with a drain of %v took %v", p.number, p.w.config.Drain, took)
	}
	if held > 0 {
		p.w.saw("stop-while-holding")
	}
	if p.w.mood == clean && p.err != nil {
		p.w.book.violate("pod %d did not drain although nothing hung: %v", p.number, p.err)
	}
	p.look()
}

// longDrain is when it is worth to be noted what is drained.
const longDrain = 10 * time.Second

// stopGrace is what a stop may take beyond its drain: five seconds each for the last
// acknowledgements, for calls that hang and for Stop of their instances.
const stopGrace = 20 * time.Second

// kill ends the pod as kill -9 does: from now on nothing of it reaches anybody. What
// runs on in this process is wound up beside the world.
func (p *pod) kill() {
	if p.held() > 0 {
		p.w.saw("kill-while-holding")
	}
	p.dead.Store(true)
	p.w.half.cutOff(p)
	p.w.logf("pod %d killed", p.number)
	p.worker.Hurry()
	p.stop()
	p.w.graves.Go(func() {
		<-p.ended
		p.close()
	})
}

// status says what does not move.
func (p *pod) status() string {
	st := p.worker.Status()
	b, err := json.Marshal(map[string]any{"strands": st.Strands, "lanes": st.Lanes, "pools": st.Pools, "stopped": st.Stopped})
	return fmt.Sprintf("pod %d (%v): %s", p.number, err, b)
}

func (p *pod) held() int64 {
	n := int64(0)
	for _, s := range p.worker.Status().Strands {
		n += s.Held
	}
	return n
}

// rest is judged when all of a pod's goroutines had time to end.
func (p *pod) rest() {
	for name, s := range p.scripts {
		for _, v := range s.Violations() {
			p.w.book.violate("contract of %s in pod %d: %s", name, p.number, v)
		}
	}
	for _, pool := range p.worker.Status().Pools {
		if pool.Used != 0 || pool.Waiting != 0 {
			p.w.book.violate("pod %d: pool %+v after its end", p.number, pool)
		}
	}
}
