package nats

import (
	"slices"
	"sync"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

// book knows every sequence that is held, and those that ended lately. Its
// records lie in order of arrival, which is ascending by sequence but for
// redeliveries of messages that other pods held first; those few are in a map.
type book struct {
	mu      sync.Mutex
	line    []*record // ascending
	odd     map[uint64]*record
	top     uint64 // the highest sequence ever added
	ended   ended
	sweepAt int // length of line at which it is compacted
}

const sweepLeast = 256

func newBook() *book { return &book{odd: map[uint64]*record{}, sweepAt: sweepLeast} }

// find is the record of a sequence, settled or not, nil if there is none.
func (b *book) find(seq uint64) *record {
	i, ok := slices.BinarySearchFunc(b.line, seq, func(r *record, seq uint64) int {
		switch {
		case r.seq < seq:
			return -1
		case r.seq > seq:
			return 1
		}
		return 0
	})
	if ok {
		return b.line[i]
	}
	return b.odd[seq]
}

func (b *book) add(r *record) {
	if r.seq > b.top {
		b.top = r.seq
		b.line = append(b.line, r)
		return
	}
	b.odd[r.seq] = r
}

// remove lets go of a record that comes again as a new one.
func (b *book) remove(r *record) {
	if b.odd[r.seq] == r {
		delete(b.odd, r.seq)
		return
	}
	if i := slices.Index(b.line, r); i >= 0 {
		b.line = slices.Delete(b.line, i, i+1)
	}
}

// each calls f for all records, settled ones too.
func (b *book) each(f func(*record)) {
	for _, r := range b.line {
		f(r)
	}
	for _, r := range b.odd {
		f(r)
	}
}

// done says whether a record can be let go: released, or acknowledged in a
// generation whose acknowledgements the server has.
func (b *book) done(r *record, safe uint32, now time.Time) bool {
	generation, acked := r.acked()
	if acked && generation >= safe {
		return false
	}
	if acked {
		b.ended.add(r.seq, r.stored, now)
	}
	return acked || !r.held()
}

// sweep lets go of what is done.
func (b *book) sweep(safe uint32, now time.Time) {
	kept := b.line[:0]
	for _, r := range b.line {
		if !b.done(r, safe, now) {
			kept = append(kept, r)
		}
	}
	clear(b.line[len(kept):])
	b.line = kept
	for seq, r := range b.odd {
		if b.done(r, safe, now) {
			delete(b.odd, seq)
		}
	}
	b.sweepAt = max(sweepLeast, 2*len(b.line))
}

// unsafe is the replies of acknowledgements that the server may not have.
func (b *book) unsafe(safe uint32) (replies []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each(func(r *record) {
		if generation, acked := r.acked(); acked && generation >= safe {
			replies = append(replies, r.answer())
		}
	})
	return replies
}

// due is the replies of held messages whose last mark is older than before; they
// count as marked at now.
func (b *book) due(before, now time.Time) (replies []string) {
	limit, stamp := clock.Of(before), clock.Of(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.each(func(r *record) {
		if r.marked <= limit && r.held() {
			r.marked = stamp
			replies = append(replies, r.answer())
		}
	})
	return replies
}

// oldest is the earliest broker time of the held messages. A stream's times
// ascend with its sequences, so the first that is held is the oldest of line.
func (b *book) oldest() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	var at int64
	if i := slices.IndexFunc(b.line, (*record).held); i >= 0 {
		at = b.line[i].stored
	}
	for _, r := range b.odd {
		if r.held() && (at == 0 || r.stored < at) {
			at = r.stored
		}
	}
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(0, at)
}
