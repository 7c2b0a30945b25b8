package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// putPatience bounds a Put, if the caller's context has no earlier end.
const putPatience = 30 * time.Second

// putPartitions is how many partitions of a Put are stored side by side; each
// costs a connection while it is.
const putPartitions = 4

// Sink stores messages in one topic. Put sends each batch to the leader of its
// partition, asks for the confirmation of all replicas in sync (acks=all) and
// awaits it. One batch of a partition is on its way at a time, so messages of one
// Put and partition are stored in order.
//
// kafka-go has no idempotent producer: a batch whose answer was lost is sent again
// and may be stored twice. What must be told apart carries an identity of its own
// (x-flushline-origin).
//
// A message that is larger than the topic takes (max.message.bytes, headers and
// framing counted) is compressed and cut into chunks on a companion, which
// queue.Joiner puts together, and refused by a publisher, whose readers may be
// others.
//
// A Sink may be used from any goroutine.
type Sink struct {
	client *wire.Client
	topic  string
	cuts   bool                        // what is too large is cut; else it is refused
	by     func(*queue.Message) []byte // a message goes where the hash of this says, if it is not nil

	turn  atomic.Uint32 // of partitions, for messages without key
	mu    sync.Mutex
	facts *topicFacts
	lanes map[int32]chan struct{} // one batch at a time in each
}

// NewPublisher makes a sink that stores messages in an existing topic as other
// producers do: a message with a key goes to the partition that its hash names
// (murmur2), those without share one partition for each Put, another one the next
// time. Subject is ignored. Values are stored as they are, so a message that is
// too large is refused. A topic that does not exist is a *MissingError, and a
// missing right to write it is found here, too.
func NewPublisher(ctx context.Context, client *wire.Client, topic string) (*Sink, error) {
	s := newSink(client, topic)
	s.by = func(m *queue.Message) []byte { return m.Key }
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	if err := s.mayWrite(ctx); err != nil {
		return nil, fmt.Errorf("couldn't write %s: %w", s.Describe(), err)
	}
	return s, nil
}

func newSink(client *wire.Client, topic string) *Sink {
	return &Sink{client: client, topic: topic, lanes: map[int32]chan struct{}{}}
}

// open asks for the topic, so that a wrong name or a missing right is found out
// before the first message.
func (s *Sink) open(ctx context.Context) error {
	facts, err := askTopic(ctx, s.client, s.topic)
	if err != nil {
		return err
	}
	s.facts = facts
	return nil
}

// Describe implements queue.Sink.
func (s *Sink) Describe() string { return "kafka topic " + s.topic }

// MaxMessage is the largest batch the topic takes, in bytes, as far as we may
// know: one message with its key, its headers and up to 100 bytes of framing.
func (s *Sink) MaxMessage() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts.limit
}

// Fits says whether a message is stored as it is: in one piece and not compressed.
func (s *Sink) Fits(m *queue.Message) bool { return batchSize(m) <= s.MaxMessage() }

// Put implements queue.Sink. What the broker refuses for good fails at once; what
// may pass by itself (no leader, too few replicas in sync, a lost connection) is
// tried again until ctx ends, 30 s at most. An error that has a Timeout method
// which says true is about a message that may have been stored.
//
// The order is kept in each partition, except that a message which the broker
// refuses is missing from it.
func (s *Sink) Put(ctx context.Context, ms []queue.Message) []error {
	ctx, cancel := context.WithTimeout(ctx, putPatience)
	defer cancel()
	errs := make([]error, len(ms))
	all := s.assign(s.current(ctx), ms, errs)
	began := time.Now()
	s.storeAll(ctx, all)
	took := time.Since(began)
	failed := false
	for _, pieces := range all {
		for i := range pieces {
			p := &pieces[i]
			if err := p.result(took); err != nil && errs[p.of] == nil {
				errs[p.of] = s.failed(err)
			}
		}
	}
	for _, err := range errs {
		failed = failed || err != nil
	}
	if !failed {
		return nil
	}
	return errs
}

func (s *Sink) failed(err error) error {
	return fmt.Errorf("couldn't put into %s: %w", s.Describe(), err)
}

// piece is a message, or a chunk of one, on its way.
type piece struct {
	of     int // which message of the caller
	record wire.Record
	cut    bool // one of several chunks
	err    error
	unsure bool // an attempt had no answer: it may be stored
}

