package queue

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/flushline/flushline/internal/mutant"
)

// Watermark turns messages that end in any order into the position below which
// all of them have ended: what a queue with one cursor may commit.
//
// Each message received gets an ordinal, counted from 0 without holes. What has
// ended is one bit per ordinal; where the ordinals lie is a list of runs of
// neighbouring positions. So a position that does not exist (a marker, a record
// that was compacted away) never blocks and costs nothing but the end of a run,
// and no message has an object here.
//
// Add and Advance are for one goroutine. All other methods may be called from any
// goroutine at any time.
type Watermark struct {
	tail atomic.Int64         // ordinals given out
	next atomic.Int64         // all positions below are accounted for
	low  atomic.Int64         // all ordinals below have ended; moves under mu
	ring atomic.Pointer[ring] // of the newest ordinals; older ones hang behind it

	misused atomic.Int64

	expect int64 // of Add: the position that continues the newest run
	room   int64 // of Add: the first ordinal that the newest ring may have no bit for

	mu     sync.Mutex
	runs   []run // of positions, ascending
	head   int   // the run of the lowest ordinal that has not ended
	passed int64 // the newest answer of Low
}

// run says that the ordinals from first lie at neighbouring positions from pos.
type run struct{ ordinal, pos int64 }

// ring holds the bits of the ordinals from first, a multiple of 64, up to the next
// ring, one lap after the other. A word is zero again before its next lap begins.
type ring struct {
	first int64
	words []atomic.Uint64
	older atomic.Pointer[ring] // nil once everything below first has ended
}

// Interval is the positions from From up to, not including, To.
type Interval struct{ From, To int64 }

// NewWatermark returns a watermark at a position: that of the first message
// expected, which is what is committed so far. span is how many messages may be
// above the watermark without growing it; the memory is a bit for each, and 16
// bytes for each run of positions. More are taken, too, and make it grow.
func NewWatermark(next int64, span int) *Watermark {
	w := &Watermark{expect: next, passed: next}
	w.next.Store(next)
	w.grow(0, (max(span, 1)+63)/64+1)
	return w
}

// grow puts a ring of at least that many words in front.
func (w *Watermark) grow(first int64, words int) {
	r := &ring{first: first, words: make([]atomic.Uint64, 1<<bits.Len(uint(words-1)))}
	r.older.Store(w.ring.Load())
	w.ring.Store(r)
	w.room = first + int64(len(r.words))<<6
}

// Add takes in the message at a position and returns its ordinal, for End.
// Positions ascend; what lies between two of them does not exist. A position that
// is accounted for already gets the ordinal -1, which cannot end, and counts as
// misuse.
func (w *Watermark) Add(pos int64) (ordinal int64) {
	if pos+1 <= w.next.Load() { // also the largest int64
		w.misused.Add(1)
		return -1
	}
	ordinal = w.tail.Load()
	if pos != w.expect || ordinal == 0 {
		w.begin(run{ordinal, pos})
	}
	if ordinal == w.room {
		w.makeRoom(ordinal)
	}
	w.expect = pos + 1
	w.tail.Store(ordinal + 1)
	w.next.Store(pos + 1) // after tail: whoever sees the position passed sees the message
	return ordinal
}

func (w *Watermark) begin(r run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.runs = append(w.runs, r)
}

// makeRoom lets the ordinal have a bit: one that has passed, or one of a larger
// ring.
func (w *Watermark) makeRoom(ordinal int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.ring.Load()
	oldest := max(w.advance(), r.first)
	w.room = (oldest>>6 + int64(len(r.words))) << 6
	if w.room <= ordinal {
		w.grow(ordinal, 2*len(r.words))
	}
}

// Advance says that all positions below pos are accounted for: what was not added
// does not exist. It never goes back.
func (w *Watermark) Advance(pos int64) {
	if pos > w.next.Load() {
		w.next.Store(pos)
	}
}

// End says that a message has ended, once for each ordinal. It never waits. A
// second End while the message is above the watermark, and any of an ordinal that
// was not given out or has been passed, changes nothing and counts as misuse.
func (w *Watermark) End(ordinal int64) {
	if ordinal < w.low.Load() || ordinal >= w.tail.Load() {
		w.misused.Add(1)
		return
	}
	r := w.ringOf(ordinal)
	if bit := uint64(1) << (ordinal & 63); r == nil || r.word(ordinal).Or(bit)&bit != 0 {
		w.misused.Add(1)
	}
}

