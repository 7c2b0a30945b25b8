package kafka

// moves are the next records to put again, n at most and as long as fits says so.
// Each has to come back with moved or stayed.
func (s *sweep[R]) moves(n int, fits func(R) bool) (ls []*sweepLane[R], rs []R) {
	for s.mayMove() && len(s.stuck) > 0 {
		l := s.stuck[0]
		for l.failed && l.holds() > 0 {
			r := l.pop()
			if len(rs) == n || len(rs) > 0 && !fits(r) {
				l.first = append([]R{r}, l.first...)
				return ls, rs
			}
			s.waiting--
			s.moving++
			ls, rs = append(ls, l), append(rs, r)
		}
		s.stuck = s.stuck[1:]
		l.inJam = false
		s.line(l)
	}
	return ls, rs
}

// moved says that a record lies at the tail and has ended here.
func (s *sweep[R]) moved() { s.moving-- }

// stayed says that a record could not be put again.
func (s *sweep[R]) stayed(l *sweepLane[R], r R) {
	s.moving--
	s.waiting++
	l.first = append(l.first, r)
	s.line(l)
}

// drops are the records that are forgotten because the sweep skims.
func (s *sweep[R]) drops() []R {
	if !s.skims {
		return nil
	}
	var rs []R
	for _, l := range s.stuck {
		l.inJam = false
		if l.failed {
			rs = append(rs, s.empty(l)...)
		}
	}
	s.stuck = nil
	return rs
}

func (s *sweep[R]) empty(l *sweepLane[R]) []R {
	rs := append(l.first, l.rest...)
	s.waiting -= len(rs)
	l.first, l.rest = nil, nil
	return rs
}

// left are all records that wait, when the sweep is over.
func (s *sweep[R]) left() []R {
	var rs []R
	for _, l := range s.lanes {
		rs = append(rs, s.empty(l)...)
	}
	return rs
}

// reads says that more records may arrive.
func (s *sweep[R]) reads() bool { return !s.stopped() && !s.lines() }

// over says that the sweep has ended; read, that all its records have arrived.
func (s *sweep[R]) over(read bool) bool {
	switch {
	case s.out > 0 || s.moving > 0:
		return false
	case s.stopped():
		return true
	case !read || s.lines():
		return false
	}
	return !s.mayMove() || !s.jams()
}

// lines says that a lane could be asked for more.
func (s *sweep[R]) lines() bool {
	for _, l := range s.ready {
		if !l.failed && l.holds() > 0 {
			return true
		}
	}
	return false
}

func (s *sweep[R]) jams() bool {
	for _, l := range s.stuck {
		if l.failed && l.holds() > 0 {
			return true
		}
	}
	return false
}

// verdict is what the next sweep has to know of this one.
type sweepVerdict struct {
	delivered bool
	again     bool // there is a lane that takes records: at once
	licensed  bool // the next one is
	impatient bool // it gave up after so many lanes
}

func (s *sweep[R]) verdict() sweepVerdict {
	found := s.skims && s.delivered
	return sweepVerdict{
		delivered: s.delivered,
		again:     found,
		licensed:  found || s.delivered && !s.patient(),
		impatient: !s.patient(),
	}
}
