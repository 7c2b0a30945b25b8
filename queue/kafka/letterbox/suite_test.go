package letterbox_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/queuetest"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestLetterBox(t *testing.T) { // not parallel: it measures memory
	b := kafkabroker.Shared(t)
	queuetest.RunLetterBox(t, queuetest.LetterHarness{
		Cut: 3_500_000,
		Open: func(t *testing.T) queuetest.LetterQueue {
			r := real(t, b, 3)
			r.putAll() // makes the dead letter topic
			return realQueue{r, b}
		},
	})
}

var made atomic.Int32

// real is a source topic of its own on a real broker.
func real(t *testing.T, b *kafkabroker.Cluster, partitions int) *rig {
	t.Helper()
	name := fmt.Sprintf("letters-%d", made.Add(1))
	b.CreateTopic(t, name, partitions, 0, nil)
	return on(t, b.Bootstrap(), name)
}

type realQueue struct {
	*rig
	broker *kafkabroker.Cluster
}

// Sink implements queuetest.LetterQueue.
func (q realQueue) Sink() (s queue.Sink, stopped func(), err error) {
	client, err := kafka.Connect(q.cfg)
	if err != nil {
		return nil, nil, err
	}
	q.Cleanup(client.Close)
	s, err = kafka.DeadLetters(q.ctx, client, q.cfg)
	return s, func() {}, err
}

// Box implements queuetest.LetterQueue.
func (q realQueue) Box() (queue.LetterBox, error) { return open(q.rig) }

func (q realQueue) letters() string { return kafka.LetterTopic(q.cfg.Topics[0], q.cfg.Group) }

// Left implements queuetest.LetterQueue.
func (q realQueue) Left() (records int64, err error) {
	starts := q.broker.Starts(q, q.letters())
	for p, end := range q.broker.Ends(q, q.letters()) {
		records += end - starts[p]
	}
	return records, nil
}

// Remove implements queuetest.LetterQueue.
func (q realQueue) Remove() error {
	q.broker.DeleteTopic(q, q.letters())
	return nil
}

// Every box of a pattern is opened, also where the source is gone.
func TestBoxesOfAPattern(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	if err := r.fake.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{"other.g.dlq", "logs.h.dlq", "logs.g.dlq.g.dlq"} {
		if err := r.fake.CreateTopic(other, 1, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.cfg.Topics, r.cfg.TopicsRegex = nil, "lo.*"
	boxes, err := openAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, b := range boxes {
		names = append(names, b.Describe()+": "+namesOf(r.read(b)))
	}
	if got := strings.Join(names, "; "); got != "kafka topic logs.g.dlq: a" {
		t.Error(got)
	}
	b := boxes[0]
	if err := b.Resolve(t.Context(), r.read(b)); err != nil {
		t.Fatal(err)
	}
	if ls := r.read(b); len(ls) != 0 {
		t.Errorf("still there: %s", namesOf(ls))
	}
}
