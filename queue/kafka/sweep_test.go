package kafka

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
)

// sweepWorld is a partition, lanes that take records or do not, and the sweep between them.
type sweepWorld struct {
	*sweep[int]
	gates []queue.Gate
	takes []bool

	log    []int       // lanes of the records, by position
	read   int         // positions that have arrived
	where  map[int]int // of each arrived record: one of the places below
	out    []int
	moving []int
}

const (
	sweepHeld = iota
	sweepOut
	sweepTaken
	sweepForgotten
	sweepMoving
	sweepMoved
)

func (w *sweepWorld) lane(n int) *sweepLane[int] {
	return w.of(fmt.Sprint(n), queue.Lane{Project: fmt.Sprint(n)})
}

func (w *sweepWorld) gate(l *sweepLane[int]) queue.Gate {
	var n int
	_, _ = fmt.Sscan(l.name, &n) // it is what lane wrote
	return w.gates[n]
}

func (w *sweepWorld) count(place int) (n int) {
	for _, p := range w.where {
		if p == place {
			n++
		}
	}
	return n
}

// Whatever happens: no record is lost or in two places, a lane under a probe has one
// record out, nothing is put again before that helps, and the counts are true.
func TestSweepKeepsEveryRecord(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.IntRange(1, 12).Draw(t, "lanes")
		w := &sweepWorld{
			sweep: newSweep[int](rapid.IntRange(0, 4).Draw(t, "patience"), rapid.Bool().Draw(t, "licensed")),
			gates: rapid.SliceOfN(rapid.SampledFrom([]queue.Gate{queue.GateUnknown, queue.GateShut, queue.GateProbe, queue.GateOpen}), lanes, lanes).Draw(t, "gates"),
			takes: rapid.SliceOfN(rapid.Bool(), lanes, lanes).Draw(t, "takes"),
			log:   rapid.SliceOfN(rapid.IntRange(0, lanes-1), 0, 200).Draw(t, "log"),
			where: map[int]int{},
		}
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"": w.check,
			"arrive": func(t *rapid.T) {
				if w.read == len(w.log) {
					t.Skip("all is read")
				}
				w.where[w.read] = sweepForgotten
				if w.arrive(w.lane(w.log[w.read]), w.read) {
					w.where[w.read] = sweepHeld
				}
				w.read++
			},
			"hand out": func(t *rapid.T) {
				l, r, ok := w.next(w.gate)
				if !ok {
					return
				}
				if w.gate(l) <= queue.GateShut || w.where[r] != sweepHeld {
					t.Fatalf("record %d of lane %s was handed out", r, l.name)
				}
				if w.gate(l) == queue.GateProbe && l.out != 1 {
					t.Fatalf("lane %s has %d records out", l.name, l.out)
				}
				w.where[r] = sweepOut
				w.out = append(w.out, r)
			},
			"end": func(t *rapid.T) {
				if len(w.out) == 0 {
					t.Skip("nothing is out")
				}
				at := rapid.IntRange(0, len(w.out)-1).Draw(t, "which")
				r := w.out[at]
				w.out = slices.Delete(w.out, at, at+1)
				n := w.log[r]
				if w.takes[n] {
					w.where[r] = sweepTaken
					w.took(w.lane(n))
				} else {
					w.where[r] = sweepHeld
					w.refused(w.lane(n), r)
				}
			},
			"too much": func(*rapid.T) {
				w.crowd()
				w.forget(w.drops())
			},
			"put again": func(t *rapid.T) {
				helps := w.delivered || w.licensed
				_, rs := w.moves(rapid.IntRange(1, 20).Draw(t, "at once"), func(int) bool { return true })
				if len(rs) > 0 && !helps {
					t.Fatalf("%v are put again for nobody", rs)
				}
				for _, r := range rs {
					if w.where[r] != sweepHeld {
						t.Fatalf("record %d is put again from place %d", r, w.where[r])
					}
					w.where[r] = sweepMoving
					w.moving = append(w.moving, r)
				}
			},
			"put": func(t *rapid.T) {
				if len(w.moving) == 0 {
					t.Skip("nothing is put again")
				}
				r := w.moving[0]
				w.moving = w.moving[1:]
				if rapid.Bool().Draw(t, "stored") {
					w.where[r] = sweepMoved
					w.moved()
				} else {
					w.where[r] = sweepHeld
					w.stayed(w.lane(w.log[r]), r)
				}
			},
			"a gate changes": func(t *rapid.T) {
				n := rapid.IntRange(0, lanes-1).Draw(t, "lane")
				w.gates[n] = rapid.SampledFrom([]queue.Gate{queue.GateUnknown, queue.GateShut, queue.GateProbe, queue.GateOpen}).Draw(t, "gate")
				w.takes[n] = rapid.Bool().Draw(t, "takes")
				if w.gates[n] > queue.GateShut {
					w.opened(fmt.Sprint(n))
				}
			},
		}))
		w.finish(t)
	})
}

