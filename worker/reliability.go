package worker

import (
	"math"
	"sync/atomic"
)

// reliability is how often the first try of one group fails, lately. It tells a
// destination that fails now and then from data that it never takes: with the first kind
// any group fails four times in a row some day. Failures without a success between them
// are an outage and count as one. Safe from any goroutine; what is lost when two of them
// make the counts smaller is no loss.
type reliability struct{ good, bad atomic.Int64 }

const (
	firstsMost = 4096 // counted until both counts are halved
	firstsFree = 4    // successes that are taken for granted, so that one failure is not all
	flaky      = 0.33 // from here on nothing is poison: of outages counted once it is half of all tries
	chance     = 1e-7 // that a group fails as often as it takes while only the destination is to blame
)

// note adds tries. bad below zero takes back what turned out to be poison.
func (r *reliability) note(good, bad int) {
	g, b := r.good.Load(), r.bad.Load()
	if bad != 0 {
		b = r.bad.Add(int64(bad))
	}
	if good != 0 {
		g = r.good.Add(int64(good))
	}
	if g+b > firstsMost {
		r.good.Store(g / 2)
		r.bad.Store(b / 2)
	}
}

// strikes is how often a batch has to fail behind its first failure until that is no
// chance: three times, and more often the more often first tries fail, its own left out.
func (r *reliability) strikes(own int64) int {
	g, b := r.good.Load(), r.bad.Load()-own
	if b <= 0 {
		return strikesToHalve
	}
	p := float64(b) / float64(b+g+firstsFree)
	if p >= flaky {
		return math.MaxInt
	}
	return max(strikesToHalve, int(math.Ceil(math.Log(chance)/math.Log(p)))-1)
}

// seldomHangs says that three calls of one group that hang are no chance: of all batches
// of the entry, that one left out, next to none does.
func (e *entry) seldomHangs() bool {
	others := float64(e.hung.Load() - 1)
	p := others / (others + float64(e.taken.Load()) + firstsFree)
	return others <= 0 || math.Pow(p, hangsToSplit+1) < chance
}
