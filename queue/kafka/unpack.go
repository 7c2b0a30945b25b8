package kafka

import (
	"errors"
	"slices"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/unpack"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// unpacker makes deliveries of record sets. One belongs to each loop.
type unpacker struct {
	decoder  record.Decoder
	messages unpack.Messages
	slab     []delivery
	ds       []*queue.Delivery
}

// unpack makes deliveries of what a broker sent for a strand. Of a set that turns
// out to be much more than was asked for, highly compressed, the rest is left: it
// is asked for again.
func (u *unpacker) unpack(s *strand, o opened, p *wire.FetchedPartition) (haul, error) {
	set := record.Set{Records: p.Records, From: o.from}
	if s.src.cfg.Isolation == ReadCommitted {
		set.Aborted = p.Aborted
		if set.Aborted == nil {
			set.Aborted = noneAborted
		}
	}
	var h haul
	u.ds = u.ds[:0]
	res := u.decoder.Decode(set, func(r *record.Record) bool {
		d := u.deliver(s, o, r, &h)
		if d != nil {
			if len(u.ds)%sampleEvery == 0 {
				h.samples = append(h.samples, sample{r.Offset, d.Message().Time})
			}
			u.ds = append(u.ds, &d.Delivery)
			h.held += d.Held()
		}
		return len(u.ds) < o.most && h.held < o.enough
	})
	h.ds = slices.Clone(u.ds)
	clear(u.ds)
	h.next = res.Next
	h.passed[control], h.passed[aborted], h.passed[compacted] = res.Control, res.Aborted, res.Compacted
	h.need = res.Need
	if n := res.Delivered; n > 0 {
		h.inLog = len(p.Records)
	}
	return h, res.Err
}

var noneAborted = []wire.AbortedTransaction{}

// deliver makes the delivery of one record; nil if it is not to be delivered.
func (u *unpacker) deliver(s *strand, o opened, r *record.Record, h *haul) *delivery {
	ordinal, already := o.cursor.received(r.Offset)
	if already {
		return nil
	}
	m, origin, brought, ok := u.messages.Of(s.Topic, s.Partition, r)
	if !ok {
		o.cursor.mark.End(ordinal)
		h.passed[tooLarge]++
		s.log.Error("a message is passed over: it is too large and has a content-encoding already",
			zap.Int64("offset", r.Offset), zap.Int64("bytes", r.Size), zap.Int64("limits.decompressed", s.src.opt.MaxDecompressed))
		return nil
	}
	d := u.newDelivery()
	d.strand, d.ordinal = s, ordinal
	if brought {
		d.Init(m, origin, 1, m.Held(), d, s.give)
	} else {
		d.InitAt(m, s.seed, 1, m.Held(), d, s.give)
	}
	return d
}

func (u *unpacker) newDelivery() *delivery {
	if len(u.slab) == 0 {
		u.slab = make([]delivery, deliverySlab)
	}
	d := &u.slab[0]
	u.slab = u.slab[1:]
	return d
}

// unreadable says that err is about what lies in the log.
func unreadable(err error) bool {
	var e *record.Error
	return errors.As(err, &e)
}
