package history_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// faulty is a fake broker with 50 messages in 5 batches.
func faulty(t *testing.T) (*work, *kfake.Cluster) {
	t.Helper()
	name := "topic"
	f, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	w := with(t, f.ListenAddrs())
	w.topic, w.cfg.Topics = name, []string{name}
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for n := range 5 {
		var rs []*kgo.Record
		for i := range 10 {
			rs = append(rs, w.record(0, 10*n+i))
		}
		if err := cl.ProduceSync(w.Context(), rs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	return w, f
}

// answer lets f change what fetches are answered, as long as it returns true.
func answer(c *kfake.Cluster, f func(at kmsg.FetchRequestTopicPartition, p *kmsg.FetchResponseTopicPartition, r *kmsg.FetchResponse) bool) {
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		q := req.(*kmsg.FetchRequest)
		r := q.ResponseKind().(*kmsg.FetchResponse)
		at := q.Topics[0].Partitions[0]
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = at.Partition, 50, 50, 0
		if !f(at, &p, r) {
			return nil, nil, false
		}
		t := kmsg.NewFetchResponseTopic()
		t.Topic, t.Partitions = q.Topics[0].Topic, append(t.Partitions, p)
		r.Topics = append(r.Topics, t)
		return r, nil, true
	})
}

func TestErrorsThatPass(t *testing.T) {
	t.Parallel()
	for _, code := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownTopicOrPartition,
		kerr.KafkaStorageError, kerr.UnknownServerError, kerr.OffsetOutOfRange, kerr.TopicAuthorizationFailed,
	} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			w, f := faulty(t)
			s := w.plan("earliest", "end")[0]
			var n atomic.Int32
			answer(f, func(_ kmsg.FetchRequestTopicPartition, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
				p.ErrorCode = code.Code
				return n.Add(1) <= 5
			})
			g := w.read(w.input(), s, 0, 1<<20)
			g.wholly(t, 0, 0, 50)
			if len(g.trouble) != 5 || len(g.passed) > 0 || job.IsAway(g.trouble[0]) {
				t.Errorf("%d troubles, passed %v: %v", len(g.trouble), g.passed, g.trouble)
			}
		})
	}
}

// raw is the log from its beginning.
func raw(w *work, f *kfake.Cluster) []byte {
	w.Helper()
	r, err := w.client.Fetch(w.Context(), f.ListenAddrs()[0], &wire.FetchRequest{MaxBytes: 1 << 20, Partitions: []wire.FetchPartition{
		{TopicPartition: wire.TopicPartition{Topic: w.topic}, LeaderEpoch: -1, MaxBytes: 1 << 20},
	}})
	if err != nil || r.Partitions[0].Err != nil {
		w.Fatal(err, r)
	}
	return bytes.Clone(r.Partitions[0].Records)
}

// spoil damages the batch that holds record 30.
func spoil(log []byte) []byte {
	at := bytes.Index(log, []byte("0/00030"))
	damaged := bytes.Clone(log)
	damaged[at] ^= 1
	return damaged
}

func TestWhatWasDamagedOnTheWayIsFetchedAgain(t *testing.T) {
	t.Parallel()
	w, f := faulty(t)
	s := w.plan("earliest", "end")[0]
	log := spoil(raw(w, f))
	var n atomic.Int32
	answer(f, func(_ kmsg.FetchRequestTopicPartition, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
		p.RecordBatches = log
		return n.Add(1) <= 3 // once with what lies before it, and twice without
	})
	g := w.read(w.input(), s, 0, 1<<20)
	g.wholly(t, 0, 0, 50)
	if len(g.trouble) != 2 {
		t.Errorf("troubles: %v", g.trouble)
	}
}

func TestWhatStaysDamagedEndsTheSlice(t *testing.T) {
	t.Parallel()
	w, f := faulty(t)
	s := w.plan("earliest", "end")[0]
	log := spoil(raw(w, f))
	answer(f, func(_ kmsg.FetchRequestTopicPartition, p *kmsg.FetchResponseTopicPartition, _ *kmsg.FetchResponse) bool {
		p.RecordBatches = log
		return true
	})
	g := w.read(w.input(), s, 0, 1<<20)
	if !job.IsUnreadable(g.err) || len(g.values) != 30 || g.next != 30 || len(g.trouble) != 2 {
		t.Fatalf("%d messages up to %d, then %v after %v", len(g.values), g.next, g.err, g.trouble)
	}
	t.Log(g.err)
}

func TestAThrottleIsWaitedFor(t *testing.T) {
	t.Parallel()
	w, f := faulty(t)
	s := w.plan("earliest", "end")[0]
	const throttle = 300 * time.Millisecond
	var first, second atomic.Int64
	answer(f, func(_ kmsg.FetchRequestTopicPartition, _ *kmsg.FetchResponseTopicPartition, r *kmsg.FetchResponse) bool {
		now := time.Now().UnixNano()
		if first.CompareAndSwap(0, now) {
			r.ThrottleMillis = int32(throttle.Milliseconds())
			return true // and nothing in it
		}
		second.CompareAndSwap(0, now)
		return false
	})
	g := w.read(w.input(), s, 0, 1<<20)
	g.wholly(t, 0, 0, 50)
	if waited := time.Duration(second.Load() - first.Load()); waited < throttle || len(g.trouble) > 0 {
		t.Errorf("asked again after %v, want %v or more; troubles: %v", waited, throttle, g.trouble)
	}
}

// A connection that is cut is no end of the slice, whatever its error wraps.
func TestACutConnectionIsNoEnd(t *testing.T) {
	t.Parallel()
	w, f := faulty(t)
	s := w.plan("earliest", "end")[0]
	var n atomic.Int32
	f.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.KeepControl()
		if n.Add(1) <= 3 {
			return nil, errors.New("cut"), true // closes the connection
		}
		return nil, nil, false
	})
	g := w.read(w.input(), s, 0, 1<<20) // checks that io.EOF comes at the end only
	g.wholly(t, 0, 0, 50)
	if len(g.trouble) != 3 || !job.IsAway(g.trouble[0]) {
		t.Errorf("troubles: %v, want three that say that the broker is away", g.trouble)
	}
}
