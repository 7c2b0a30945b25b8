package kafka

import "github.com/flushline/flushline/queue"

// delivery is a held message: what the worker sees, and its place on the
// watermark.
type delivery struct {
	queue.Delivery
	strand  *strand
	ordinal int64
}

// deliverySlab is how many deliveries are allocated together.
const deliverySlab = 16

// Ack implements queue.Settler. After the loss of the lease it moves a watermark
// that nobody reads any more.
func (d *delivery) Ack(*queue.Delivery) {
	s := d.strand
	s.cursor.mark.End(d.ordinal)
	s.unsettled.Add(-1)
	s.src.commits.settled()
}

// Release implements queue.Settler: the watermark stays below the message for
// ever, and whoever gets the partition next reads it again.
func (d *delivery) Release(*queue.Delivery) { d.strand.unsettled.Add(-1) }
