package worker

import (
	"sync"

	"github.com/flushline/flushline/queue"
)

// redelivered is the reason under which sums keeps Status.Redelivered.
const redelivered = "redelivered"

// sums adds up what the strands of a source count: strands come and go, often with
// the same name, and a counter must not fall.
type sums struct {
	mu       sync.Mutex
	byStrand map[string]*strandSum
}

// strandSum is what strands of one name counted. Some sources begin at zero with
// each strand, some go on where the last one of that name was.
type strandSum struct {
	incarnation string
	before      map[string]int64 // of those before the current one
	now         map[string]int64 // the most that the current one said
}

// note takes over what a strand says now.
func (s *sums) note(info *queue.Info, st *queue.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.byStrand[info.Name]
	switch {
	case one == nil && st.Redelivered == 0 && len(st.PassedOver) == 0:
		return
	case one == nil:
		one = &strandSum{before: map[string]int64{}, now: map[string]int64{}}
		if s.byStrand == nil {
			s.byStrand = map[string]*strandSum{}
		}
		s.byStrand[info.Name] = one
	case one.incarnation != info.Incarnation:
		one.renew(st)
	}
	one.incarnation = info.Incarnation
	one.raise(redelivered, st.Redelivered)
	for reason, n := range st.PassedOver {
		one.raise(reason, n)
	}
}

// renew keeps what was counted before a strand of the same name began anew.
func (o *strandSum) renew(st *queue.Status) {
	for reason, last := range o.now {
		n := st.PassedOver[reason]
		if reason == redelivered {
			n = st.Redelivered
		}
		if n < last {
			o.before[reason] += last
			o.now[reason] = 0
		}
	}
}

// raise never falls: a count that does is an estimate that was corrected.
func (o *strandSum) raise(reason string, n int64) { o.now[reason] = max(o.now[reason], n) }

// total is all of it, by reason.
func (s *sums) total() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]int64{}
	for _, one := range s.byStrand {
		for _, m := range [2]map[string]int64{one.before, one.now} {
			for reason, n := range m {
				all[reason] += n
			}
		}
	}
	return all
}
