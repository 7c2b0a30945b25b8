package job

import "github.com/flushline/flushline/queue"

// delivery is a message that is held: what the worker sees, its place on the
// watermark, and how its parts ended.
type delivery struct {
	queue.Delivery
	strand  *strand
	ordinal int64
	bytes   int64 // of the value as read

	parts int
	ends  [4]int32 // of the first parts
	more  []int32  // of the others
}

// deliverySlab is how many deliveries are allocated together.
const deliverySlab = 16

// Account implements queue.Accountant. What it hears counts from Ack on: counts and
// watermark move in one step.
func (d *delivery) Account(_ *queue.Delivery, ends []queue.PartEnd) {
	d.parts = len(ends)
	at := -1
	for i := range ends {
		at = d.strand.src.ends.index(&ends[i], at)
		if i < len(d.ends) {
			d.ends[i] = int32(at)
		} else {
			d.more = append(d.more, int32(at))
		}
	}
}

// Ack implements queue.Settler.
func (d *delivery) Ack(*queue.Delivery) {
	s := d.strand
	s.mu.Lock()
	s.mark.End(d.ordinal)
	s.marked++
	s.ended++
	s.unsettled--
	s.counts.messages++
	s.counts.bytes += d.bytes
	for i := range min(d.parts, len(d.ends)) {
		s.counts.part(int(d.ends[i]))
	}
	for _, at := range d.more {
		s.counts.part(int(at))
	}
	s.mu.Unlock()
	s.src.messageEnded()
}

// Release implements queue.Settler: the watermark stays below the message, so a
// later start reads it again.
func (d *delivery) Release(*queue.Delivery) {
	s := d.strand
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled--
	s.released++
}