func (r *ring) word(ordinal int64) *atomic.Uint64 {
	return &r.words[ordinal>>6&int64(len(r.words)-1)]
}

// Misuse is how many calls of Add and End were ignored. It is zero, or the caller
// has a defect.
func (w *Watermark) Misuse() int64 { return w.misused.Load() }

// Next is the position above everything accounted for: where reading goes on.
func (w *Watermark) Next() int64 { return w.next.Load() }

// Low is the position to commit: everything below has ended or does not exist. It
// never goes back.
func (w *Watermark) Low() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	low, _ := w.locate()
	return low
}

// Span is how many messages lie from the lowest that has not ended to the newest.
func (w *Watermark) Span() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	low := w.advance()
	return int(w.tail.Load() - low)
}

// Above returns the watermark and what has ended above it, ascending. What does
// not exist between two ended messages is part of their interval; intervals never
// touch. There are at most half as many as Span.
func (w *Watermark) Above() (low int64, ended []Interval) {
	w.mu.Lock()
	defer w.mu.Unlock()
	low, tail := w.locate()
	at := w.head
	for from := w.low.Load(); from < tail; {
		from = w.scan(from, tail, true)
		to := w.scan(from, tail, false)
		if from < to {
			var a, b int64
			a, at = w.position(from, at)
			b, at = w.position(to-1, at)
			ended = append(ended, Interval{a, b + 1})
		}
		from = to
	}
	return low, ended
}

// locate finds the watermark and how many ordinals were given out when it did.
func (w *Watermark) locate() (low, tail int64) {
	low = w.next.Load() // before tail, so that a message added meanwhile is not passed
	tail = w.tail.Load()
	if at := w.advance(); at < tail && !mutant.On(mutant.CommitHighest) {
		low, _ = w.position(at, w.head)
	}
	w.passed = max(w.passed, low) // next is older than tail where Add stands between them
	return w.passed, tail
}

// position of an ordinal, and its run; from is a run that does not lie behind it.
func (w *Watermark) position(ordinal int64, from int) (pos int64, at int) {
	n, found := slices.BinarySearchFunc(w.runs[from:], ordinal, func(r run, o int64) int { return cmp.Compare(r.ordinal, o) })
	if !found {
		n--
	}
	r := w.runs[from+n]
	return r.pos + ordinal - r.ordinal, from + n
}

// advance moves low over what has ended, and frees the words, rings and runs that
// it leaves behind.
func (w *Watermark) advance() (low int64) {
	low = w.low.Load()
	end := w.scan(low, w.tail.Load(), false)
	if end == low {
		return low
	}
	w.low.Store(end) // first: a late second End must not reach a word that begins a new lap
	w.clear(low, end)
	for w.head+1 < len(w.runs) && w.runs[w.head+1].ordinal <= end {
		w.head++
	}
	if w.head > len(w.runs)/2 {
		w.runs = slices.Delete(w.runs, 0, w.head)
		w.head = 0
	}
	return end
}

// clear makes the words of the ordinals [from, to) zero, except a last one that
// is not used up, and lets go of rings that are.
func (w *Watermark) clear(from, to int64) {
	newest := w.ring.Load()
	for from = max(from, newest.first); from>>6 < to>>6; from = (from>>6 + 1) << 6 {
		newest.word(from).Store(0)
	}
	for r := newest; r != nil; r = r.older.Load() {
		if r.first <= to {
			r.older.Store(nil)
		}
	}
}

// scan returns the first ordinal in [from, to) that has ended, or has not; else
// to.
func (w *Watermark) scan(from, to int64, ended bool) int64 {
	for from < to {
		word := w.ringOf(from).word(from).Load()
		if !ended {
			word = ^word
		}
		stop := min((from>>6+1)<<6, to)
		if n := bits.TrailingZeros64(word >> (from & 63)); from+int64(n) < stop {
			return from + int64(n)
		}
		from = stop
	}
	return to
}

// ringOf finds the ring of an ordinal; nil if it was passed long ago.
func (w *Watermark) ringOf(ordinal int64) *ring {
	r := w.ring.Load()
	for r != nil && ordinal < r.first {
		r = r.older.Load()
	}
	return r
}
