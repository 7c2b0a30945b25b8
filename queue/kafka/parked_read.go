package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/unpack"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// parkedReader reads single records of a parked partition, beside its sweeps. It is for
// one goroutine.
type parkedReader struct {
	at       *parkedStrand
	seed     queue.OriginSeed
	decoder  record.Decoder
	messages unpack.Messages
}

const (
	readForOne   = 64 << 10 // the broker sends the first batch whole in any case
	readForLanes = 1 << 20
	lookedAtOnce = 4 // answers of readForLanes
)

func newParkedReader(s *parkedStrand) parkedReader {
	return parkedReader{
		at: s, seed: queue.NewOriginSeed(s.src.cluster, s.Topic),
		decoder: record.Decoder{Max: s.src.opt.MaxDecompressed},
	}
}

// fetch reads what one answer holds from a position on, until each returns false.
// Without progress it returns the position, and with end the log's.
func (p *parkedReader) fetch(own context.Context, from int64, bytes int32, each func(r *record.Record) bool) (next, end int64, err error) {
	b, ok := p.at.src.atlas.leads(p.at.TopicPartition)
	if !ok {
		return from, from, errNoLeader
	}
	ctx, cancel := context.WithTimeout(own, callTimeout)
	defer cancel()
	got, err := p.at.src.client.Fetch(ctx, b.Addr(), &wire.FetchRequest{
		MaxBytes: bytes, ReadCommitted: p.at.src.cfg.Isolation == ReadCommitted,
		Partitions: []wire.FetchPartition{{TopicPartition: p.at.TopicPartition, Offset: from, LeaderEpoch: -1, MaxBytes: bytes}},
	})
	if err != nil {
		return from, from, err
	}
	defer got.Release()
	if len(got.Partitions) == 0 {
		return from, from, fmt.Errorf("couldn't read %s: %s did not answer for it", p.at.TopicPartition, b.Addr())
	}
	one := &got.Partitions[0]
	if one.Err != nil {
		return from, from, one.Err
	}
	defer unpack.Enter()()
	res := p.decoder.Decode(record.Set{Records: one.Records, From: from}, each)
	return res.Next, one.HighWatermark, res.Err
}

// errNotThere says that the log has no such record: it was deleted, or is another one.
var errNotThere = errors.New("it does not lie there")

// record reads the first record of a lane.
func (p *parkedReader) record(own context.Context, f *parkedFirst) (*parkedRecord, error) {
	joiner := queue.Joiner{MaxBytes: p.at.src.opt.MaxDecompressed}
	var whole *queue.Whole
	var failed error
	for next := f.places.first; whole == nil && next <= f.places.last(); {
		from := next
		var err error
		if next, _, err = p.fetch(own, from, readForOne, func(r *record.Record) bool {
			if f.places.has(r.Offset) {
				m, _, _, ok := p.messages.Of(p.at.Topic, p.at.Partition, r)
				if !ok {
					return false
				}
				whole, failed = joiner.Add(m)
			}
			return whole == nil && failed == nil && r.Offset < f.places.last()
		}); err != nil && !unreadable(err) {
			if what, _ := judge(err); what == relocate {
				return nil, errNotThere
			}
			return nil, err
		}
		if next == from || failed != nil || err != nil {
			return nil, errNotThere
		}
	}
	if whole == nil {
		return nil, errNotThere
	}
	lane, _, ours := parkedLane(&whole.Message, p.at.parked.cfg.Group)
	if !ours || lane != f.lane {
		return nil, errNotThere
	}
	r := &parkedRecord{message: whole.Message, origin: p.seed.At(p.at.Partition, f.places.first, whole.Time)}
	if text, ok := whole.Header(queue.HeaderOrigin); ok {
		if o, ok := queue.ParseOrigin(text); ok {
			r.origin = o
		}
	}
	return r, nil
}

// lanes reads on from a position, as much as lookedAtOnce, and says where records of
// our lanes lie; those that are cut into chunks are left to sweeps. It returns how far it
// came.
func (p *parkedReader) lanes(own context.Context, from int64, each func(lane queue.Lane, at int64)) int64 {
	for range lookedAtOnce {
		next, end, err := p.fetch(own, from, readForLanes, func(r *record.Record) bool {
			m, _, _, ok := p.messages.Of(p.at.Topic, p.at.Partition, r)
			if _, chunk := m.Header(queue.HeaderPartOf); !ok || chunk {
				return true
			}
			if lane, _, ours := parkedLane(&m, p.at.parked.cfg.Group); ours {
				each(lane, r.Offset)
			}
			return true
		})
		if err != nil || next == from || next >= end {
			return next
		}
		from = next
	}
	return from
}