func (w *sweepWorld) forget(rs []int) {
	for _, r := range rs {
		w.where[r] = sweepForgotten
	}
}

func (w *sweepWorld) check(t *rapid.T) {
	if got := [3]int{w.waiting, w.sweep.out, w.sweep.moving}; got != [3]int{w.count(sweepHeld), w.count(sweepOut), w.count(sweepMoving)} {
		t.Fatalf("held, out, moving %v, places %v", got, w.where)
	}
	trying := map[int]bool{}
	for _, r := range w.out {
		if !w.lane(w.log[r]).proven {
			trying[w.log[r]] = true
		}
	}
	if len(trying) != w.trying {
		t.Fatalf("%d lanes are tried, it counts %d", len(trying), w.trying)
	}
	if w.over(w.read == len(w.log)) && len(w.out)+len(w.moving) > 0 {
		t.Fatal("over with records out")
	}
}

// finish lets the sweep run to its end, which has to come.
func (w *sweepWorld) finish(t *rapid.T) {
	for n := 0; !w.over(w.read == len(w.log)); n++ {
		if n > 10*len(w.log)+100 {
			t.Fatalf("it does not end: %+v", w.sweep)
		}
		for w.read < len(w.log) && w.reads() {
			w.where[w.read] = sweepForgotten
			if w.arrive(w.lane(w.log[w.read]), w.read) {
				w.where[w.read] = sweepHeld
			}
			w.read++
		}
		for {
			_, r, ok := w.next(w.gate)
			if !ok {
				break
			}
			w.where[r] = sweepOut
			w.out = append(w.out, r)
		}
		for _, r := range w.out {
			w.where[r] = sweepHeld
			if l := w.lane(w.log[r]); w.takes[w.log[r]] {
				w.where[r] = sweepTaken
				w.took(l)
			} else {
				w.refused(l, r)
			}
		}
		w.out = nil
		_, rs := w.moves(10, func(int) bool { return true })
		for _, r := range append(rs, w.moving...) {
			w.where[r] = sweepMoved
			w.moved()
		}
		w.moving = nil
		w.forget(w.drops())
		w.check(t)
	}
	w.forget(w.left())
	for r := range w.read {
		if p := w.where[r]; p != sweepTaken && p != sweepForgotten && p != sweepMoved {
			t.Fatalf("record %d ended in place %d", r, p)
		}
	}
	if w.waiting != 0 {
		t.Fatalf("%d records wait when all are forgotten", w.waiting)
	}
}

