package kafka_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/queuetest"
)

// answerFetches lets f answer the fetches that name a partition instead of the
// broker, as long as it returns true.
func answerFetches(c *kfake.Cluster, f func(n int, p *kmsg.FetchResponseTopicPartition, r *kmsg.FetchResponse) bool) {
	n := 0
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		q := req.(*kmsg.FetchRequest)
		r := q.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range q.Topics {
			out := kmsg.NewFetchResponseTopic()
			out.Topic = t.Topic
			for _, at := range t.Partitions {
				p := kmsg.NewFetchResponseTopicPartition()
				p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = at.Partition, -1, -1, -1
				if !f(n, &p, r) {
					return nil, nil, false
				}
				out.Partitions = append(out.Partitions, p)
			}
			r.Topics = append(r.Topics, out)
		}
		n++
		return r, nil, true
	})
}

func TestErrorsOfOnePartition(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.UnknownTopicOrPartition,
		kerr.ReplicaNotAvailable, kerr.KafkaStorageError, kerr.UnknownServerError, kerr.CorruptMessage, kerr.OffsetOutOfRange,
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			f := fake(t)
			q := openQueue(t, f.ListenAddrs())
			q.produce(0, 0, 50)
			answerFetches(f, func(n int, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
				p.ErrorCode = code.Code
				return n < 3
			})
			var got seen
			p := startPod(t, q.cfg, got.take)
			q.committedBecomes(0, 50)
			if n, d := got.count(), len(got.distinct()); n != 50 || d != 50 {
				t.Errorf("%d messages came, %d of them distinct, want 50", n, d)
			}
			st, _ := p.status(strandOf(q, 0))
			if st.State != queue.StateConsuming || len(st.PassedOver) > 0 {
				t.Errorf("afterwards the status is %+v", st)
			}
			p.stop()
		})
	}
}

// What is refused for good is a state that says so, and ends when it does.
func TestRefusedPartition(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	q.produce(0, 0, 5)
	var mu sync.Mutex
	refuse := true
	answerFetches(f, func(_ int, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
		mu.Lock()
		defer mu.Unlock()
		p.ErrorCode = kerr.TopicAuthorizationFailed.Code
		return refuse
	})
	var got seen
	p := startPod(t, q.cfg, got.take)
	eventually(t, "state refused", func() bool {
		st, ok := p.status(strandOf(q, 0))
		return ok && st.State == queue.StateRefused && strings.Contains(st.Cause, "uthoriz")
	})
	mu.Lock()
	refuse = false
	mu.Unlock()
	q.committedBecomes(0, 5)
	p.stop()
}

func TestThrottleIsObeyed(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	q.produce(0, 0, 5)
	const throttle = 1500 * time.Millisecond
	var mu sync.Mutex
	var at []time.Time
	answerFetches(f, func(n int, _ *kmsg.FetchResponseTopicPartition, r *kmsg.FetchResponse) bool {
		mu.Lock()
		defer mu.Unlock()
		at = append(at, time.Now())
		r.ThrottleMillis = int32(throttle.Milliseconds())
		return n == 0
	})
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 5)
	mu.Lock()
	if d := at[1].Sub(at[0]); d < throttle-50*time.Millisecond {
		t.Errorf("asked again after %v although the broker wanted %v", d, throttle)
	}
	mu.Unlock()
	p.stop()
}

// Where to begin without a committed offset, and which partitions that is about.
func TestStart(t *testing.T) {
	t.Parallel()
	for start, want := range map[string]int{kafka.StartEarliest: 12, kafka.StartLatest: 2, "time": 7} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			f := fake(t)
			q := openQueue(t, f.ListenAddrs())
			q.produce(0, 0, 5)
			if q.cfg.Start = start; start == "time" {
				time.Sleep(1100 * time.Millisecond) // the setting has whole seconds
				q.cfg.Start = time.Now().UTC().Format(time.RFC3339)
				time.Sleep(20 * time.Millisecond)
			}
			q.produce(0, 5, 10)
			var got seen
			p := startPod(t, q.cfg, got.take)
			eventually(t, "a committed offset", func() bool {
				at, err := q.committed(t.Context(), 0)
				return err == nil && at >= 0
			})
			q.produce(0, 10, 12)
			q.committedBecomes(0, 12)
			if n := got.count(); n != want {
				t.Errorf("start %s: %d messages, want %d: %v", q.cfg.Start, n, want, got.distinct())
			}
			p.stop()
		})
	}
	t.Run("committed", func(t *testing.T) {
		t.Parallel()
		f := fake(t)
		q := openQueue(t, f.ListenAddrs())
		q.produce(0, 0, 5)
		q.cfg.Start = kafka.StartCommitted
		var got seen
		p := startPod(t, q.cfg, got.take)
		eventually(t, "state refused", func() bool {
			st, ok := p.status(strandOf(q, 0))
			return ok && st.State == queue.StateRefused && strings.Contains(st.Cause, "--reset-offsets")
		})
		if got.count() != 0 {
			t.Error("messages came although there was no committed offset")
		}
		p.stop()
	})
}

// One strand whose messages never end stops at its span, and no other does.
func TestSpan(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := newQueue(t, f.ListenAddrs())
	q.createTopic(2)
	q.cfg.Span = 100
	q.produce(0, 0, 1000)
	q.produce(1, 0, 1000)
	var got seen
	var mu sync.Mutex
	var stuck *queue.Delivery
	p := startPod(t, q.cfg, func(strand string, d *queue.Delivery) {
		mu.Lock()
		if strand == strandOf(q, 0) && stuck == nil {
			stuck = d
			mu.Unlock()
			return
		}
		mu.Unlock()
		got.take(strand, d)
	})
	q.committedBecomes(1, 1000)
	eventually(t, "99 messages above the stuck one", func() bool { return len(got.at(strandOf(q, 0))) == 99 })
	st, _ := p.status(strandOf(q, 0))
	if st.Committed != -1 && st.Committed != 0 || st.Unsettled != 1 || st.Lag != 1000 || st.Oldest.IsZero() {
		t.Errorf("with one message stuck: %+v", st)
	}
	got.take(strandOf(q, 0), stuck)
	q.committedBecomes(0, 1000)
	if n := len(got.distinct()); n != 2000 {
		t.Errorf("%d of 2000 messages came", n)
	}
	p.stop()
}

