package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// resting is a parked partition between two sweeps. Lanes that took nothing are tried
// meanwhile as often as their gates let them, each with the first of its records, which
// is read by itself: a sweep reads all, and so comes seldom. Records that came since, or
// that the sweep did not get to, are looked through for lanes that are not known yet.
//
// What a lane takes has ended: the next sweep, which comes at once, does not hand it out
// again and commits it. It is for the goroutine of the sweeps.
type resting struct {
	at      *parkedStrand
	serving *serving // what its handouts belong to

	firsts map[queue.Lane]*parkedFirst
	out    map[*parkedRecord]*parkedFirst
	ended  []queue.Interval
	kept   *inheritance // the last that ended was added to
	upTo   int64        // records below were looked at
	ticks  int
	reader parkedReader
}

// parkedFirst is where the first record lies of a lane that took nothing.
type parkedFirst struct {
	lane   queue.Lane
	places parkedPlaces
	out    bool
}

// parkedPlaces are the positions of a record: of its first piece, and of the others.
type parkedPlaces struct {
	first int64
	rest  []int64
}

func placesOf(positions []int64) parkedPlaces {
	slices.Sort(positions)
	return parkedPlaces{positions[0], positions[1:]}
}

func (p *parkedPlaces) last() int64 {
	if n := len(p.rest); n > 0 {
		return p.rest[n-1]
	}
	return p.first
}

func (p *parkedPlaces) has(position int64) bool {
	return position == p.first || slices.Contains(p.rest, position)
}

const (
	// mostFirsts is how many lanes of a partition are known between two sweeps: those
	// beyond wait for a sweep.
	mostFirsts = 1024

	// mostTried is how many of them are tried at once.
	mostTried = 64

	triedEvery = time.Second // gates are asked
)

func newResting(s *parkedStrand) *resting {
	return &resting{
		at: s, serving: &serving{at: s, firsts: map[queue.Lane]*parkedFirst{}},
		out: map[*parkedRecord]*parkedFirst{}, reader: newParkedReader(s),
	}
}

// missed notes where the first record lies of a lane that took nothing.
func (v *serving) missed(r *parkedRecord) {
	if r.lane.lane.Route != "" { // else it is for somebody else
		noteFirst(v.firsts, r.lane.lane, r.places)
	}
}

func noteFirst(firsts map[queue.Lane]*parkedFirst, lane queue.Lane, at parkedPlaces) {
	was := firsts[lane]
	if was == nil && len(firsts) < mostFirsts || was != nil && at.first < was.places.first {
		firsts[lane] = &parkedFirst{lane: lane, places: at}
	}
}

// rest waits until the next sweep. It says whether a lane took its first record: what
// has ended by that is in next.
func (x *resting) rest(own context.Context, began time.Time, pause time.Duration, next *start) (took bool) {
	s := x.at
	over := time.After(pause)
	tick := time.NewTicker(triedEvery)
	defer tick.Stop()
	for ending := false; !ending || len(x.out) > 0; {
		select {
		case <-own.Done():
			return false
		case <-over:
			ending = true
		case <-s.looked:
			ending = true
		case <-s.turn:
			x.hear()
		case <-tick.C:
			if !ending && next.from != nil {
				x.look(own, pause)
				x.try(own)
			}
		}
		ending = ending || x.ended != nil
	}
	took = x.keep(next)
	if soon := leastPause - time.Since(began); soon > 0 {
		_ = waitFor(own, soon, nil) // its end is seen by whoever sweeps
	}
	return took
}

// keep has the next sweep know what has ended.
func (x *resting) keep(next *start) bool {
	if x.ended == nil || next.from == nil {
		return false
	}
	from := *next.from
	from.Ended = union(from.Ended, x.ended)
	next.from, x.kept, x.ended = &from, &from, nil
	return true
}

// unsaved says that something has ended that no sweep has begun with, so that it would
// not be committed: next knows of it.
func (x *resting) unsaved(next *start) bool {
	return x.keep(next) || next.from != nil && next.from == x.kept
}

// hear takes in what happened to records that were tried.
func (x *resting) hear() {
	events, _ := x.at.heard() // a gate that opens ends the rest, see looked
	for _, e := range events {
		f := x.out[e.record]
		delete(x.out, e.record)
		switch {
		case f == nil && e.what == parkedRefused: // of a sweep whose topic is gone
			e.record.forget()
		case f == nil:
		case e.what == parkedRefused:
			f.out = false
			x.at.host.Give(e.record.cost)
			if mutant.On(mutant.TryEnds) {
				x.end(f)
			}
		case e.what == parkedTaken:
			failpoint.Hit(failpoint.ParkedTried)
			delete(x.firsts, f.lane)
			x.end(f)
		}
	}
}

// end notes that a record has ended, with all its pieces.
func (x *resting) end(f *parkedFirst) {
	for _, at := range append([]int64{f.places.first}, f.places.rest...) {
		x.ended = union(x.ended, []queue.Interval{{From: at, To: at + 1}})
	}
}

// try hands out the first records of lanes whose gates are not shut, as far as the
// worker asks for some and has bytes free.
func (x *resting) try(own context.Context) {
	room, ok := x.at.demand()
	if !ok || x.at.lease.Doubtful() {
		return
	}
	var out []*queue.Delivery
	bytes := int64(0)
	for lane, f := range x.firsts {
		if len(x.out) >= mostTried || len(out) >= room.Messages || bytes >= room.Bytes {
			break
		}
		if f.out || x.at.host.Gate(lane) < queue.GateProbe {
			continue
		}
		r, err := x.reader.record(own, f)
		if errors.Is(err, errNotThere) { // a sweep knows better
			delete(x.firsts, lane)
			continue
		}
		if err != nil {
			break // the broker is asked again with the next tick
		}
		cost := r.message.Held()
		if got, err := x.at.host.Take(own, 0, cost); got < cost || err != nil {
			x.at.host.Give(got)
			break
		}
		bytes += cost
		r.serving, r.cost, r.places = x.serving, cost, f.places
		x.out[r], f.out = f, true
		out = append(out, r.handOut())
	}
	x.at.offer(out)
}

// look looks for lanes in what the last sweep did not get to or what came since, a part
// of it with each firstPause. Where sweeps come as often there is no need.
func (x *resting) look(own context.Context, pause time.Duration) {
	x.ticks++
	if x.ticks%int(firstPause/triedEvery) != 1 || pause <= firstPause || mutant.On(mutant.TailUnseen) {
		return
	}
	x.upTo = x.reader.lanes(own, x.upTo, func(lane queue.Lane, at int64) {
		noteFirst(x.firsts, lane, parkedPlaces{first: at})
	})
}
