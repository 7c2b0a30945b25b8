package worker

import (
	"slices"
	"time"

	"github.com/flushline/flushline/protocol"
)

// Natural limits of a batch where neither the entry nor the flusher has a wish.
const (
	batchGroups = 1024
	batchBytes  = 8 << 20
)

// batch is what one Flush gets, and the duties that ride on it: from formLocked on
// each open part is flushed, dead-lettered, released, or kept for another try.
type batch struct {
	lane  *lane
	parts []*part
	bytes int64 // of protobuf
	size  int64 // pass two will allocate
	need  int64 // reserved in the work pool; 0: none

	attempt int // calls of Flush so far, the one it is on its way to included
	backoff *batchBackoff
	nextTry time.Time
	doubt   doubt
	why     string // it failed last
	failed  uint64 // successes of the lane when it last failed; only of those in retry
	feeler  bool   // it was formed while another failed

	groups []*protocol.LogGroup
	raw    [][]byte
	ids    []protocol.ID
	slabs  *protocol.Slabs // for kinds that declare NoRetain
}

// newBatch takes one that another lane of the entry is done with. Entries share none:
// a kind that declares NoRetain and keeps groups all the same then spoils only its own.
func newBatch(l *lane) *batch {
	b, ok := l.entry.batches.Get().(*batch)
	if !ok {
		b = new(batch)
	}
	b.lane = l
	return b
}

// forgetDecoded drops what Flush was given: a batch that waits for another try
// holds no work bytes, so it may keep nothing decoded alive.
func (b *batch) forgetDecoded() { b.groups, b.raw, b.ids, b.slabs = nil, nil, nil, nil }

// recycle is only for batches that no call refers to.
func (b *batch) recycle() {
	clear(b.parts)
	parts, groups, slabs := b.parts[:0], b.groups, b.slabs
	if slabs == nil { // a flusher may keep them
		groups = nil
	} else {
		slabs.Reset()
		clear(groups)
	}
	pool := &b.lane.entry.batches
	b.lane, b.backoff, b.raw, b.ids = nil, nil, nil, nil
	b.parts, b.groups, b.slabs = parts, groups[:0], slabs
	b.bytes, b.size, b.need, b.attempt, b.nextTry = 0, 0, 0, 0, time.Time{}
	b.doubt, b.why, b.failed, b.feeler = doubt{}, "", 0, false
	pool.Put(b)
}

func (b *batch) add(p *part) {
	b.parts = append(b.parts, p)
	b.bytes += p.bytes()
	b.size += p.group.DecodedSize()
}

func (b *batch) anyOpen() bool { return slices.ContainsFunc(b.parts, (*part).open) }

// keepOpen drops parts that ended meanwhile and says whether any is left.
func (b *batch) keepOpen() bool {
	n := 0
	for _, p := range b.parts {
		if p.open() {
			b.parts[n] = p
			n++
		}
	}
	if n == len(b.parts) {
		return n > 0
	}
	rest := b.parts
	b.parts = b.parts[:0]
	b.bytes, b.size = 0, 0
	for _, p := range rest[:n] {
		b.add(p)
	}
	clear(rest[n:])
	return n > 0
}

// hold keeps the messages of all parts for a call that reads them. False: a part
// has ended meanwhile, and nothing is held.
func (b *batch) hold() bool {
	for i, p := range b.parts {
		if p.open() && p.m.hold() {
			continue
		}
		for _, held := range b.parts[:i] {
			held.m.drop(1)
		}
		return false
	}
	return true
}

func (b *batch) oldest() time.Time {
	if len(b.parts) == 0 {
		return time.Time{}
	}
	return b.parts[0].m.received
}

// limits of the lane's batches: the entry's options, else the flusher's hint, else
// the natural ones. Decoded, a batch never takes more than an eighth of the work
// pool, nor more than half of what is free, unless it is one group.
func (l *lane) limitsLocked() (groups int, bytes, size int64, wait time.Duration) {
	groups, bytes, wait = l.version.Batch.Groups, l.version.Batch.Bytes, l.version.Batch.Wait
	if l.inst != nil {
		def(&groups, l.inst.hint.Groups)
		def(&bytes, l.inst.hint.Bytes)
		def(&wait, l.inst.hint.Wait)
	}
	def(&groups, batchGroups)
	def(&bytes, batchBytes)
	if l.bite > 0 {
		groups = min(groups, max(1, int(l.bite/biteUnit)))
	}
	// Of what is free only half: a batch that never fits what dead destinations
	// leave would wait with them.
	size = max(0, min(l.w.work.limit/8, l.w.work.free.Load()/2-l.version.callBytes()))
	return groups, bytes, size, wait
}

