package memory

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flushline/flushline/queue"
)

// Parked is a companion of parked records: a Sink that serves what it stores again, a
// strand a lane, as the gates say. What was acknowledged is gone. What was deferred, or
// not settled when its strand ended, comes again; after a deferral not within a second.
type Parked struct {
	*Sink
	name  string
	every time.Duration // between two looks at the gates
	look  chan struct{}

	mu    sync.Mutex
	lanes map[queue.Lane]*parkedLane

	defers int
}

var _ queue.Parked = (*Parked)(nil)

// NewParked makes an empty companion of the source with that name.
func NewParked(name string) *Parked {
	return &Parked{Sink: NewSink(name + "_parked"), name: name + "_parked", every: time.Second, look: make(chan struct{}, 1), lanes: map[queue.Lane]*parkedLane{}}
}

// parkedLane is what is parked for one lane, and its strand while it is served.
type parkedLane struct {
	p    *Parked
	id   queue.Lane
	log  []*parkedEntry // oldest first
	gate queue.Gate
	wake chan struct{}

	host    queue.Host
	serving bool
	end     context.CancelCauseFunc
	out     int
	rest    time.Time // after a deferral: nothing is handed out before
}

type parkedEntry struct {
	msg     queue.Message
	out     bool
	attempt int
}

// Put implements queue.Sink.
func (p *Parked) Put(ctx context.Context, ms []queue.Message) []error {
	errs := p.Sink.Put(ctx, ms)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for i := range ms {
		if errs != nil && errs[i] != nil {
			continue
		}
		id, err := queue.ParseLane(ms[i].Subject)
		if err != nil {
			if errs == nil {
				errs = make([]error, len(ms))
			}
			errs[i] = err
			continue
		}
		m := ms[i]
		m.Value, m.Key, m.Headers = slices.Clone(m.Value), slices.Clone(m.Key), slices.Clone(m.Headers)
		m.Time = now
		l := p.laneLocked(id)
		l.log = append(l.log, &parkedEntry{msg: m})
		poke(l.wake)
	}
	return errs
}

func (p *Parked) laneLocked(id queue.Lane) *parkedLane {
	l := p.lanes[id]
	if l == nil {
		l = &parkedLane{p: p, id: id, wake: make(chan struct{}, 1)}
		p.lanes[id] = l
	}
	return l
}

// Prepare implements queue.Parked: nothing has to be made.
func (p *Parked) Prepare(context.Context, []queue.Lane) error { return nil }

// Look implements queue.Parked.
func (p *Parked) Look(queue.Lane) { poke(p.look) }

// Lanes implements queue.Parked.
func (p *Parked) Lanes(context.Context) ([]queue.Backlog, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []queue.Backlog
	for id, l := range p.lanes {
		if len(l.log) == 0 {
			continue
		}
		b := queue.Backlog{Lane: id, Place: p.name, Messages: int64(len(l.log)), Oldest: l.log[0].msg.Time}
		for _, e := range l.log {
			b.Bytes += e.msg.Size()
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b queue.Backlog) int { return strings.Compare(a.Lane.String(), b.Lane.String()) })
	return all, nil
}

// Waiting is how many records are parked.
func (p *Parked) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, l := range p.lanes {
		n += len(l.log)
	}
	return n
}

// Deferred is how many records were handed out and not taken.
func (p *Parked) Deferred() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.defers
}

// Run implements queue.Parked.
func (p *Parked) Run(ctx context.Context, h queue.ParkedHost) error {
	var serving sync.WaitGroup
	defer serving.Wait()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		p.visit(ctx, h, &serving)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.look:
		}
	}
}

// visit asks for each lane's gate and begins or ends its strand.
func (p *Parked) visit(ctx context.Context, h queue.ParkedHost, serving *sync.WaitGroup) {
	p.mu.Lock()
	var lanes []*parkedLane
	for _, l := range p.lanes {
		if len(l.log) > 0 || l.serving {
			lanes = append(lanes, l)
		}
	}
	p.mu.Unlock()
	for _, l := range lanes {
		gate := h.Gate(l.id)
		p.mu.Lock()
		l.gate = gate
		switch {
		case gate == queue.GateUnknown || gate == queue.GateShut || len(l.log) == 0:
			if l.serving && l.out == 0 {
				l.end(&queue.End{Reason: queue.Closed, Deadline: time.Now()})
			}
		case !l.serving:
			served, end := context.WithCancelCause(ctx)
			l.serving, l.end, l.host = true, end, h
			serving.Go(func() { l.serve(served, h) })
		}
		p.mu.Unlock()
		poke(l.wake)
	}
}

