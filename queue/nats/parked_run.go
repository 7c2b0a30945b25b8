package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

const (
	scanEvery = 3 * time.Second
	scanBusy  = time.Second            // while lanes are served
	scanLeast = 200 * time.Millisecond // between two scans, however many hints come
	gateEvery = 250 * time.Millisecond // the gates of lanes that are served
)

// parkedRun is one Run of a companion: which lanes there are, and which are served.
// Only its own goroutine changes it.
type parkedRun struct {
	*Parked
	host    queue.ParkedHost
	lanes   map[string]*parkedLane
	ended   chan *parkedLane
	orphans orphans
	served  int
	probes  int // of served

	scanned   time.Time // when the last scan began
	hinted    bool
	dirty     bool // lanes may have become ready to be served
	failing   bool // the last scan failed
	consumers int  // of the stream
	most      int  // consumers that a probe may add to

	unknown map[string]bool // entries that were reported
	asking  sync.WaitGroup
}

// parkedLane is a lane that holds records, or is served.
type parkedLane struct {
	suffix string
	one    Consumer
	count  uint64
	empty  int       // scans in a row that found nothing
	tried  time.Time // when it was last served
	wait   time.Time // not to be served before
	probe  bool      // it was begun as a probe

	lane    queue.Lane
	side    *side // while it is served; else nil
	end     context.CancelCauseFunc
	closing bool
	err     error // of serving it; read after it ended
	asking  sync.Mutex
}

// Run implements queue.ParkedHost's companion: it serves lanes until ctx ends.
func (p *Parked) Run(ctx context.Context, h queue.ParkedHost) error {
	r := &parkedRun{
		Parked: p, host: h, lanes: map[string]*parkedLane{}, ended: make(chan *parkedLane),
		orphans: orphans{}, unknown: map[string]bool{}, most: parkedConsumers * 3 / 4,
	}
	var tidying sync.WaitGroup
	tidying.Go(func() { p.tidier.run(ctx) })
	tick := time.NewTicker(gateEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		if now := time.Now(); r.due(now) {
			r.scan(ctx, now)
		}
		r.judge(ctx)
		r.start(ctx)
		select {
		case <-ctx.Done():
		case l := <-r.ended:
			r.over(l)
		case <-p.look:
			r.hinted = true
		case <-p.stir:
		case <-tick.C:
		}
	}
	for r.served > 0 {
		r.over(<-r.ended)
	}
	r.asking.Wait()
	tidying.Wait()
	p.tidier.finish()
	return nil
}

func (r *parkedRun) due(now time.Time) bool {
	every := scanEvery
	switch {
	case r.hinted:
		every = scanLeast
	case r.served > 0:
		every = scanBusy
	}
	return now.Sub(r.scanned) >= every
}

// scan reads what is parked.
func (r *parkedRun) scan(ctx context.Context, now time.Time) {
	r.scanned, r.hinted = now, false
	l, err := r.backlog.list(ctx)
	if err != nil {
		if !r.failing && ctx.Err() == nil {
			r.log.Warn("couldn't see what is parked; it stays there and is served when this works", zap.Error(err))
		}
		r.failing = true
		return
	}
	if r.failing {
		r.failing = false
		r.log.Info("what is parked can be seen again")
	}
	r.consumers = l.info.State.Consumers
	if most := l.info.Config.MaxConsumers; most > 0 {
		r.most = max(1, most*3/4)
	}
	for suffix, n := range l.lanes {
		one := r.lanes[suffix]
		if one == nil {
			one = &parkedLane{suffix: suffix, one: r.backlog.durable(suffix)}
			r.lanes[suffix] = one
		}
		one.count, one.empty = n, 0
	}
	for suffix, one := range r.lanes {
		if l.lanes[suffix] > 0 {
			continue
		}
		one.count = 0
		if one.empty++; one.side == nil {
			delete(r.lanes, suffix)
		}
	}
	r.dirty = true
	for _, suffix := range r.orphans.due(l, now) {
		if err := r.sink.conn.purge(ctx, r.sink.stream, r.backlog.prefix+suffix); err != nil {
			r.log.Debug("couldn't remove chunks without a record", zap.Error(err))
		}
	}
}

// judge lets the strands that are served follow their lanes' gates.
func (r *parkedRun) judge(ctx context.Context) {
	for _, l := range r.lanes {
		if l.side == nil || l.closing {
			continue
		}
		switch gate := r.host.Gate(l.lane); {
		case l.empty > 1:
			l.side.empty.Store(true)
			r.close(l, "nothing is parked for it any more")
		case gate == queue.GateShut && l.side.trying():
			// The gate is shut for others while a try is on its way.
		case gate == queue.GateShut || gate == queue.GateUnknown:
			l.side.shut.Store(true)
			r.close(l, "its gate is "+gate.String())
		case gate == queue.GateProbe:
			l.side.probing.Store(true)
		case gate == queue.GateOpen:
			if l.side.probing.Swap(false) {
				l.side.ask()
			}
			if l.side.most.Load() == 1 {
				r.widen(ctx, l)
			}
		}
	}
}

// close ends the strand of a lane. What is inside a Flush may still end.
func (r *parkedRun) close(l *parkedLane, why string) {
	l.closing = true
	l.end(&queue.End{Reason: queue.Closed, Deadline: time.Now().Add(closedPatience), Why: why})
}

// widen lets more than one record of a lane out.
func (r *parkedRun) widen(ctx context.Context, l *parkedLane) {
	if !l.asking.TryLock() {
		return
	}
	lane := l.side
	r.asking.Go(func() {
		defer l.asking.Unlock()
		if err := r.sink.conn.setMaxAckPending(ctx, l.one, r.mostOut()); err != nil {
			r.log.Debug("couldn't widen a parked lane; trying again", zap.String("lane", l.suffix), zap.Error(err))
			return
		}
		lane.most.Store(int64(r.mostOut()))
		lane.ask()
	})
}

// over takes back a lane whose strand has ended.
func (r *parkedRun) over(l *parkedLane) {
	r.served--
	if l.probe {
		r.probes--
	}
	l.side, l.end, l.closing = nil, nil, false
	l.tried = time.Now()
	l.wait = l.tried.Add(gateEvery)
	switch {
	case l.err == nil || errors.Is(l.err, errNoMessage):
	case errors.Is(l.err, errFull):
		l.wait = l.tried.Add(scanEvery)
	default:
		l.wait = l.tried.Add(scanEvery)
		r.log.Warn("couldn't serve a parked lane; trying again", zap.String("lane", l.suffix), zap.Error(l.err))
	}
	l.err = nil
	r.backlog.stale(l.suffix)
	r.dirty = true
}
