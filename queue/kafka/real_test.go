package kafka_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
)

// seen collects what was delivered, by strand.
type seen struct {
	mu     sync.Mutex
	values []string
	places map[string][]int64
}

func (s *seen) take(strand string, d *queue.Delivery) {
	m := d.Message()
	s.mu.Lock()
	if s.places == nil {
		s.places = map[string][]int64{}
	}
	s.values = append(s.values, string(m.Value))
	s.places[strand] = append(s.places[strand], m.Position)
	s.mu.Unlock()
	d.Ack()
	d.Free()
}

func (s *seen) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.values)
}

// distinct is what was delivered, each once.
func (s *seen) distinct() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(s.values)))
}

func (s *seen) at(strand string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.places[strand])
}

func (q *testQueue) produce(partition int32, from, to int) {
	q.Helper()
	var ms []queue.Message
	for i := from; i < to; i++ {
		ms = append(ms, queue.Message{Partition: partition, Value: fmt.Appendf(nil, "%d/%05d", partition, i)})
	}
	if err := q.Publish(q.Context(), ms...); err != nil {
		q.Fatal(err)
	}
}

func (q *testQueue) committedBecomes(partition int32, want int64) {
	q.Helper()
	eventually(q.T, fmt.Sprintf("committed offset %d of partition %d", want, partition), func() bool {
		got, err := q.committed(q.Context(), partition)
		return err == nil && got == want
	})
}

func strandOf(q *testQueue, partition int) string { return fmt.Sprintf("%s[%d]", q.topic, partition) }

func TestTruncatedWhileStopped(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	q.produce(0, 0, 5)
	var first seen
	p := startPod(t, q.cfg, first.take)
	q.committedBecomes(0, 5)
	p.stop()

	q.produce(0, 5, 40)
	b.DeleteRecords(t, q.topic, 0, 30)
	var second seen
	p = startPod(t, q.cfg, second.take)
	q.committedBecomes(0, 40)
	if got := second.at(strandOf(q, 0)); len(got) != 10 || got[0] != 30 {
		t.Errorf("delivered positions %v, want 30 to 39", got)
	}
	st, _ := p.status(strandOf(q, 0))
	if st.PassedOver["expired"] != 25 || st.State != queue.StateConsuming {
		t.Errorf("status %+v, want 25 expired and consuming", st)
	}
	if n := p.logs.FilterMessage("messages were passed over").Len(); n != 1 {
		t.Errorf("%d lines about what was passed over, want 1", n)
	}
	p.stop()
}

func TestNewPartitionBeginsAtEarliest(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	q.cfg.Start = kafka.StartLatest
	q.produce(0, 0, 3)
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 3) // the choice is committed before anything arrives
	q.produce(0, 3, 5)
	q.committedBecomes(0, 5)

	q.addPartitions(2)
	q.produce(1, 0, 4)
	q.committedBecomes(1, 4)
	if n := got.count(); n != 6 {
		t.Errorf("%d messages were delivered, want 2 of the old partition and 4 of the new: %v", n, got.distinct())
	}
	p.stop()
}

func TestTopicAppearsLater(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := newQueue(t, b.Bootstrap())
	q.cfg.Start = kafka.StartLatest
	var got seen
	p := startPod(t, q.cfg, got.take)
	eventually(t, "state topic_missing", func() bool {
		st, ok := p.status(q.topic)
		return ok && st.State == queue.StateTopicMissing && strings.Contains(st.Cause, q.topic)
	})
	q.createTopic(1)
	q.produce(0, 0, 7)
	q.committedBecomes(0, 7)
	eventually(t, "the end of the absence", func() bool {
		_, ok := p.status(q.topic)
		return !ok
	})
	if n := got.count(); n != 7 {
		t.Errorf("%d messages of a topic that appeared later, want all 7", n)
	}
	p.stop()
}

func TestTopicsByPattern(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := newQueue(t, b.Bootstrap())
	name := q.topic
	q.cfg.Topics, q.cfg.TopicsRegex = nil, name+"-.*"
	q.topic = name + "-a"
	q.createTopic(1)
	q.produce(0, 0, 2)
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 2)

	q.topic = name + "-a." + q.cfg.Group + ".dlq" // a companion is never read
	q.createTopic(1)
	q.produce(0, 0, 5)
	q.topic = name + "-b"
	q.createTopic(1)
	q.produce(0, 0, 3)
	q.committedBecomes(0, 3)
	if n := got.count(); n != 5 {
		t.Errorf("%d messages, want 2 and 3: %v", n, got.places)
	}
	p.stop()
}

func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	q.produce(0, 0, 20)
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 20)

	q.deleteTopic()
	eventually(t, "the topic can be made again", func() bool { return q.tryCreate(1) == nil })
	q.produce(0, 100, 130) // more than there were: the old position exists in the new log
	eventually(t, "all 30 messages of the new topic", func() bool { return len(got.distinct()) == 50 })
	q.committedBecomes(0, 30)
	p.mu.Lock()
	ends := p.ended[strandOf(q, 0)]
	p.mu.Unlock()
	if len(ends) == 0 || ends[0].Reason != queue.Lost {
		t.Errorf("the strand of the old topic ended with %v, want lost", ends)
	}
	p.stop()
}

