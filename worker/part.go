package worker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// message is one delivery inside the worker. Its duty is settled when open
// reaches zero; its memory goes back when holds reaches zero.
type message struct {
	d        *queue.Delivery
	strand   *strand
	received time.Time

	open  atomic.Int32 // parts that have not ended
	holds atomic.Int32 // open parts, and calls that read the groups
	puts  atomic.Int32 // those of the calls that put a letter
	done  atomic.Bool  // settled: the strand's deque may drop it
	stuck atomic.Bool  // a part can neither be flushed nor kept

	deferred atomic.Bool // a parked record that its lane did not take: it stays parked

	format protocol.Format // of the value once pass one has read it: protobuf

	group  [1]protocol.Group // the usual message has one group toward one flusher entry
	groups []protocol.Group
	first  part
	more   []*part
	parts  int
}

// part is one group of a message toward one flusher entry: what is flushed,
// dead-lettered, skipped, released and counted. A message without a group that
// can be flushed has one part without a lane.
type part struct {
	m     *message
	lane  *lane           // nil: unroutable, in the books of the source
	group *protocol.Group // nil: the whole message
	index uint32          // the group's index in the original message
	size  uint32          // of the group's protobuf; known also after the group is gone
	ended atomic.Bool
	// counted says that its books know it: it was received.
	counted bool
	doomed  bool   // its books list it as dying
	turned  bool   // it is on its way to be parked
	how     ending // it ended; only of strands that are accounted for
	next    *part  // in a lane's queue
}

// books are the counts of a lane, or of what a source could not route, by source.
// For each source the equation of I5 holds whenever mu is free: live finds the
// parts that have not ended.
type books struct {
	mu    sync.Mutex
	tally []tally // by source index
	dying []*part // on their way to a companion queue, and fewer that have ended
	died  int     // of dying: ended
}

// doomLocked lists a part that a companion queue is to take, unless it was released.
func (b *books) doomLocked(p *part) {
	if !p.open() {
		return
	}
	p.doomed = true
	b.dying = append(b.dying, p)
}

// overLocked is called when a part has ended. Those of dying are forgotten once they are
// half of it: a lane parks thousands, and each put ends some.
func (b *books) overLocked(p *part) {
	if p.turned && !p.m.strand.info.Parked {
		p.m.strand.turn(-p.turnCost())
	}
	if !p.doomed {
		return
	}
	if b.died++; 2*b.died < len(b.dying) {
		return
	}
	b.dying = slices.DeleteFunc(b.dying, func(p *part) bool { return !p.open() })
	b.died = 0
}

// tally counts parts that came and ended.
type tally struct {
	received, flushed, parked int64
	deadLettered              map[string]int64
	skipped                   map[string]int64
	released                  map[string]int64
}

// outcome is how a part ended.
type outcome int

const (
	flushed outcome = iota
	deadLettered
	skipped
	released
	parked
)

func (b *books) of(source int) *tally {
	for len(b.tally) <= source {
		b.tally = append(b.tally, tally{})
	}
	return &b.tally[source]
}

func (t *tally) add(o outcome, reason string) {
	switch o {
	case flushed:
		t.flushed++
	case deadLettered:
		count(&t.deadLettered, reason)
	case skipped:
		count(&t.skipped, reason)
	case released:
		count(&t.released, reason)
	case parked:
		t.parked++
	}
}

func (t *tally) merge(o *tally) {
	t.received += o.received
	t.flushed += o.flushed
	t.parked += o.parked
	for _, m := range [3]struct {
		to   *map[string]int64
		from map[string]int64
	}{{&t.deadLettered, o.deadLettered}, {&t.skipped, o.skipped}, {&t.released, o.released}} {
		for reason, n := range m.from {
			if *m.to == nil {
				*m.to = map[string]int64{}
			}
			(*m.to)[reason] += n
		}
	}
}

func count(m *map[string]int64, reason string) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[reason]++
}

// endLocked ends a part in the books whose lock is held. False: it had ended, and
// nothing is counted. The caller then calls message.ended without the lock.
func (b *books) endLocked(p *part, o outcome, reason string) bool {
	if !p.ended.CompareAndSwap(false, true) {
		return false
	}
	b.of(p.m.strand.source.index).add(o, reason)
	if p.m.strand.info.Accounted {
		p.how = endingOf(o, reason)
	}
	b.overLocked(p)
	return true
}

// book finds where a part is counted.
func (p *part) book() *books {
	if p.lane != nil {
		return &p.lane.books
	}
	return &p.m.strand.source.lost
}

// open says whether the part has still to end.
func (p *part) open() bool { return !p.ended.Load() }

func (p *part) bytes() int64 { return int64(p.size) }

// partEnded acknowledges the message when its last part ended, and drops as many
// holds as given. It says whether this part was the last.
func (m *message) partEnded(holds int32) (last bool) {
	if last = m.open.Add(-1) == 0; last || mutant.On(mutant.AckFirstPart) {
		m.allEnded()
	}
	m.drop(holds)
	return last
}

// allEnded settles a message whose parts have all ended.
func (m *message) allEnded() {
	if m.deferred.Load() {
		if m.settle((*message).postpone) {
			m.strand.source.givenBack.Add(1)
		}
		return
	}
	if m.settle((*message).acknowledge) {
		m.strand.source.acknowledged.Add(1)
	}
}

// settle runs once per message: by the last part's end, or by the release.
func (m *message) settle(how func(*message)) bool {
	if m.done.Swap(true) {
		return false
	}
	how(m)
	m.strand.settled()
	return true
}

// readable says that pass one has decompressed the value and found its groups.
func (m *message) readable() bool { return m.groups != nil }

// hold keeps the message's memory for a call that reads it. False: it is gone,
// because every part has ended.
func (m *message) hold() bool {
	for {
		n := m.holds.Load()
		if n == 0 {
			return false
		}
		if m.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// drop gives up holds. With the last one no call refers to the message and none
// will: its bytes go back and nothing stays reachable from it, although parts and
// their groups outlive it in the slabs of their neighbours.
func (m *message) drop(holds int32) {
	if m.holds.Add(-holds) != 0 {
		return
	}
	m.strand.heldBytes.Add(-m.d.Held())
	clear(m.groups)
	m.group[0] = protocol.Group{}
	m.groups, m.more = nil, nil
	if !mutant.On(mutant.BudgetLeak) {
		m.d.Free()
	}
	m.strand.bytesFreed()
}
