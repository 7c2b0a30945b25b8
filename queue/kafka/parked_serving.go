package kafka

import (
	"context"
	"time"

	"go.uber.org/zap"

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

	known  map[queue.Lane]*sweepLane[*parkedRecord]
	firsts map[queue.Lane]*parkedFirst // of lanes that took nothing
	upTo   int64                       // records below have come
	past   bool                        // a record beyond the end has come
	cost   int64                       // of what waits
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
	v.upTo = m.Position + 1
	places := parkedPlaces{first: m.Position}
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
		pieces, places = v.together(whole.Positions), placesOf(whole.Positions)
	}
	if text, ok := whole.Header(queue.HeaderOrigin); ok {
		if o, ok := queue.ParseOrigin(text); ok {
			origin = o
		}
	}
	v.arrive(&parkedRecord{serving: v, pieces: pieces, places: places, message: whole.Message, origin: origin})
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
	r.lane = v.lane(&r.message)
	if v.plan.arrive(r.lane, r) {
		v.cost += r.cost
		return
	}
	r.forget()
}

// lane finds the lane of a record. One that is not for us waits for somebody who knows
// better.
func (v *serving) lane(m *queue.Message) *sweepLane[*parkedRecord] {
	lane, to, ours := parkedLane(m, v.at.parked.cfg.Group)
	if !ours {
		return v.plan.of(to, queue.Lane{})
	}
	l := v.known[lane]
	if l == nil { // its text is dear
		l = v.plan.of(lane.String(), lane)
		v.known[lane] = l
	}
	return l
}