func (l *parkedLane) serve(ctx context.Context, h queue.Host) {
	_ = h.Serve(ctx, l) // it returns no error: Fetch has none but ctx's
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.serving = false
	l.end(nil)
	for _, e := range l.log {
		e.out = false
	}
	l.out = 0
}

// Info implements queue.Strand.
func (l *parkedLane) Info() queue.Info {
	return queue.Info{Source: l.p.name, Name: l.p.name + "/" + l.id.String(), Parked: true}
}

// Fetch implements queue.Strand.
func (l *parkedLane) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	paid := int64(0)
	defer func() { l.host.Give(paid) }()
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		ds, lacks := l.handOut(ctx, room, &paid)
		if len(ds) > 0 {
			return ds, nil
		}
		if lacks > 0 {
			n, err := l.host.Take(ctx, lacks, lacks)
			if err != nil {
				return nil, err
			}
			paid += n
			continue
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		}
	}
}

// handOut hands out what the budget has room for, beside what is paid. lacks is what the
// first record wants more.
func (l *parkedLane) handOut(ctx context.Context, room queue.Room, paid *int64) (ds []*queue.Delivery, lacks int64) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	most := room.Messages
	switch {
	case time.Now().Before(l.rest):
		return nil, 0
	case l.gate == queue.GateProbe:
		most = 1 - l.out
	case l.gate != queue.GateOpen:
		return nil, 0
	}
	var bytes int64
	for _, e := range l.log {
		if len(ds) >= most || len(ds) > 0 && bytes+e.msg.Size() > room.Bytes {
			break
		}
		if e.out {
			continue
		}
		held := e.msg.Size() + 1<<10
		if *paid < held {
			if n, err := l.host.Take(ctx, 0, held-*paid); err == nil {
				*paid += n
			}
		}
		if *paid < held {
			return ds, held - *paid
		}
		e.out = true
		e.attempt++
		bytes += held
		*paid -= held
		l.out++
		r := &parkedRecord{lane: l, entry: e}
		text, _ := e.msg.Header(queue.HeaderOrigin)
		origin, _ := queue.ParseOrigin(text)
		r.Init(e.msg, origin, e.attempt, held, r, l.host.Give)
		ds = append(ds, &r.Delivery)
	}
	return ds, 0
}

// Status implements queue.Strand.
func (l *parkedLane) Status() queue.Status {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return queue.Status{State: queue.StateConsuming, Lag: int64(len(l.log)), Unsettled: int64(l.out), Position: -1, Committed: -1, End: -1}
}

// parkedRecord is a delivery and its settler.
type parkedRecord struct {
	queue.Delivery
	lane  *parkedLane
	entry *parkedEntry
}

var _ queue.Deferrer = (*parkedRecord)(nil)

// Ack implements queue.Settler.
func (r *parkedRecord) Ack(*queue.Delivery) {
	r.back(func(l *parkedLane) {
		l.log = slices.DeleteFunc(l.log, func(e *parkedEntry) bool { return e == r.entry })
	})
}

// Release implements queue.Settler.
func (r *parkedRecord) Release(*queue.Delivery) { r.back(func(*parkedLane) {}) }

// Defer implements queue.Deferrer.
func (r *parkedRecord) Defer(*queue.Delivery) {
	r.back(func(l *parkedLane) {
		l.rest = time.Now().Add(time.Second)
		l.p.defers++
	})
}

func (r *parkedRecord) back(how func(*parkedLane)) {
	l := r.lane
	l.p.mu.Lock()
	if r.entry.out {
		r.entry.out = false
		l.out--
	}
	how(l)
	more := len(l.log) > 0
	l.p.mu.Unlock()
	poke(l.wake)
	if more {
		poke(l.p.look) // the gate may be another one by now
	}
}
