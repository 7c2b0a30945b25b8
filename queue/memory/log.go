package memory

import (
	"time"

	"github.com/flushline/flushline/queue"
)

type state uint8

const (
	stored   state = iota // not handed out, or given back
	out                   // handed out by the running lease
	released              // given back; delivered again by the next lease
	done                  // acknowledged
)

// entry is one message of the log and what has become of it.
type entry struct {
	msg      queue.Message
	held     int64
	attempts int32
	state    state
}

// log is the broker's half of a partition: messages in order with their state.
// Positions begin at 1. The caller holds the partition's lock.
type log struct {
	entries []entry // of positions first, first+1, ...
	first   int64
	low     int64 // the first position that is not acknowledged
	next    int64 // the first position Fetch has not looked at
	out     int64 // handed out and not settled
	redone  int64 // deliveries beyond the first
	waiting int64 // not acknowledged
}

func (g *log) at(pos int64) *entry { return &g.entries[pos-g.first] }
func (g *log) end() int64          { return g.first + int64(len(g.entries)) }

func (g *log) append(m queue.Message, partition int32, now time.Time) {
	m.Partition, m.Position = partition, g.end()
	if m.Time.IsZero() {
		m.Time = now
	}
	g.entries = append(g.entries, entry{msg: m, held: m.Held()})
	g.waiting++
}

// rewind makes everything that is not acknowledged deliverable again.
func (g *log) rewind() {
	g.next, g.out = g.low, 0
	for pos := g.low; pos < g.end(); pos++ {
		if e := g.at(pos); e.state != done {
			e.state = stored
		}
	}
}

// peek says how many bytes the next deliveries within room hold, and the first of
// them. Zero: there is none.
func (g *log) peek(room queue.Room) (first, total int64) {
	n := 0
	for pos := g.next; pos < g.end(); pos++ {
		e := g.at(pos)
		if e.state != stored {
			continue
		}
		if n > 0 && (n >= room.Messages || total+e.held > room.Bytes) {
			break
		}
		if n == 0 {
			first = e.held
		}
		total += e.held
		n++
	}
	return first, total
}

// ack returns false if the message was acknowledged before.
func (g *log) ack(pos int64) bool {
	if pos < g.low {
		return false
	}
	e := g.at(pos)
	if e.state == done {
		return false
	}
	if e.state == out {
		g.out--
	}
	e.state, e.msg = done, queue.Message{}
	g.waiting--
	if pos == g.low {
		g.advance()
	}
	return true
}

func (g *log) release(pos int64) {
	if pos < g.low {
		return
	}
	if e := g.at(pos); e.state == out {
		e.state = released
		g.out--
	}
}

// advance moves the low watermark and drops what lies below it, in strides that
// make the copying cheap.
func (g *log) advance() {
	for g.low < g.end() && g.at(g.low).state == done {
		g.low++
	}
	dead := int(g.low - g.first)
	if dead < 4096 || dead < len(g.entries)/2 {
		return
	}
	n := copy(g.entries, g.entries[dead:])
	clear(g.entries[n:])
	g.entries = g.entries[:n]
	g.first = g.low
}
