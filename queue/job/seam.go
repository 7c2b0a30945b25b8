package job

import (
	"maps"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// seam is a run of positions that holds more than messages: positions passed over,
// or damage. It counts as a whole once all of its messages have ended. Until then a
// checkpoint goes on at its beginning, so that nothing in it is counted twice or
// not at all.
type seam struct {
	from, next int64
	first      int64 // ordinal of its first message
	passed     map[string]int64
	damaged    int64
	damage     []Damage
}

// mostSeams bounds how many wait for a message that does not end; neighbours then
// become one.
const mostSeams = 1024

// sample is the time of the message at a position.
type sample struct {
	position int64
	time     time.Time
}

const mostSamples = 256

// check finds what a Reader must not do. A batch that is wrong would be messages
// lost or delivered twice.
func (s *strand) check(b *Batch) error {
	at, to := s.mark.Next(), s.slice.To
	var passed int64
	for _, n := range b.Passed {
		passed += n
	}
	last := at - 1
	for i := range b.Messages {
		if pos := b.Messages[i].Position; pos <= last {
			return s.defect("position %d came after %d", pos, last)
		}
		last = b.Messages[i].Position
	}
	switch n := int64(len(b.Messages)); {
	case b.Next <= last || b.Next < at:
		return s.defect("reading goes on at %d, and position %d was read", b.Next, last)
	case b.Origins != nil && len(b.Origins) != len(b.Messages):
		return s.defect("%d messages came with %d origins", len(b.Messages), len(b.Origins))
	case to >= 0 && b.Next > to:
		return s.defect("reading went on to %d, beyond the end at %d", b.Next, to)
	case to >= 0 && n+passed != b.Next-at:
		return s.defect("of the positions %d to %d, %d are messages and %d passed over", at, b.Next, n, passed)
	}
	return nil
}

// sewLocked keeps what a batch has beside messages before its messages
// get their ordinals.
func (s *strand) sewLocked(b *Batch) {
	if len(b.Messages) > 0 {
		if len(s.samples) >= mostSamples {
			half := s.samples[:0]
			for i := 0; i < len(s.samples); i += 2 {
				half = append(half, s.samples[i])
			}
			s.samples = half
		}
		s.samples = append(s.samples, sample{b.Messages[0].Position, b.Messages[0].Time})
	}
	if len(b.Passed) == 0 && len(b.Damage) == 0 {
		return
	}
	one := seam{from: s.mark.Next(), next: b.Next, first: s.added, passed: maps.Clone(b.Passed), damaged: int64(len(b.Damage))}
	for _, d := range b.Damage {
		if s.noted >= MaxNotes {
			break
		}
		s.noted++
		d.Slice, d.Why = shortened(s.slice.Name), shortened(d.Why)
		one.damage = append(one.damage, d)
	}
	s.seams = append(s.seams, one)
	if len(s.seams) > mostSeams {
		s.pairSeams()
	}
}

// pairSeams makes each two neighbours one, with what lies between.
func (s *strand) pairSeams() {
	half := s.seams[:0]
	for i := 0; i < len(s.seams); i += 2 {
		a := s.seams[i]
		if i+1 < len(s.seams) {
			b := &s.seams[i+1]
			a.next = b.next
			for reason, n := range b.passed {
				a.passed = added(a.passed, reason, n)
			}
			a.damaged += b.damaged
			a.damage = append(a.damage, b.damage...)
		}
		half = append(half, a)
	}
	clear(s.seams[len(half):])
	s.seams = half
}

// foldLocked counts the seams that lie below the watermark.
func (s *strand) foldLocked(low int64) {
	n := 0
	for ; n < len(s.seams) && s.seams[n].next <= low; n++ {
		one := &s.seams[n]
		s.counts.pass(one.passed)
		s.counts.damaged += one.damaged
		s.counts.damage = append(s.counts.damage, one.damage...)
	}
	if n > 0 {
		clear(s.seams[:n])
		s.seams = s.seams[n:]
	}
}

// placeLocked is where a later start goes on: a position, what has ended above it,
// and how many messages that is.
func (s *strand) placeLocked() (at int64, ended []queue.Interval, messages int64) {
	if mutant.On(mutant.CheckpointAhead) {
		return s.mark.Next(), nil, 0
	}
	low, above := s.mark.Above()
	s.foldLocked(low)
	at = low
	first := s.added - int64(s.mark.Span())
	if len(s.seams) > 0 && s.seams[0].from < low {
		at, first = s.seams[0].from, s.seams[0].first
		ended = join(ended, queue.Interval{From: at, To: low})
	}
	for _, iv := range above {
		ended = join(ended, iv)
	}
	for _, iv := range s.done {
		iv.From = max(iv.From, s.mark.Next())
		ended = join(ended, iv)
	}
	return at, ended, s.marked - first + s.owed
}
