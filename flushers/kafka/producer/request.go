package producer

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// requestBytes bounds what one request carries, unless one batch is larger. Brokers
	// take 100 MiB by default.
	requestBytes = 4 << 20

	downFor = time.Second // records without key avoid a leader that did not answer
)

// leader is a broker that leads partitions.
type leader struct {
	p       *Producer
	addr    string
	commit  *flushers.GroupCommit[*parcel]
	downTil atomic.Int64 // of package clock
}

func (l *leader) down() bool { return clock.Now() < l.downTil.Load() }

// slot names one message of a parcel.
type slot struct {
	parcel *parcel
	i      int
}

// run is what goes to one partition.
type run struct {
	at    wire.TopicPartition
	topic *topic
	slots []slot // not stored yet, in order
	most  int    // records in the next batch; 0: as many as fit
	sent  int    // of slots, in the request that is under way
}

// write stores parcels, in as few requests as they fit into. Results are in the
// messages; it never returns an error.
func (l *leader) write(ctx context.Context, parcels []*parcel) error {
	ctx, cancel := context.WithTimeout(ctx, l.p.opt.Patience)
	defer cancel()
	for runs := plan(parcels); len(runs) > 0; {
		sets, asked := l.pack(parcels, runs)
		if len(sets) > 0 {
			stored, err := l.p.client.Store(ctx, l.addr, sets)
			if err != nil {
				l.fail(parcels, runs, err)
				return nil
			}
			for _, r := range asked {
				l.settle(parcels, r, stored[r.at])
			}
		}
		runs = remaining(runs)
	}
	return nil
}

// plan orders the messages of all parcels by partition.
func plan(parcels []*parcel) []*run {
	var runs []*run
	index := map[wire.TopicPartition]*run{}
	for _, b := range parcels {
		for i := range b.items {
			it := &b.items[i]
			r := index[it.at]
			if r == nil {
				r = &run{at: it.at, topic: it.topic}
				index[it.at] = r
				runs = append(runs, r)
			}
			r.slots = append(r.slots, slot{b, i})
		}
	}
	return runs
}

func remaining(runs []*run) []*run {
	open := runs[:0]
	for _, r := range runs {
		if len(r.slots) > 0 {
			open = append(open, r)
		}
	}
	return open
}

// locked calls f while no parcel can be left.
func locked(parcels []*parcel, f func()) {
	for _, b := range parcels {
		b.mu.Lock()
	}
	defer func() {
		for _, b := range parcels {
			b.mu.Unlock()
		}
	}()
	f()
}

// pack encodes the next batch of as many runs as fit into a request.
func (l *leader) pack(parcels []*parcel, runs []*run) (sets []*wire.RecordSet, asked []*run) {
	now, size := time.Now(), 0
	locked(parcels, func() {
		for _, r := range runs {
			if size >= requestBytes {
				return
			}
			records := r.take(l.p.opt.BatchBytes)
			if len(records) == 0 {
				continue
			}
			batch := wire.Batch{TopicPartition: r.at, Records: records, Codec: l.p.opt.Codec}
			set, err := batch.Encode(now)
			if err != nil {
				r.finish(fmt.Errorf("couldn't encode a batch for %s: %w", r.at, err))
				continue
			}
			sets, asked, size = append(sets, set), append(asked, r), size+set.Size()
		}
	})
	return sets, asked
}

// take is the records of the next batch, at least one unless their callers have all
// left. The locks are held.
func (r *run) take(limit int) []wire.Record {
	open := r.slots[:0]
	for _, s := range r.slots {
		if !s.parcel.left {
			open = append(open, s)
		}
	}
	r.slots = open
	most := len(open)
	if r.most > 0 {
		most = min(most, r.most)
	}
	records := make([]wire.Record, 0, most)
	bytes := wire.BatchOverhead
	for _, s := range open[:most] {
		it := &s.parcel.items[s.i]
		bytes += it.size
		if len(records) > 0 && bytes > limit {
			break
		}
		records = append(records, it.message.Record)
	}
	r.sent = len(records)
	return records
}

// finish is what came of the records that were sent. The locks are held.
func (r *run) finish(err error) {
	for _, s := range r.slots[:r.sent] {
		s.parcel.finish(s.i, err)
	}
	r.slots, r.sent, r.most = r.slots[r.sent:], 0, 0
}

// settle draws the conclusion from what the leader said of one batch.
func (l *leader) settle(parcels []*parcel, r *run, s wire.Stored) {
	if s.Throttle > 0 {
		l.p.wait(min(s.Throttle, mostThrottle))
	}
	if s.Err != nil && astray(s.Err) {
		r.topic.stale.Store(true)
	}
	if s.Err != nil && aboutData(s.Err) && r.sent > 1 {
		r.most = r.sent / 2 // one of them it is, or they are too many at once
		return
	}
	err := s.Err
	if err != nil {
		err = classify(fmt.Errorf("couldn't store in %s: %w", r.at, &wire.Error{Op: "produce", Broker: l.addr, Err: err}))
	}
	locked(parcels, func() { r.finish(err) })
}

// fail is a request without an answer: nobody knows what is stored.
func (l *leader) fail(parcels []*parcel, runs []*run, err error) {
	if !errors.Is(err, context.Canceled) {
		l.downTil.Store(clock.Now() + int64(downFor))
	}
	for _, r := range runs {
		r.topic.stale.Store(true) // it may have another leader by now
	}
	err = classify(err)
	locked(parcels, func() {
		for _, r := range runs {
			r.sent = len(r.slots)
			r.finish(err)
		}
	})
}
