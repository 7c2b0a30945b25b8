package record

import (
	"math"
	"sync"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// DefaultMax is Decoder.Max when it is 0.
const DefaultMax = 64 << 20

// Decoder reads record sets. The zero value is ready; it may be used by any number
// of goroutines.
type Decoder struct {
	// Max is the size in bytes of the largest record of a compressed batch that is
	// handed out as it is; a larger one comes with its value compressed
	// (Record.Wrapped). Records of uncompressed batches are in memory anyway and
	// always come as they are. Default 64 MiB.
	//
	// An ErrTooLarge is left for what no producer of logs does: a value that has more
	// than Max even compressed, a key or headers of more than an eighth of it beside
	// such a value, more than 65,536 headers, a message of magic 0 or 1 above Max
	// inside a compressed one, a snappy block of more than twice Max, a zstd window
	// of more than 128 MiB. Error.Past is where to go on.
	Max int64
}

// Set is one partition of a fetch answer.
type Set struct {
	Records []byte // wire.FetchedPartition.Records, whole
	From    int64  // records below are left out; normally the offset that was asked for
	To      int64  // records from here on are left out, and Result.Next does not pass it; 0: no end

	// Aborted is the answer's list, in any order. nil hands out what was aborted,
	// which is what read_uncommitted means.
	Aborted []wire.AbortedTransaction
}

// Record is one record of a partition. It and everything it refers to is valid
// until the function it was given to returns, and must not be changed.
type Record struct {
	Offset  int64
	Time    int64 // milliseconds since 1970; -1: none (magic 0)
	Key     []byte
	Value   []byte // nil: a tombstone
	Headers []Header

	// Wrapped says that the record was larger than Decoder.Max: Value is one zstd
	// frame of what the value was.
	Wrapped bool
	Size    int64 // of the value, before it was wrapped
}

// Header is one header of a record; its Value may be nil.
type Header struct{ Key, Value []byte }

// Result says how far a set was read. What was asked for and what came out always
// add up: Next - From = Delivered + Control + Aborted + Compacted.
type Result struct {
	Next      int64 // offset to ask for next; From or more
	Delivered int64 // records handed out

	// Offsets passed over that had nothing to hand out, by the words that
	// queue.Status.PassedOver uses for them.
	Control   int64 // markers of transactions and other control records
	Aborted   int64 // records of aborted transactions
	Compacted int64 // no record there any more

	// Need is not 0 if there was no progress because the first batch that reaches
	// From is cut short: the fewest bytes that the answer must have to hold it whole.
	// A batch's size is a word that no checksum covers; it may be up to 2 GiB.
	Need int64

	// Err is an *Error, or nil. Everything before Next was handed out and counted.
	Err error
}

// Decode calls each for every record of a set at or after From, in the order of
// their offsets, until each returns false (Next is then the offset after that
// record).
//
// The checksum of a batch is verified before anything is taken from it. Where the
// checksum does not reach, the base offset of each batch has to be above the last
// offset of the one before and its length has to give a batch whose checksum is
// right; a base offset that was damaged into another one that fits between its
// neighbours is the one thing that cannot be seen. A last batch that is cut short
// is not an error. A batch wholly below From is passed by.
//
// A set may be decoded again with a higher From to go on where an earlier call
// stopped, with the same Records and Aborted: what was aborted is known only by
// reading from the front.
func (d *Decoder) Decode(s Set, each func(*Record) bool) Result {
	w, _ := walks.Get().(*walk)
	if w == nil {
		w = new(walk)
	}
	w.max = d.Max
	if w.max <= 0 {
		w.max = DefaultMax
	}
	w.each = each
	w.filter.reset(s.Aborted)
	w.Result = Result{Next: s.From}
	w.to = s.To
	if w.to <= 0 {
		w.to = math.MaxInt64
	}
	w.set(s.Records)
	res := w.Result
	w.release()
	walks.Put(w)
	return res
}

var walks sync.Pool // *walk
