package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// deleter deletes parked records that have ended, up to what the group has stored. It
// is in nobody's way: what cannot be deleted now is tried again after the next commit,
// and what never is only uses disk.
type deleter struct {
	parked *Parked
	src    *Source
	wake   chan struct{}

	mu     sync.Mutex
	due    map[wire.TopicPartition]deletion
	denied bool // it was said that the right is missing
}

// deletion is what may go from a partition: all below an offset, of the topic with an
// id. Another topic of that name has other records there.
type deletion struct {
	offset int64
	id     topicID
}

// deletePatience bounds one round.
const deletePatience = 10 * time.Second

func newDeleter(p *Parked, src *Source) *deleter {
	return &deleter{parked: p, src: src, wake: make(chan struct{}, 1), due: map[wire.TopicPartition]deletion{}}
}

// stored hears of a position that the group has stored.
func (d *deleter) stored(s *strand, offset int64) {
	s.mu.Lock()
	id := s.id
	s.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, ok := d.due[s.TopicPartition]; ok && was.id == id && was.offset >= offset {
		return
	}
	if offset > 0 {
		d.due[s.TopicPartition] = deletion{offset, id}
		poke(d.wake)
	}
}

// run deletes until ctx ends.
func (d *deleter) run(ctx context.Context) {
	for {
		select {
		case <-d.wake:
			d.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// lastPatience is how long a stop may take longer for the sake of what can be deleted.
const lastPatience = 2 * time.Second

// last deletes what the last commits let go.
func (d *deleter) last() {
	ctx, cancel := context.WithTimeout(context.Background(), lastPatience)
	defer cancel()
	d.round(ctx)
}

func (d *deleter) take() map[wire.TopicPartition]deletion {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := d.due
	d.due = map[wire.TopicPartition]deletion{}
	return due
}

// keep has what could not be deleted wait for the next commit.
func (d *deleter) keep(at wire.TopicPartition, what deletion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if newer, ok := d.due[at]; !ok || newer.id == what.id && newer.offset < what.offset {
		d.due[at] = what
	}
}

// round asks who leads what, so that the id of a topic is known as late as can be, and
// sends one request to each leader.
func (d *deleter) round(ctx context.Context) {
	due := d.take()
	if len(due) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deletePatience)
	defer cancel()
	failpoint.Hit(failpoint.ParkedCommitted)
	topics := map[string]bool{}
	for at := range due {
		topics[at.Topic] = true
	}
	cluster, err := d.parked.client.Metadata(ctx, slices.Sorted(maps.Keys(topics)))
	if err != nil {
		for at, what := range due {
			d.failed(at, what, err)
		}
		return
	}
	asks := map[string][]wire.DeleteBefore{}
	for at, what := range due {
		t := cluster.Topics[at.Topic]
		switch addr := leaderOf(cluster, at); {
		case t.Err == nil && t.ID != what.id && t.ID != [16]byte{} && what.id != topicID{}:
			// they are gone with their topic
		case addr == "":
			d.failed(at, what, errNoLeader)
		default:
			asks[addr] = append(asks[addr], wire.DeleteBefore{TopicPartition: at, Offset: what.offset})
		}
	}
	for addr, ps := range asks {
		done, err := d.parked.client.DeleteRecords(ctx, addr, ps)
		for _, p := range ps {
			failure := err
			if failure == nil {
				failure = done[p.TopicPartition].Err
			}
			if failure != nil {
				d.failed(p.TopicPartition, due[p.TopicPartition], failure)
			}
		}
	}
}

func leaderOf(c *wire.Cluster, at wire.TopicPartition) string {
	for _, p := range c.Topics[at.Topic].Partitions {
		if b, ok := c.Brokers[p.Leader]; ok && p.ID == at.Partition {
			return b.Addr()
		}
	}
	return ""
}

// failed keeps what may be deleted later.
func (d *deleter) failed(at wire.TopicPartition, what deletion, err error) {
	switch {
	case errors.Is(err, kafkago.OffsetOutOfRange), errors.Is(err, kafkago.UnknownTopicOrPartition):
		return // somebody has deleted more than that
	case errors.Is(err, kafkago.TopicAuthorizationFailed):
		d.mu.Lock()
		said := d.denied
		d.denied = true
		d.mu.Unlock()
		if !said {
			d.parked.log.Warn("what was served cannot be deleted, so it uses disk for ever",
				zap.String("topic", at.Topic), zap.String("mend", grant(d.parked.cfg, "Delete", "topic", at.Topic)), zap.Error(err))
		}
	default:
		d.parked.log.Debug("couldn't delete what was served; tried again after the next commit", zap.Stringer("partition", at), zap.Error(err))
	}
	d.keep(at, what)
}