// A stop with one message unended commits what ended above it, too: nothing but
// that message comes again.
func TestGapMapIsHandedOn(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	q.produce(0, 0, 500)
	var got seen
	var kept []*queue.Delivery
	p := startPod(t, q.cfg, func(strand string, d *queue.Delivery) {
		if d.Message().Position%100 == 7 {
			kept = append(kept, d)
			return
		}
		got.take(strand, d)
	})
	eventually(t, "all but five", func() bool { return got.count() == 495 })
	p.release(func() {
		for _, d := range kept {
			d.Release()
			d.Free()
		}
	})
	p.stop()
	var again seen
	p = startPod(t, q.cfg, again.take)
	q.committedBecomes(0, 500)
	if got := fmt.Sprint(again.at(strandOf(q, 0))); got != "[7 107 207 307 407]" {
		t.Errorf("delivered again: %s", got)
	}
	p.stop()
}

// A budget that is much smaller than what all partitions could use starves none of
// them, and is not overdrawn by more than what one answer had too much.
func TestSmallBudgetForManyPartitions(t *testing.T) {
	t.Parallel()
	const partitions, each, budget = 20, 40, 1 << 20
	f := fake(t)
	q := newQueue(t, f.ListenAddrs())
	q.createTopic(partitions)
	value := bytes.Repeat([]byte("0123456789"), 2000)
	for i := range int32(partitions) {
		ms := make([]queue.Message, each)
		for k := range ms {
			ms[k] = queue.Message{Partition: i, Value: fmt.Appendf(nil, "%d/%d:%s", i, k, value)}
		}
		if err := q.Publish(t.Context(), ms...); err != nil {
			t.Fatal(err)
		}
	}
	pool := queuetest.NewHost(budget)
	var mu sync.Mutex
	var held []*queue.Delivery // at any time some are held, so that the budget is tight
	taken := 0
	settle := func(n int) {
		for _, d := range held[:n] {
			d.Ack()
			d.Free()
		}
		held = held[n:]
	}
	p := startPod(t, q.cfg, func(_ string, d *queue.Delivery) {
		mu.Lock()
		defer mu.Unlock()
		taken++
		if held = append(held, d); len(held) > 20 {
			settle(10)
		}
	}, func(p *pod) { p.pool = pool })
	eventually(t, "all but what is held", func() bool {
		mu.Lock()
		defer mu.Unlock()
		if taken < partitions*each { // what was handed out may still be on its way here
			return false
		}
		settle(len(held))
		return true
	})
	for i := range int32(partitions) {
		q.committedBecomes(i, each)
	}
	p.stop()
	if u := pool.Usage(); u.Used != 0 || u.Peak > 3*budget {
		t.Errorf("budget of %d: %+v", budget, u)
	}
	if err := pool.Err(); err != nil {
		t.Error(err)
	}
}

// noOffsets answers as for a group that has none.
func noOffsets(q *kmsg.OffsetFetchRequest) kmsg.Response {
	r := q.ResponseKind().(*kmsg.OffsetFetchResponse)
	for _, t := range q.Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, id := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset = id, -1
			out.Partitions = append(out.Partitions, p)
		}
		r.Topics = append(r.Topics, out)
	}
	return r
}

// A position that the leader refused is not believed again because producers have
// passed it meanwhile: what the log has below would be skipped.
func TestRefusedPositionInALogThatGrew(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]bool{"cut back": false, "made anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fake(t)
			q := openQueue(t, f.ListenAddrs())
			q.produce(0, 0, 50)
			var armed, refused atomic.Bool
			answerFetches(f, func(_ int, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
				p.ErrorCode = kerr.OffsetOutOfRange.Code
				return armed.Load() && !refused.Swap(true)
			})
			f.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
				f.KeepControl()
				if !gone || !armed.Load() {
					return nil, nil, false
				}
				return noOffsets(req.(*kmsg.OffsetFetchRequest)), nil, true
			})
			var got seen
			p := startPod(t, q.cfg, got.take)
			q.committedBecomes(0, 50)
			q.produce(0, 50, 100)
			armed.Store(true)
			eventually(t, "all of the log once more", func() bool {
				again := map[int64]int{}
				for _, pos := range got.at(strandOf(q, 0)) {
					again[pos]++
				}
				return again[0] == 2 && again[49] == 2 && again[99] >= 1
			})
			p.mu.Lock()
			ends := p.ended[strandOf(q, 0)]
			p.mu.Unlock()
			if len(ends) != 1 || ends[0].Reason != queue.Lost || strings.Contains(ends[0].Why, "made anew") != gone {
				t.Errorf("ended %+v", ends)
			}
			p.stop()
		})
	}
}

// Where a partition without a committed offset begins is committed at once: who takes
// over before the next tick shall not choose again.
func TestStartIsCommittedAtOnce(t *testing.T) {
	t.Parallel()
	f := fake(t)
	q := openQueue(t, f.ListenAddrs())
	q.produce(0, 0, 5)
	q.cfg.Start, q.cfg.Commit.Every = kafka.StartLatest, time.Hour
	var got seen
	p := startPod(t, q.cfg, got.take)
	q.committedBecomes(0, 5)
	p.stop()
}