// What an old topic still held is counted, and messages of it that are settled late
// move nothing.
func TestTopicMadeAnewWhileItsMessagesAreHeld(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	q.cfg.Span = 50
	q.produce(0, 0, 200)
	var got seen
	var mu sync.Mutex
	var held []*queue.Delivery
	p := startPod(t, q.cfg, func(strand string, d *queue.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		if pos := d.Message().Position; strings.HasPrefix(string(d.Message().Value), "0/00") && pos >= 10 && pos < 200 && len(held) < 50 {
			held = append(held, d)
			return
		}
		got.take(strand, d)
	}, func(p *pod) {
		p.release(func() { // as a worker that finishes what it holds, although it is lost
			mu.Lock()
			defer mu.Unlock()
			for _, d := range held {
				d.Ack()
				d.Free()
			}
			held = held[:0:0]
		})
	})
	q.committedBecomes(0, 10)
	eventually(t, "the span is used up", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(held) == 50
	})
	q.deleteTopic()
	eventually(t, "state topic_missing or a new strand", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateTopicMissing
	})
	eventually(t, "the topic can be made again", func() bool { return q.tryCreate(1) == nil })
	var ms []queue.Message
	for i := range 7 {
		ms = append(ms, queue.Message{Value: fmt.Appendf(nil, "new/%d", i)})
	}
	if err := q.Publish(t.Context(), ms...); err != nil {
		t.Fatal(err)
	}
	q.committedBecomes(0, 7)
	st, _ := p.status(strandOf(q, 0))
	if st.PassedOver["recreated"] != 140 || st.Position != 6 {
		t.Errorf("status %+v, want 140 passed over as recreated", st)
	}
	p.stop()
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	record := func(v string) *kgo.Record { return kafkabroker.Record(q.topic, 0, v) }
	b.Transact(t, q.topic, true, record("a"), record("b"))
	b.Transact(t, q.topic, false, record("x"), record("y"), record("z"))
	b.Transact(t, q.topic, true, record("c"))
	b.Transact(t, q.topic, false, record("w")) // the log ends in an abort marker
	end, err := q.offset(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, end)
	if diff := slices.Compare(got.distinct(), []string{"a", "b", "c"}); diff != 0 {
		t.Errorf("delivered %v, want a, b and c", got.distinct())
	}
	st, _ := p.status(strandOf(q, 0))
	if st.PassedOver["aborted"] != 4 || st.PassedOver["control"] != 4 || st.Lag != 0 {
		t.Errorf("status %+v, want 4 aborted, 4 control and no lag", st)
	}
	p.stop()
}

// A broker that is killed costs time, and nothing else.
func TestBrokerKilled(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Start(t, kafkabroker.Options{})
	q := newQueue(t, b.Bootstrap())
	q.createTopic(3)
	for i := range int32(3) {
		q.produce(i, 0, 500)
	}
	var got seen
	p := startPod(t, q.cfg, got.take)
	eventually(t, "some messages", func() bool { return got.count() > 200 })
	b.Node(1).Kill()
	eventually(t, "state broker_away", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateBrokerAway && strings.Contains(st.Cause, "127.0.0.1")
	})
	b.Node(1).Restart(t)
	for i := range int32(3) {
		q.produce(i, 500, 800)
	}
	for i := range int32(3) {
		q.committedBecomes(i, 800)
	}
	if n := len(got.distinct()); n != 2400 {
		t.Errorf("%d of 2400 messages came", n)
	}
	eventually(t, "state consuming", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateConsuming
	})
	p.mu.Lock()
	ended := len(p.ended)
	p.mu.Unlock()
	if ended != 0 {
		t.Errorf("strands ended for a broker that came back: %v", p.ended)
	}
	p.stop()
}

// Two pods share the partitions; a pod that leaves in order costs no duplicate.
func TestHandOver(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := newQueue(t, b.Bootstrap())
	q.createTopic(6)
	var got seen
	first := startPod(t, q.cfg, got.take)
	for i := range int32(6) {
		q.produce(i, 0, 300)
	}
	eventually(t, "some messages", func() bool { return got.count() > 100 })
	second := startPod(t, q.cfg, got.take)
	eventually(t, "three strands each", func() bool { return first.served() == 3 && second.served() == 3 })
	for i := range int32(6) {
		q.produce(i, 300, 400)
	}
	first.stop()
	for i := range int32(6) {
		q.committedBecomes(i, 400)
	}
	if n, d := got.count(), len(got.distinct()); n != 2400 || d != 2400 {
		t.Errorf("%d messages came, %d of them distinct, want 2400", n, d)
	}
	second.stop()
	if n := first.src.Totals().Rebalances; n < 1 {
		t.Errorf("%d rebalances were counted", n)
	}
}

func (p *pod) served() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.strands)
}

func (q *testQueue) addPartitions(to int32) {
	q.Helper()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = q.topic, to
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30_000
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(q.Context(), q.cl); err != nil {
		q.Fatal(err)
	}
	q.cl.PurgeTopicsFromClient(q.topic)
}

func (q *testQueue) deleteTopic() {
	q.Helper()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = kmsg.StringPtr(q.topic)
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	req.TopicNames = []string{q.topic}
	req.Topics = append(req.Topics, topic)
	if _, err := req.RequestWith(q.Context(), q.cl); err != nil {
		q.Fatal(err)
	}
	q.cl.PurgeTopicsFromClient(q.topic)
}