// result is what became of a put that took so long.
func (p *piece) result(took time.Duration) error {
	if p.err == nil && p.cut && took > queue.ArrivalBound {
		return unsureError{queue.ErrArrivedLate}
	}
	return p.err
}

func recordOf(m *queue.Message) wire.Record {
	return wire.Record{Key: m.Key, Value: m.Value, Headers: m.Headers}
}

// batchSize is a message as the only one of its batch: brokers bound batches, not
// messages.
func batchSize(m *queue.Message) int {
	r := recordOf(m)
	return wire.BatchOverhead + r.Size()
}

// assign cuts each message to size and says where its pieces go. Those of one
// message stay together.
func (s *Sink) assign(facts *topicFacts, ms []queue.Message, errs []error) map[int32][]piece {
	all := map[int32][]piece{}
	shared := s.next(facts)
	for i := range ms {
		pieces := ms[i : i+1]
		if batchSize(&ms[i]) > facts.limit {
			var err error
			if pieces, err = s.cut(&ms[i], facts); err != nil {
				errs[i] = s.failed(err)
				continue
			}
		}
		to := shared
		if key := s.hashed(&ms[i]); key != nil {
			to = facts.partition(key)
		}
		if all[to] == nil {
			all[to] = make([]piece, 0, min(len(ms)-i, 256))
		}
		for k := range pieces {
			all[to] = append(all[to], piece{of: i, record: recordOf(&pieces[k]), cut: len(pieces) > 1})
		}
	}
	return all
}

func (s *Sink) hashed(m *queue.Message) []byte {
	if s.by == nil {
		return nil
	}
	return s.by(m)
}

// cut makes pieces of a message that is too large.
func (s *Sink) cut(m *queue.Message, facts *topicFacts) ([]queue.Message, error) {
	if !s.cuts {
		return nil, &tooLargeError{bytes: batchSize(m), topic: s.topic, facts: facts}
	}
	return queue.Split(queue.Message{Value: m.Value, Key: m.Key, Headers: m.Headers}, facts.limit, batchSize)
}

// tooLargeError is about one message that no retry makes smaller.
type tooLargeError struct {
	bytes int
	topic string
	facts *topicFacts
}

func (e *tooLargeError) Error() string {
	whence := ""
	if e.facts.assumed {
		whence = ", assumed: this user may not read the topic's settings"
	}
	return fmt.Sprintf("the message has %d bytes with its headers and framing, and the topic takes %d (max.message.bytes%s): send less in one message, or raise the limit with: kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config max.message.bytes=%d",
		e.bytes, e.facts.limit, whence, e.topic, wholeMiB(e.bytes))
}

// wholeMiB leaves some room above a size.
func wholeMiB(bytes int) int { return (bytes + 1<<20 - 1) &^ (1<<20 - 1) }

// next is the partition of this Put's messages without key: the next in turn that
// has a leader.
func (s *Sink) next(facts *topicFacts) int32 {
	n := len(facts.leaders)
	first := int(s.turn.Add(1)) % n
	for i := range n {
		if p := (first + i) % n; facts.leaders[p] != "" {
			return int32(p)
		}
	}
	return int32(first)
}

// partition is where all clients that follow the Java client put a key.
func (f *topicFacts) partition(key []byte) int32 {
	return int32(kafkago.Murmur2Balancer{}.Balance(kafkago.Message{Key: key}, f.numbers...))
}

func (s *Sink) storeAll(ctx context.Context, all map[int32][]piece) {
	if len(all) == 1 { // the usual case needs no goroutine
		for partition, pieces := range all {
			s.store(ctx, partition, pieces)
		}
		return
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, putPartitions)
	for partition, pieces := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.store(ctx, partition, pieces)
		})
	}
	wg.Wait()
}

// enter waits for the partition's turn.
func (s *Sink) enter(ctx context.Context, partition int32) (leave func(), err error) {
	s.mu.Lock()
	lane := s.lanes[partition]
	if lane == nil {
		lane = make(chan struct{}, 1)
		s.lanes[partition] = lane
	}
	s.mu.Unlock()
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("an earlier put still waits for this partition: %w", context.Cause(ctx))
	}
}
