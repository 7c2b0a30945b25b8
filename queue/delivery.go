package queue

import "sync/atomic"

// Settler carries out the settlement of a delivery. A source embeds Delivery in
// its own record, which is also the Settler.
//
// Both calls come at most once for a delivery, from any goroutine, must not
// block and return nothing: what goes wrong later is the source's state.
type Settler interface {
	Ack(d *Delivery)
	Release(d *Delivery)
}

// Accountant is a Settler that is told how the parts of a message ended, right
// before its Ack and on the same goroutine. ends is valid until Account returns.
type Accountant interface {
	Settler
	Account(d *Delivery, ends []PartEnd)
}

// PartEnd is how one part of a message ended: one of its groups toward one flusher
// entry.
type PartEnd struct {
	Route, Flusher string // empty: no route took the part
	Outcome        Outcome
	Reason         string // of a dead letter or of what was skipped
}

// Outcome is how a part ended that was not given back.
type Outcome uint8

// The outcomes of a part.
const (
	Flushed Outcome = iota + 1
	DeadLettered
	Skipped
	OutcomeParked
)

// Account tells the settler how the parts ended, if it wants to know.
func (d *Delivery) Account(ends []PartEnd) {
	if a, ok := d.settler.(Accountant); ok {
		a.Account(d, ends)
	}
}

const (
	settled uint32 = 1 << iota
	freed
)

// Delivery is one message plus the duty to settle it once: Ack or Release.
// From the line where it is received from Fetch it must be settled, on every
// path. Settling and freeing are apart: a message that was released may still be
// read by a Flush that has not returned.
type Delivery struct {
	msg     Message
	origin  Origin
	seed    *OriginSeed // the origin is computed when somebody asks
	attempt int
	settler Settler
	give    func(int64)
	held    atomic.Int64
	state   atomic.Uint32
}

// misuse counts second settlements, which are defects of the caller.
var misuse atomic.Int64

// Misuse is how many second settlements this process has seen. It is zero, or
// the program has a defect.
func Misuse() int64 { return misuse.Load() }

// Init fills a delivery in place. held is what the source charged for it (value,
// key, headers and 1 KiB of bookkeeping), attempt is 1 for a first delivery, and
// give returns bytes to the Host.
func (d *Delivery) Init(m Message, o Origin, attempt int, held int64, s Settler, give func(int64)) {
	d.msg, d.origin, d.seed, d.attempt, d.settler, d.give = m, o, nil, attempt, s, give
	d.held.Store(held)
	d.state.Store(0)
}

// InitAt is Init for a message whose origin is its place. Few messages are asked
// for their origin, so the hash is left until then; seed must outlive the
// delivery.
func (d *Delivery) InitAt(m Message, seed *OriginSeed, attempt int, held int64, s Settler, give func(int64)) {
	d.Init(m, Origin{}, attempt, held, s, give)
	d.seed = seed
}

// Message is valid until Free.
func (d *Delivery) Message() *Message { return &d.msg }

// Origin never changes; see 4.5 of the design.
func (d *Delivery) Origin() Origin {
	if d.seed != nil {
		return d.seed.At(d.msg.Partition, d.msg.Position, d.msg.Time)
	}
	return d.origin
}

// Attempt is 1 at first and more when the broker delivered the message again.
func (d *Delivery) Attempt() int { return d.attempt }

// Ack says that each part of the message has ended. Nothing else moves a cursor.
func (d *Delivery) Ack() {
	if d.settle() {
		d.settler.Ack(d)
	}
}

// Release gives the message back to the queue. It is legal only after the
// strand's context ended; a watermark never passes a released message.
func (d *Delivery) Release() {
	if d.settle() {
		d.settler.Release(d)
	}
}

// Defer leaves a parked record parked. Unlike Release it is legal while the strand
// lives; a settler that is no Deferrer takes it as Release.
func (d *Delivery) Defer() {
	if !d.settle() {
		return
	}
	if s, ok := d.settler.(Deferrer); ok {
		s.Defer(d)
		return
	}
	d.settler.Release(d)
}

func (d *Delivery) settle() bool {
	if d.state.Or(settled)&settled != 0 {
		misuse.Add(1)
		return false
	}
	return true
}

// Settled says whether Ack or Release was called.
func (d *Delivery) Settled() bool { return d.state.Load()&settled != 0 }

// Held is how many bytes of the budget this delivery holds.
func (d *Delivery) Held() int64 { return d.held.Load() }

// Charge adds n bytes (negative: gives them back) to what the delivery holds,
// after decompression replaced the received bytes. The caller has told the Host.
func (d *Delivery) Charge(n int64) { d.held.Add(n) }

// SetValue replaces the value by its decompressed form, so that the received
// bytes can be collected.
func (d *Delivery) SetValue(v []byte) { d.msg.Value = v }

// Free gives the bytes back, once; further calls do nothing. Afterwards no
// value, key or header is reachable from the delivery, so an object that still
// points at it keeps nothing alive that is not charged.
func (d *Delivery) Free() {
	if d.state.Or(freed)&freed != 0 {
		return
	}
	n := d.held.Swap(0)
	d.msg = Message{Partition: d.msg.Partition, Position: d.msg.Position, Time: d.msg.Time}
	if d.give != nil {
		d.give(n)
	}
}
