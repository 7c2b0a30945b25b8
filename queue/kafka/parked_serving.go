package kafka

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
)

// serving is one sweep as it happens: it reads the partition up to where the log ended
// when it began, and carries out what sweep decides. All of it but the putting again
// runs on one goroutine.
type serving struct {
	at     *parkedStrand
	strand *strand // what is read, with the watermark
	plan   *sweep[*parkedRecord]
	end    int64
	log    *zap.Logger

	past   bool  // a record beyond the end has come
	cost   int64 // of what waits
	joiner queue.Joiner
	chunks map[int64]*queue.Delivery // of messages that are not whole yet, by position

	moves    chan []error // the answer of a put; nil: none is under way
	stop     func()       // ends it
	moving   []*parkedRecord
	lanes    []*sweepLane[*parkedRecord] // of moving
	moveFrom time.Time                   // not before
	failures int
	moved    int // records put again
}

const (
	// heldBytes is how much may wait in a sweep before it is too much.
	heldBytes = 16 << 20

	// idleFor is how long the worker may not ask for records before what waits counts as
	// too much: its budget may be what keeps it.
	idleFor = time.Second

	// One put again is of so many records and about so many bytes.
	moveRecords = 256
	moveBytes   = 4 << 20

	// orphanAge is how long the chunks of a message may wait for the others. The put that
	// wrote them has failed, and was tried again with the whole message.
	orphanAge = 10 * time.Minute
)

// run serves until the sweep is over or ctx ends.
func (v *serving) run(ctx context.Context) {
	tick := time.NewTicker(idleFor)
	defer tick.Stop()
	for ctx.Err() == nil {
		v.hear()
		v.handOut()
		v.move(ctx)
		v.makeRoom()
		if v.plan.over(v.read()) {
			return
		}
		if v.fetch(ctx) {
			continue
		}
		select {
		case <-v.at.turn:
		case <-v.strand.wake:
		case errs := <-v.moves:
			v.settle(errs)
		case <-tick.C: // doubts that end, puts to try again, a worker that does not ask
		case <-ctx.Done():
		}
	}
}

// hear takes in what happened to records that were handed out, and which gates opened.
func (v *serving) hear() {
	events, lanes := v.at.heard()
	for _, e := range events {
		r := e.record
		switch {
		case r.serving != v: // of a sweep whose topic is gone
			if e.what == parkedRefused {
				r.forget()
			}
		case e.what == parkedTaken:
			v.plan.took(r.lane)
		case e.what == parkedRefused:
			v.cost += r.cost
			v.plan.refused(r.lane, r)
		default: // released: the strand ends, and the record stays
		}
	}
	for _, lane := range lanes {
		v.plan.opened(lane.String())
	}
}

// handOut gives the worker what it has room for.
func (v *serving) handOut() {
	room, ok := v.at.demand()
	if !ok {
		return
	}
	var out []*queue.Delivery
	for bytes := int64(0); len(out) < room.Messages && (len(out) == 0 || bytes < room.Bytes); {
		_, r, ok := v.plan.next(v.gate)
		if !ok {
			break
		}
		bytes += r.cost
		v.cost -= r.cost
		out = append(out, r.handOut())
	}
	v.at.offer(out)
}

// gate asks the worker; it is never asked about records for somebody else.
func (v *serving) gate(l *sweepLane[*parkedRecord]) queue.Gate {
	g := queue.GateUnknown
	if l.lane.Route != "" {
		g = v.at.host.Gate(l.lane)
	}
	if g == queue.GateUnknown {
		v.at.parked.unknown(v.at.Topic, v.to(l))
	}
	return g
}

func (v *serving) to(l *sweepLane[*parkedRecord]) string {
	if l.lane.Route == "" {
		return l.name
	}
	return v.at.parked.cfg.Group + "/" + l.lane.Entry()
}

// read says that all records of the sweep have come.
func (v *serving) read() bool {
	if v.past {
		return true
	}
	v.strand.mu.Lock()
	defer v.strand.mu.Unlock()
	return v.strand.next >= v.end && len(v.strand.in) == 0 && !v.strand.taking
}

// fetch takes records in while the worker asks for some; it says whether any came.
func (v *serving) fetch(ctx context.Context) bool {
	room, ok := v.at.demand()
	if !ok || v.read() || !v.plan.reads() || v.crowded() {
		return false
	}
	ds, stray := v.strand.collect(room)
	if stray {
		return v.strand.locate(ctx) == nil
	}
	for _, d := range ds {
		v.take(d)
	}
	return len(ds) > 0
}

func (v *serving) crowded() bool {
	return v.plan.waiting >= max(v.at.parked.opt.Window/2, 1) || v.cost >= heldBytes
}

// makeRoom forgets what waits when it is too much and cannot be put again.
func (v *serving) makeRoom() {
	if v.plan.jams() && (v.crowded() || v.at.idle() > idleFor) {
		v.plan.crowd()
	}
	for _, r := range v.plan.drops() {
		v.cost -= r.cost
		r.forget()
	}
}

