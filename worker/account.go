package worker

import (
	"sync"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue"
)

// The reasons of what was skipped.
const (
	SkippedEmpty       = "empty"        // the message has no group
	SkippedNotOurs     = "not_ours"     // it is meant for another deployment
	SkippedNotSelected = "not_selected" // Config.Only does not want it
)

// ending is how a part ended, in the one byte that a part has to spare: an index in
// endings.
type ending uint8

// endings are all the ways in which a part can end that was not given back; the
// first stands for none.
var endings = [...]struct {
	outcome queue.Outcome
	reason  string
}{
	{},
	{queue.Flushed, ""},
	{queue.DeadLettered, ReasonUndecodable},
	{queue.DeadLettered, ReasonNoKey},
	{queue.DeadLettered, ReasonNoRoute},
	{queue.DeadLettered, ReasonPermanent},
	{queue.DeadLettered, ReasonTooLarge},
	{queue.DeadLettered, ReasonPoison},
	{queue.DeadLettered, ReasonHangs},
	{queue.DeadLettered, ReasonUnknownTarget},
	{queue.Skipped, SkippedEmpty},
	{queue.Skipped, SkippedNotOurs},
	{queue.Skipped, SkippedNotSelected},
	{queue.OutcomeParked, ""},
}

func endingOf(o outcome, reason string) ending {
	var wanted queue.Outcome
	switch o {
	case flushed:
		wanted = queue.Flushed
	case deadLettered:
		wanted = queue.DeadLettered
	case skipped:
		wanted = queue.Skipped
	case parked:
		wanted = queue.OutcomeParked
	}
	for i := range endings {
		if endings[i].outcome == wanted && endings[i].reason == reason {
			return ending(i)
		}
	}
	return 0
}

// end is what the strand's source is told of the part.
func (p *part) end() queue.PartEnd {
	how := endings[p.how]
	e := queue.PartEnd{Outcome: how.outcome, Reason: how.reason}
	if p.lane != nil {
		e.Route, e.Flusher = p.lane.entry.route, p.lane.entry.flusher
	}
	return e
}

var endBuffers = sync.Pool{New: func() any { return new([]queue.PartEnd) }}

// acknowledge settles a message whose parts have all ended; who keeps accounts hears
// before how. The caller has a hold.
func (m *message) acknowledge() {
	failpoint.Hit(failpoint.AckBefore)
	if m.strand.info.Parked {
		failpoint.Hit(failpoint.ParkServed)
	}
	if m.strand.info.Accounted {
		m.account()
	}
	m.d.Ack()
}

func (m *message) account() {
	buf, ok := endBuffers.Get().(*[]queue.PartEnd)
	if !ok {
		buf = new([]queue.PartEnd)
	}
	ends := (*buf)[:0]
	for i := range m.parts {
		ends = append(ends, m.part(i).end())
	}
	m.d.Account(ends)
	*buf = ends
	endBuffers.Put(buf)
}

// postpone leaves a parked record parked.
func (m *message) postpone() {
	if mutant.On(mutant.DeferAcks) {
		m.d.Ack()
		return
	}
	m.d.Defer()
}

func (m *message) giveBack() {
	if mutant.On(mutant.AckAtShutdown) {
		m.d.Ack()
		return
	}
	m.d.Release()
}
