package kafka_test

import (
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
)

// resting is a pod whose strand of partition 0 does not come back to Fetch: it holds
// message 20 until goOn, and has not been read for so long that its topic has to be
// confirmed.
type resting struct {
	*pod
	got  seen
	goOn func()
}

func rest(t *testing.T, q *testQueue) *resting {
	t.Helper()
	r := &resting{}
	gate := make(chan struct{})
	var open sync.Once
	r.goOn = func() { open.Do(func() { close(gate) }) }
	t.Cleanup(r.goOn)
	r.pod = startPod(t, q.cfg, func(strand string, d *queue.Delivery) {
		if string(d.Message().Value) == "0/00020" {
			<-gate
		}
		r.got.take(strand, d)
	})
	q.produce(0, 0, 20)
	q.committedBecomes(0, 20)
	q.produce(0, 20, 21)
	eventually(t, "the pause", func() bool { return r.rested(q) })
	return r
}

func (r *resting) rested(q *testQueue) bool {
	r.mu.Lock()
	s := r.strands[strandOf(q, 0)]
	r.mu.Unlock()
	return s != nil && s.Status().Position == 20 && kafka.Rested(s)
}

// replaced reads 20 messages, pauses on one more, has the topic made anew by replace
// meanwhile, with 30 messages, and says why the strand of the old one ended. All 30
// must come.
func replaced(t *testing.T, q *testQueue, replace func(anew func())) string {
	t.Helper()
	p := rest(t, q)
	replace(func() {
		q.deleteTopic()
		eventually(t, "the topic can be made again", func() bool { return q.tryCreate(1) == nil })
		q.produce(0, 100, 130)
	})
	p.goOn()
	// Brokers that said the id a moment before are believed, until they say it again.
	eventually(t, "21 messages of the old topic and 30 of the new", func() bool { return len(p.got.distinct()) == 51 })
	q.committedBecomes(0, 30)
	p.mu.Lock()
	ends := p.ended[strandOf(q, 0)]
	p.mu.Unlock()
	p.stop()
	if len(ends) != 1 || ends[0].Reason != queue.Lost {
		t.Fatalf("the strand of the old topic ended with %v, want lost once", ends)
	}
	return ends[0].Why
}

// The topic is made anew, and has grown past our position, between two answers that
// say who leads what: nothing but its id shows it.
func TestTopicMadeAnewUnseen(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	q.cfg.Commit.Every = 10 * time.Millisecond
	why := replaced(t, q, func(anew func()) {
		held := make(chan struct{})
		holdMetadata(f, held, everyQuestion)
		anew()
		close(held)
	})
	if !strings.Contains(why, "its id is") {
		t.Errorf("the strand ended because %s", why)
	}
}

func TestTopicMadeAnewUnseenOnARealBroker(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	q := openQueue(t, b.Bootstrap())
	t.Log(replaced(t, q, func(anew func()) {
		begun := time.Now()
		anew()
		t.Log("made anew within", time.Since(begun))
	}))
}

// Brokers before 2.8 have no ids; a topic that was seen to be away is still told
// from its successor.
func TestTopicMadeAnewOnAnOldBroker(t *testing.T) {
	t.Parallel()
	f := fake(t, kfake.MaxVersions(kversion.V2_7_0()))
	q := openQueue(t, f.ListenAddrs())
	q.produce(0, 0, 20)
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 20)
	q.deleteTopic()
	eventually(t, "state topic_missing", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateTopicMissing
	})
	eventually(t, "the topic can be made again", func() bool { return q.tryCreate(1) == nil })
	q.produce(0, 100, 130)
	q.committedBecomes(0, 30)
	if n := len(got.distinct()); n != 50 {
		t.Errorf("%d messages came, want 20 of the old topic and 30 of the new: %v", n, got.distinct())
	}
	p.stop()
}

// Behind a pause a strand waits for brokers that do not say what its topic is. Its
// status says so, and it is read as soon as they do.
func TestTopicThatNobodyConfirms(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	p := rest(t, q)
	held := make(chan struct{})
	holdMetadata(f, held, everyQuestion)
	q.produce(0, 21, 30)
	eventually(t, "the pause, and no answer since", func() bool { return p.rested(q) })
	p.goOn()
	eventually(t, "a status that says what it waits for", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateBrokerAway && strings.Contains(st.Cause, "the topic is the one it was")
	})
	close(held)
	eventually(t, "all messages", func() bool { return len(p.got.distinct()) == 30 })
	eventually(t, "a status without trouble", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateConsuming
	})
	p.stop()
}

// A connection that hangs for good holds the strand up only until the question on it is
// given up: the next one goes another way.
func TestTopicAskedForOnADeadConnection(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	p := rest(t, q)
	held := make(chan struct{})
	t.Cleanup(func() { close(held) }) // before the broker is closed
	holdMetadata(f, held, 1)
	q.produce(0, 21, 30)
	eventually(t, "the pause, and no answer since", func() bool { return p.rested(q) })
	p.goOn()
	eventually(t, "all messages", func() bool { return len(p.got.distinct()) == 30 })
	p.stop()
}

// everyQuestion is as many as are asked.
const everyQuestion = math.MaxInt

// holdMetadata has a broker keep the next questions that we ask it until held is closed.
func holdMetadata(f *kfake.Cluster, held <-chan struct{}, questions int) {
	f.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		if r.GetVersion() == 11 && questions > 0 { // ours; one call at a time
			questions--
			f.SleepControl(func() { <-held })
		}
		return nil, nil, false
	})
}
