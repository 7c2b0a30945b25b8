package nats

import (
	"encoding/binary"
	"time"

	"github.com/flushline/flushline/internal/mutant"
)

// ended remembers which sequences were acknowledged lately. The server may have
// lost an acknowledgement, in a cut connection or with the last moments of a
// killed process; when it then delivers the message again, it is acknowledged
// again instead of being flushed twice.
//
// It costs about one byte a sequence: blocks of the gaps between them.
type ended struct{ blocks []endedBlock }

// horizon is the time up to which everything that arrived has been looked at.
type horizon struct {
	at, next time.Time
	arrived  int64 // until next
}

// move says how far it is, given how many messages arrived so far and how many of
// those were looked at, in their order.
func (h *horizon) move(now time.Time, arrived, looked int64) time.Time {
	if looked >= h.arrived {
		h.at, h.next, h.arrived = h.next, now, arrived
	}
	if looked >= h.arrived {
		h.at = now
	}
	return h.at
}

type endedBlock struct {
	first, last uint64
	n           int
	newest      int64 // broker time of the youngest message, Unix nanoseconds
	since       time.Time
	gaps        []byte // uvarint distances from first
}

const endedBlockSize = 512

// add remembers a sequence and its message's broker time. It is cheapest in
// ascending order and right in any.
func (e *ended) add(seq uint64, stored int64, now time.Time) {
	if k := len(e.blocks); k > 0 {
		b := &e.blocks[k-1]
		if b.n < endedBlockSize && seq > b.last && now.Sub(b.since) < time.Second {
			b.gaps = binary.AppendUvarint(b.gaps, seq-b.last)
			b.last = seq
			b.newest = max(b.newest, stored)
			b.n++
			return
		}
	}
	e.blocks = append(e.blocks, endedBlock{first: seq, last: seq, n: 1, newest: stored, since: now})
}

// has says whether the message at a sequence ended. A message that is younger
// than all that were remembered with that sequence is another one: the stream
// numbers anew.
func (e *ended) has(seq uint64, stored int64) (known, other bool) {
	for i := range e.blocks {
		if b := &e.blocks[i]; b.has(seq) && !mutant.On(mutant.ForgetEnded) {
			return true, stored > b.newest
		}
	}
	return false, false
}

func (b *endedBlock) has(seq uint64) bool {
	if seq < b.first || seq > b.last {
		return false
	}
	at := b.first
	for rest := b.gaps; at < seq && len(rest) > 0; {
		gap, n := binary.Uvarint(rest)
		at += gap
		rest = rest[n:]
	}
	return at == seq
}

// forget drops what was remembered before a time.
func (e *ended) forget(before time.Time) {
	k := 0
	for k < len(e.blocks) && e.blocks[k].since.Before(before) {
		k++
	}
	if k > 0 {
		e.blocks = append([]endedBlock(nil), e.blocks[k:]...)
	}
}
