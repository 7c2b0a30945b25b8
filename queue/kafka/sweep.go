package kafka

import "github.com/flushline/flushline/queue"

// sweep decides what becomes of the records of one serving of a parked partition:
// which are handed out, which wait for their lane, which are put again at the tail,
// and when the sweep is over. It does nothing itself, asks nobody but the gate that it
// is given, and is for one goroutine. R is a record.
//
// A lane is tried with the first of its records, as far as its gate lets it. One that
// takes nothing has failed for the rest of the sweep, unless somebody says that its
// gate has opened. Its records wait. They are put again only where that helps others:
// once a lane has delivered, or when an earlier sweep has shown that one behind them
// does (licensed). Then the watermark can pass them.
//
// When too much waits and nothing was delivered yet, the sweep skims: it forgets what
// waits and reads on, only to find a lane that delivers. Once it has, the sweep is
// over, and the next one is licensed. So a lane that is alone is never put again, and
// no number of records hides the ones behind them.
type sweep[R any] struct {
	patience int  // lanes that may fail in a row before the sweep ends; 0: any number
	licensed bool // records may be put again before anything was delivered

	delivered bool
	skims     bool
	row       int // lanes that failed, since the last delivery
	trying    int // lanes that are not proven and have records out
	out       int // records handed out that have not ended
	waiting   int // records of all lanes that are held
	moving    int // records being put again

	lanes map[string]*sweepLane[R]
	ready []*sweepLane[R] // may have something to hand out
	stuck []*sweepLane[R] // have failed and hold records
}

// sweepLane is a lane as a sweep sees it.
type sweepLane[R any] struct {
	name   string
	lane   queue.Lane
	failed bool
	tried  bool // it has failed before in this sweep
	proven bool // it has delivered in this sweep
	out    int
	first  []R // what came back, before the rest
	rest   []R
	inLine bool // in ready
	inJam  bool // in stuck
}

func newSweep[R any](patience int, licensed bool) *sweep[R] {
	return &sweep[R]{patience: patience, licensed: licensed, lanes: map[string]*sweepLane[R]{}}
}

func (l *sweepLane[R]) holds() int { return len(l.first) + len(l.rest) }

func (l *sweepLane[R]) pop() R {
	from := &l.rest
	if len(l.first) > 0 {
		from = &l.first
	}
	r := (*from)[0]
	var none R
	(*from)[0] = none
	*from = (*from)[1:]
	return r
}

// of finds a lane, or makes it.
func (s *sweep[R]) of(name string, lane queue.Lane) *sweepLane[R] {
	l := s.lanes[name]
	if l == nil {
		l = &sweepLane[R]{name: name, lane: lane}
		s.lanes[name] = l
	}
	return l
}

// arrive takes in the next record. It is false when the record is not kept: the next
// sweep reads it again.
func (s *sweep[R]) arrive(l *sweepLane[R], r R) (kept bool) {
	if l.failed && s.skims {
		return false
	}
	l.rest = append(l.rest, r)
	s.waiting++
	s.line(l)
	return true
}

// line puts a lane where it belongs.
func (s *sweep[R]) line(l *sweepLane[R]) {
	switch {
	case l.holds() == 0:
	case l.failed && !l.inJam:
		l.inJam = true
		s.stuck = append(s.stuck, l)
	case !l.failed && !l.inLine:
		l.inLine = true
		s.ready = append(s.ready, l)
	}
}

// next is the next record to hand out; its lane has to hear how it ended.
func (s *sweep[R]) next(gate func(l *sweepLane[R]) queue.Gate) (l *sweepLane[R], r R, ok bool) {
	var later []*sweepLane[R]
	defer func() {
		if later != nil {
			s.ready = append(later, s.ready...)
		}
	}()
	for len(s.ready) > 0 && !s.stopped() {
		l = s.ready[0]
		s.ready = s.ready[1:]
		l.inLine = false
		if l.failed || l.holds() == 0 {
			continue
		}
		g := gate(l)
		switch {
		case g == queue.GateOpen:
		case g == queue.GateProbe && l.out > 0:
			continue // the one that is out decides
		case g == queue.GateProbe && s.mayTry(l):
		case g == queue.GateProbe:
			l.inLine = true
			later = append(later, l)
			continue
		default:
			s.fail(l)
			continue
		}
		if l.out == 0 && !l.proven {
			s.trying++
		}
		s.out++
		l.out++
		s.waiting--
		r = l.pop()
		if g == queue.GateOpen {
			s.line(l) // behind the others
		}
		return l, r, true
	}
	return nil, r, false
}

// mayTry says that a lane may be tried now: if all that are tried fail, they are not
// more than may fail in a row.
func (s *sweep[R]) mayTry(l *sweepLane[R]) bool {
	return l.proven || s.patience <= 0 || s.row+s.trying < s.patience || s.licensed && !s.delivered
}

func (s *sweep[R]) fail(l *sweepLane[R]) {
	if !l.failed && !l.tried {
		s.row++
	}
	l.failed, l.tried = true, true
	s.line(l)
}

// took says that a record has ended: its lane delivers.
func (s *sweep[R]) took(l *sweepLane[R]) {
	s.out--
	l.out--
	if !l.proven {
		s.trying--
	}
	l.proven, s.delivered = true, true
	s.row = 0
	s.line(l)
}

// refused says that a record came back.
func (s *sweep[R]) refused(l *sweepLane[R], r R) {
	s.out--
	l.out--
	if l.out == 0 && !l.proven {
		s.trying--
	}
	l.first = append(l.first, r)
	s.waiting++
	s.fail(l)
}

// opened says that a lane may take records again.
func (s *sweep[R]) opened(name string) {
	if l := s.lanes[name]; l != nil && l.failed {
		l.failed = false
		s.line(l)
	}
}

// crowd says that no more can be held.
func (s *sweep[R]) crowd() {
	if !s.mayMove() {
		s.skims = true
	}
}

// patient says that the sweep goes on over lanes that fail.
func (s *sweep[R]) patient() bool {
	return s.patience <= 0 || s.row < s.patience || s.licensed && !s.delivered
}

// stopped says that nothing more is read or handed out.
func (s *sweep[R]) stopped() bool { return !s.patient() || s.skims && s.delivered }

// mayMove says that records may be put again.
func (s *sweep[R]) mayMove() bool { return (s.delivered || s.licensed) && !s.skims && s.patient() }