// take takes in one record of the log.
func (v *serving) take(d *queue.Delivery) {
	m := *d.Message()
	if m.Position >= v.end {
		v.past = true
		d.Release()
		d.Free()
		return
	}
	pieces := []*queue.Delivery{d}
	_, chunk := m.Header(queue.HeaderPartOf)
	if chunk {
		v.chunks[m.Position] = d
	}
	origin := d.Origin()
	whole, err := v.joiner.Add(m)
	switch {
	case err != nil: // it can never be flushed: the worker makes a dead letter of it
		delete(v.chunks, m.Position)
		m.Headers = setHeader(m.Headers, queue.HeaderDamage, err.Error())
		whole = &queue.Whole{Message: m}
	case whole == nil:
		return
	case chunk:
		pieces = v.together(whole.Positions)
	}
	if text, ok := whole.Header(queue.HeaderOrigin); ok {
		if o, ok := queue.ParseOrigin(text); ok {
			origin = o
		}
	}
	v.arrive(&parkedRecord{serving: v, pieces: pieces, message: whole.Message, origin: origin})
}

// together takes the chunks of one message.
func (v *serving) together(positions []int64) []*queue.Delivery {
	var pieces []*queue.Delivery
	for _, pos := range positions {
		if d := v.chunks[pos]; d != nil {
			pieces = append(pieces, d)
			delete(v.chunks, pos)
		}
	}
	return pieces
}

// arrive lets a record pay for itself and join its lane.
func (v *serving) arrive(r *parkedRecord) {
	r.cost = r.message.Held()
	paid := int64(0)
	for _, d := range r.pieces {
		held := d.Held()
		paid += held
		d.Charge(-held)
		d.Free()
	}
	switch host := v.at.host; {
	case r.cost > paid:
		host.Charge(r.cost - paid)
	case r.cost < paid:
		host.Give(paid - r.cost)
	}
	lane, to, ours := parkedLane(&r.message, v.at.parked.cfg.Group)
	name := lane.String()
	if !ours { // it waits for somebody who knows better
		name, lane = to, queue.Lane{}
	}
	r.lane = v.plan.of(name, lane)
	if v.plan.arrive(r.lane, r) {
		v.cost += r.cost
		return
	}
	r.forget()
}

// move has records put again, one put at a time.
func (v *serving) move(ctx context.Context) {
	if v.moves != nil || time.Now().Before(v.moveFrom) {
		return
	}
	bytes := int64(0)
	v.lanes, v.moving = v.plan.moves(moveRecords, func(r *parkedRecord) bool {
		bytes += r.cost
		return bytes <= moveBytes
	})
	if len(v.moving) == 0 {
		return
	}
	v.moves = make(chan []error, 1)
	ms := make([]queue.Message, len(v.moving))
	for i, r := range v.moving {
		v.cost -= r.cost
		ms[i] = r.putAgain()
	}
	putting, stop := context.WithCancel(context.WithoutCancel(ctx)) // what is stored is to be known, also at the end
	v.stop = stop
	go func(done chan<- []error) {
		defer stop()
		done <- v.at.parked.putAgain(putting, v.at.Topic, ms)
	}(v.moves)
}

// putAgain stores records once more in the topic that they lie in. It ends by itself,
// as every Put does.
func (p *Parked) putAgain(ctx context.Context, topic string, ms []queue.Message) []error {
	sink, err := p.existing(ctx, topic)
	if err != nil {
		errs := make([]error, len(ms))
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	errs := sink.Put(ctx, ms)
	if errs == nil {
		failpoint.Hit(failpoint.ParkedMoved)
	}
	return errs
}

// settle takes in the answer to a put: the old record of what is stored has ended.
func (v *serving) settle(errs []error) {
	var failed []error
	for i, r := range v.moving {
		if i < len(errs) && errs[i] != nil {
			failed = append(failed, errs[i])
			v.cost += r.cost
			v.plan.stayed(v.lanes[i], r)
			continue
		}
		r.end()
		v.at.host.Give(r.cost)
		v.plan.moved()
		v.moved++
	}
	v.moves, v.moving, v.lanes = nil, nil, nil
	v.strand.src.commits.settled()
	if len(failed) == 0 {
		v.failures = 0
		return
	}
	v.moveFrom = time.Now().Add(retryIn(v.failures))
	v.failures++
	v.log.Warn("couldn't put parked records again; tried again", zap.Int("records", len(failed)), zap.Error(failed[0]))
}

// close gives back what is held, once nothing is handed out any more or nobody cares.
// until bounds the wait for a put that is under way.
func (v *serving) close(until time.Time) {
	if v.moves != nil {
		t := time.AfterFunc(time.Until(until), v.stop)
		defer t.Stop()
		v.settle(<-v.moves)
	}
	v.hear()
	for _, r := range v.plan.left() {
		r.forget()
	}
	orphans := 0
	for _, d := range v.chunks {
		if time.Since(d.Message().Time) > orphanAge {
			orphans++
			d.Ack()
		} else {
			d.Release()
		}
		d.Free()
	}
	if orphans > 0 {
		v.log.Warn("chunks of messages that were never stored whole are passed: each message was stored again", zap.Int("chunks", orphans))
	}
}
