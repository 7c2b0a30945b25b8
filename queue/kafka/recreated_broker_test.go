package kafka_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/test/kafkabroker"
)

// replaced reads 20 messages, pauses on one more, has the topic made anew by replace
// meanwhile, with 30 messages, and says why the strand of the old one ended. All 30
// must come.
func replaced(t *testing.T, q *testQueue, replace func(anew func())) string {
	t.Helper()
	var got seen
	gate := make(chan struct{})
	var open sync.Once
	goOn := func() { open.Do(func() { close(gate) }) }
	t.Cleanup(goOn)
	var stuck atomic.Bool
	p := startPod(t, q.cfg, func(strand string, d *queue.Delivery) {
		if string(d.Message().Value) == "0/00020" {
			stuck.Store(true)
			<-gate // who does not come back to Fetch is paused
		}
		got.take(strand, d)
	})
	q.produce(0, 0, 20)
	q.committedBecomes(0, 20)
	q.produce(0, 20, 21)
	eventually(t, "the pause", stuck.Load)
	time.Sleep(1500 * time.Millisecond) // of which the answer under way takes half a second
	replace(func() {
		q.deleteTopic()
		eventually(t, "the topic can be made again", func() bool { return q.tryCreate(1) == nil })
		q.produce(0, 100, 130)
	})
	goOn()
	// Brokers that said the id a moment before are believed, until they say it again.
	eventually(t, "21 messages of the old topic and 30 of the new", func() bool { return len(got.distinct()) == 51 })
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
		f.ControlKey(int16(kmsg.Metadata), func(r kmsg.Request) (kmsg.Response, error, bool) {
			f.KeepControl()
			if r.GetVersion() == 11 { // ours
				f.SleepControl(func() { <-held })
			}
			return nil, nil, false
		})
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
