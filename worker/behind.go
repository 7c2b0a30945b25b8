package worker

import "github.com/flushline/flushline/internal/mutant"

// What waits to be parked may take an eighth of `limits.in_flight`. More would make
// nothing faster: it would only be read and held sooner, and cost the collector for
// each round. A companion that fails is another matter: then as much is held as may be,
// because what other lanes take still comes.
const turningShare = 8

// turnCost is what a part counts while it waits to be parked.
func (p *part) turnCost() int64 { return p.bytes() + capOverhead }

// turn counts a part of the strand that begins or ends to wait for being parked.
func (s *strand) turn(cost int64) {
	if cost < 0 && mutant.On(mutant.TurnLeak) {
		return
	}
	s.w.turning.Add(cost)
	if s.turning.Add(cost); cost < 0 {
		s.bytesFreed()
	}
}

// behind says that more of the strand waits to be parked than all together leave free
// of their share: several strands come to the same part of it.
func (s *strand) behind() bool {
	own := s.turning.Load()
	return own > 0 && !mutant.On(mutant.TurnUnbounded) && own >= s.w.cfg.Limits.InFlight/turningShare-s.w.turning.Load() && s.w.parker.failure() == ""
}
