package worker

import (
	"time"

	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// How a blocked lane looks for its destination.
const (
	probeFirst = 5 * time.Second  // between two tries, growing by half with 50 % jitter
	probeMost  = 60 * time.Second //
	healthy    = 10 * time.Second // without a failure, until a lane counts as open again
	yielding   = 30 * time.Second // that a parked record which fails time and again leaves to live traffic
)

// phase is what a lane of a route that parks does with what comes.
type phase uint8

const (
	flowing    phase = iota // it takes everything, retries included
	blocked                 // it takes a try now and then; the rest is parked
	recovering              // a try succeeded: it takes everything, and one failure blocks it again
)

var phases = [...]string{"", ParkBlocked, ParkRecovering}

// parking decides what a lane takes. It knows no clock and starts nothing: who holds
// the lane's lock tells it what happened, and when.
type parking struct {
	phase  phase
	proven bool        // it delivered, and has not failed since
	since  clock.Stamp // of phase

	probeAt clock.Stamp   // blocked: no try before
	wait    *batchBackoff // between tries
	aside   time.Duration // blocked: parked records are not tried for so much longer
	tasting clock.Stamp   // blocked: since when a try is on its way; zero: none is

	succeeded clock.Stamp // last
	cap       int64       // bytes that may be queued while it holds up its strand; 0: any number
	roomy     clock.Stamp // since when less than a quarter of cap is used
}

// off is for a lane whose route does not park, or no longer does.
func (k *parking) off() {
	if k.phase != flowing || k.cap != 0 {
		*k = parking{}
	}
}

// block begins the parking of everything.
func (k *parking) block(now time.Time) {
	if k.phase == flowing {
		k.wait = newBackoff(probeFirst, probeMost)
	}
	k.phase, k.since, k.proven, k.tasting, k.aside = blocked, clock.At(now), false, 0, 0
	k.probeAt = clock.At(now.Add(k.wait.next()))
}

// failed notes a failure and says whether everything is to be parked.
func (k *parking) failed(now time.Time) bool {
	k.proven = false
	if k.phase == flowing {
		return false
	}
	k.block(now)
	return true
}

// excuse notes a failure that may be that of the data, and says whether that keeps the
// lane from being blocked: one that recovers, until another fails.
func (k *parking) excuse() bool {
	if k.phase != recovering {
		return false
	}
	k.proven = false
	return true
}

// delivered notes a success and says whether the lane's gate has opened by it.
func (k *parking) delivered(now time.Time) (opened bool) {
	k.succeeded = clock.At(now)
	switch k.phase {
	case blocked:
		k.phase, k.since, k.tasting = recovering, k.succeeded, 0
		return true // for the next try
	case recovering:
		if k.since.Age(now) < healthy {
			return false
		}
		k.phase, k.since, k.wait = flowing, k.succeeded, nil
	}
	opened = !k.proven
	k.proven = true
	return opened
}

// yields says that the next try is not to be a parked record: the one that would come has
// failed time and again, and live traffic may show whether it is that record or the
// destination.
func (k *parking) yields(now time.Time) bool {
	return k.phase == blocked && k.probeAt.Age(now) < k.aside
}

// taste says whether one try may be made now; it is on its way then.
func (k *parking) taste(now time.Time) bool {
	if k.phase != blocked {
		return true
	}
	if (!k.tasting.IsZero() || k.probeAt.After(now)) && !mutant.On(mutant.ProbeStorm) {
		return false
	}
	k.tasting = clock.At(now)
	return true
}

// gate is what may be handed out of what is parked.
func (k *parking) gate(now time.Time) queue.Gate {
	switch k.phase {
	case blocked:
		if k.tasting.IsZero() && !k.yields(now) {
			return queue.GateProbe
		}
		return queue.GateShut
	case flowing:
		if k.proven || mutant.On(mutant.ServeShut) {
			return queue.GateOpen
		}
	}
	return queue.GateProbe
}