// sweepAll is one sweep over a log, and what is left of it for the next: what was not
// taken, in order, and behind it what was put again.
func sweepAll(log []int, takes func(int) bool, patience, room int, licensed bool) (left []int, taken, moved int, v sweepVerdict) {
	w := &sweepWorld{sweep: newSweep[int](patience, licensed), where: map[int]int{}, log: log}
	for n := range slices.Max(log) + 1 {
		w.gates, w.takes = append(w.gates, queue.GateProbe), append(w.takes, takes(n))
	}
	settle := func() {
		for {
			_, r, ok := w.next(w.gate)
			if !ok {
				break
			}
			if w.takes[log[r]] {
				w.where[r] = sweepTaken
				w.took(w.lane(log[r]))
			} else {
				w.refused(w.lane(log[r]), r)
			}
		}
		_, rs := w.moves(room, func(int) bool { return true })
		for _, r := range rs {
			w.where[r] = sweepMoved
			w.moved()
		}
		if w.waiting >= room {
			w.crowd()
		}
		_ = w.drops() // taken here as the strand takes it; this test looks at the end alone
	}
	for !w.over(w.read == len(log)) {
		if w.read < len(log) && w.reads() {
			w.arrive(w.lane(log[w.read]), w.read)
			w.read++
		}
		settle()
	}
	var tail []int
	for r := range log {
		switch w.where[r] {
		case sweepTaken:
			taken++
		case sweepMoved:
			tail = append(tail, log[r])
			moved++
		default:
			left = append(left, log[r])
		}
	}
	return append(left, tail...), taken, moved, w.verdict()
}

// However many dead records and lanes lie before it, a living lane is drained after a
// few sweeps; and while nothing lives nothing is put again.
func TestNothingHidesALivingLane(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dead := rapid.IntRange(1, 40).Draw(t, "dead lanes")
		log := rapid.SliceOfN(rapid.IntRange(1, dead), 1, 400).Draw(t, "dead records")
		room := rapid.IntRange(5, 60).Draw(t, "room")
		alone, _, moved, v := sweepAll(log, func(int) bool { return false }, 8, room, false)
		if moved > 0 || !slices.Equal(alone, log) || v.delivered || v.again {
			t.Fatalf("with nobody alive %d were put again: %+v", moved, v)
		}
		living := rapid.IntRange(1, 30).Draw(t, "living records")
		at := rapid.IntRange(0, len(log)).Draw(t, "first of them")
		log = slices.Insert(log, at, slices.Repeat([]int{0}, living)...)
		total, patience, licensed := 0, 8, false
		for n := 0; total < living; n++ {
			if n > 12 {
				t.Fatalf("%d of %d were taken in %d sweeps", total, living, n)
			}
			left, taken, _, v := sweepAll(log, func(n int) bool { return n == 0 }, patience, room, licensed)
			if len(left)+taken != len(log) {
				t.Fatalf("%d and %d of %d", len(left), taken, len(log))
			}
			log, total, licensed = left, total+taken, v.licensed
			if v.impatient && !v.delivered {
				patience *= 2
			}
		}
	})
}

// A lane is asked for each record as long as it is probed, and never twice at once.
func TestAProbeIsAlone(t *testing.T) {
	t.Parallel()
	s := newSweep[int](8, false)
	l := s.of("a", queue.Lane{})
	for r := range 3 {
		s.arrive(l, r)
	}
	gate := func(*sweepLane[int]) queue.Gate { return queue.GateProbe }
	for want := range 3 {
		_, r, ok := s.next(gate)
		if _, _, second := s.next(gate); !ok || r != want || second {
			t.Fatalf("record %d, %v; a second one: %v", r, ok, second)
		}
		s.took(l)
	}
	if !s.over(true) || s.over(false) {
		t.Error("it does not know its end")
	}
}

// No more lanes are tried at once than may fail in a row.
func TestTriesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSweep[int](8, false)
	for r := range 20 {
		s.arrive(s.of(fmt.Sprint(r), queue.Lane{}), r)
	}
	var out []int
	for {
		_, r, ok := s.next(func(*sweepLane[int]) queue.Gate { return queue.GateProbe })
		if !ok {
			break
		}
		out = append(out, r)
	}
	if len(out) != 8 {
		t.Fatalf("%d lanes are tried at once, want 8", len(out))
	}
	for _, r := range out {
		s.refused(s.of(fmt.Sprint(r), queue.Lane{}), r)
	}
	if _, _, ok := s.next(func(*sweepLane[int]) queue.Gate { return queue.GateOpen }); ok || !s.over(false) {
		t.Error("it goes on after eight lanes have failed")
	}
}
