package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const (
	// Partitions that were added are used that late, as by the Java client.
	refreshEvery = 5 * time.Minute

	// A topic that was there is gone when brokers say so for this long: one that starts
	// may not know all topics yet.
	goneAfter = 5 * time.Second

	fillFor = time.Second // a partition at most, when it does not become full
)

// topic is where its partitions are.
type topic struct {
	p    *Producer
	name string
	used int64 // of package clock; under the producer's lock

	asking chan struct{} // one asks, the others wait for its answer
	known  atomic.Pointer[layout]
	stale  atomic.Bool // what is known led astray

	mu      sync.Mutex
	missing time.Time // since when brokers say that there is no such topic
	filling int       // partition for records without key
	filled  int       // bytes that went there
	til     int64     // of package clock
}

// layout is one answer: it does not change.
type layout struct {
	leaders []*leader // by partition; nil: nobody leads it
	numbers []int     // 0 to the last partition
	asked   time.Time
}

func newTopic(p *Producer, name string) *topic {
	return &topic{p: p, name: name, asking: make(chan struct{}, 1), filling: -1}
}

// current is what is known, asked again when it led astray or is old.
func (t *topic) current(ctx context.Context) (*layout, error) {
	now := time.Now()
	l := t.known.Load()
	if l != nil && !t.stale.Load() && now.Sub(l.asked) < refreshEvery {
		return l, nil
	}
	select {
	case t.asking <- struct{}{}:
		defer func() { <-t.asking }()
	case <-ctx.Done():
		return nil, classify(fmt.Errorf("couldn't ask who leads topic %s: %w", t.name, ctx.Err()))
	}
	if l := t.known.Load(); l != nil && !t.stale.Load() && l.asked.After(now) {
		return l, nil // somebody asked while we waited
	}
	return t.ask(ctx, l)
}

// ask learns the layout; old is what was known before.
func (t *topic) ask(ctx context.Context, old *layout) (*layout, error) {
	astray := t.stale.Swap(false)
	asked := time.Now()
	cluster, err := t.p.client.Metadata(ctx, []string{t.name})
	if err != nil {
		if old != nil && !astray {
			return old, nil // it was only old: whoever leads will say whether it does
		}
		t.stale.Store(true)
		if wire.IsTransport(err) && ctx.Err() == nil {
			t.p.wait(awayFor)
		}
		return nil, classify(fmt.Errorf("couldn't ask who leads topic %s: %w", t.name, err))
	}
	found := cluster.Topics[t.name]
	if found.Err != nil || len(found.Partitions) == 0 {
		t.stale.Store(true)
		return nil, t.absent(found.Err, old != nil)
	}
	t.mu.Lock()
	t.missing = time.Time{}
	t.mu.Unlock()
	l := &layout{asked: asked, leaders: make([]*leader, len(found.Partitions)), numbers: make([]int, len(found.Partitions))}
	for i, part := range found.Partitions {
		l.numbers[i] = i
		if b, ok := cluster.Brokers[part.Leader]; ok {
			l.leaders[i] = t.p.leader(b.Addr())
		}
	}
	t.known.Store(l)
	return l, nil
}

// absent is the error for a topic that brokers do not describe.
func (t *topic) absent(err error, was bool) error {
	if err != nil && !errors.Is(err, kafka.UnknownTopicOrPartition) {
		return classify(fmt.Errorf("couldn't ask who leads topic %s: %w", t.name, err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.missing.IsZero() {
		t.missing = now
	}
	if gone := now.Sub(t.missing); was && gone < goneAfter {
		return flushers.RetryAfter(fmt.Errorf("topic %s is not there for %v: it is deleted, or a broker that starts does not know it yet",
			t.name, gone.Round(100*time.Millisecond)), retryMoved)
	}
	return flushers.Misconfigured(fmt.Errorf("topic %s does not exist, or our user may not see it (Describe): create it with kafka-topics.sh "+
		"--bootstrap-server BROKER --create --topic %s --partitions N --replication-factor 3 --config min.insync.replicas=2, or correct topic", t.name, t.name))
}

// pick is the partition of a message of that size. An error is about this one: others of the topic
// may have a place.
func (t *topic) pick(l *layout, m *Message, size int) (int32, error) {
	var n int
	switch {
	case m.Record.Key != nil:
		n = kafka.Murmur2Balancer{}.Balance(kafka.Message{Key: m.Record.Key}, l.numbers...)
	case m.Turn:
		t.mu.Lock()
		t.filling = l.next(t.filling)
		n = t.filling
		t.mu.Unlock()
	default:
		n = t.fill(l, size)
	}
	if l.leaders[n] == nil {
		t.stale.Store(true)
		return 0, flushers.RetryAfter(fmt.Errorf("couldn't store in %s: no broker leads this partition: bring the brokers with its replicas back",
			wire.TopicPartition{Topic: t.name, Partition: int32(n)}), retrySlow)
	}
	return int32(n), nil
}

// fill is the partition that records without key go to now.
func (t *topic) fill(l *layout, bytes int) int {
	now := clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.filling < 0 || t.filling >= len(l.leaders) || t.filled+bytes > t.p.opt.BatchBytes || now >= t.til || !l.answers(t.filling) {
		t.filling, t.filled, t.til = l.next(t.filling), 0, now+int64(fillFor)
	}
	t.filled += bytes
	return t.filling
}

// next is the partition behind one, the next whose leader answers; any at first, so
// that processes do not begin at the same.
func (l *layout) next(n int) int {
	count := len(l.leaders)
	if n < 0 {
		n = rand.IntN(count)
	}
	for i := 1; i <= count; i++ {
		if k := (n + i) % count; l.answers(k) {
			return k
		}
	}
	for i := 1; i <= count; i++ {
		if k := (n + i) % count; l.leaders[k] != nil {
			return k
		}
	}
	return (n + 1) % count
}

func (l *layout) answers(n int) bool { return l.leaders[n] != nil && !l.leaders[n].down() }