func (l *lane) fullLocked() bool {
	groups, bytes, _, _ := l.limitsLocked()
	return l.live.n >= groups || l.live.bytes >= bytes
}

// batchWaitLocked is how long the queue may still wait for a fuller batch. Nothing
// waits while the process, a strand or the entry ends, nor once it was closed; nor does
// what was parked.
func (l *lane) batchWaitLocked(now time.Time) time.Duration {
	_, _, _, wait := l.limitsLocked()
	if wait <= 0 || l.served.head != nil || l.closed || l.fullLocked() || l.w.hasten() || l.entry.isLeaving() {
		return 0
	}
	return wait - now.Sub(l.live.head.m.received)
}

// formLocked takes the oldest parts of a queue, or one of them while a batch fails. Nil:
// all of them had ended.
func (l *lane) formLocked(feeler bool) *batch {
	groups, bytes, size, _ := l.limitsLocked()
	if feeler {
		groups = 1
	}
	l.closed = false
	b := newBatch(l)
	b.feeler = feeler
	q := l.turnLocked()
	for q.head != nil && len(b.parts) < groups {
		if p := q.head; p.open() {
			if len(b.parts) > 0 && (b.bytes+p.bytes() > bytes || b.size+p.group.DecodedSize() > size) {
				break
			}
			if d, ok := l.recallLocked(p); ok {
				if len(b.parts) > 0 {
					break
				}
				b.doubt, groups = d, 1
				delete(l.known, p.id())
			}
			b.add(p)
		}
		q.pop()
	}
	if len(b.parts) == 0 {
		b.recycle()
		return nil
	}
	if b.served() {
		l.lead += b.bytes
	} else {
		l.lead -= b.bytes
	}
	return b
}

// turnLocked is whose turn it is: live traffic and what was parked share the flusher
// by bytes.
func (l *lane) turnLocked() *fifo {
	switch {
	case l.served.head == nil:
		l.lead = 0
		return &l.live
	case l.live.head == nil:
		l.lead = 0
		return &l.served
	case l.lead <= 0:
		return &l.served
	}
	return &l.live
}

// served says that the batch is of records that were parked.
func (b *batch) served() bool { return len(b.parts) > 0 && b.parts[0].m.strand.info.Parked }

// decode runs pass two, or hands on the bytes for kinds that want those only.
func (b *batch) decode(inst *instance) {
	n := len(b.parts)
	kind := &inst.version.Kind
	if inst.batcher != nil {
		b.raw, b.ids = make([][]byte, n), make([]protocol.ID, n)
		for i, p := range b.parts {
			b.raw[i] = p.group.Data
			b.ids[i] = p.id()
		}
	}
	switch {
	case kind.Raw:
	case kind.NoRetain:
		if b.slabs == nil {
			b.slabs, b.groups = new(protocol.Slabs), nil
		}
		b.slabs.Reset()
		b.groups = b.groups[:0]
		for _, p := range b.parts {
			b.groups = append(b.groups, b.slabs.Decode(p.group))
		}
	default:
		b.groups = make([]*protocol.LogGroup, n)
		for i, p := range b.parts {
			b.groups[i] = p.group.Decode()
		}
	}
}

func (p *part) id() protocol.ID {
	return protocol.ID{Origin: p.m.d.Origin(), Group: p.index}
}

// splitAt leaves the first parts in b and returns a batch of the others.
func (b *batch) splitAt(n int) *batch {
	second := newBatch(b.lane)
	second.attempt, second.why, second.failed = b.attempt, b.why, b.failed
	rest := b.parts
	b.parts, b.bytes, b.size = nil, 0, 0
	for i, p := range rest {
		if i < n {
			b.add(p)
		} else {
			second.add(p)
		}
	}
	return second
}
