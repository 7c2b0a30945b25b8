package kafka_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/protocol"
)

// fakeCluster is one broker with the topic t. A code that answer returns is its answer
// to a request that stores; 0: it stores.
func fakeCluster(t *testing.T, partitions int32, answer func(*kmsg.ProduceRequest) kafkago.Error) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		q := req.(*kmsg.ProduceRequest)
		code := answer(q)
		if code == 0 {
			return nil, nil, false
		}
		r := q.ResponseKind().(*kmsg.ProduceResponse)
		topic, partition := kmsg.NewProduceResponseTopic(), kmsg.NewProduceResponseTopicPartition()
		topic.Topic, partition.ErrorCode = "t", int16(code)
		topic.Partitions = append(topic.Partitions, partition)
		r.Topics = append(r.Topics, topic)
		return r, nil, true
	})
	return c
}

// Ten thousand lanes must not become ten thousand small requests.
func TestLanesJoinRequests(t *testing.T) {
	t.Parallel()
	const lanes = 500
	var requests atomic.Int32
	c := fakeCluster(t, 4, func(*kmsg.ProduceRequest) kafkago.Error { requests.Add(1); return 0 })
	var p flushertest.Process
	var all []*kafka.Flusher
	for i := range lanes {
		key := protocol.Key{Project: "shop", Logstore: fmt.Sprint("store-", i), Config: "c"}
		all = append(all, open(t, &p, key, map[string]any{"brokers": []any{c.ListenAddrs()[0]}, "topic": "t"}))
	}
	var wg sync.WaitGroup
	began := make(chan struct{})
	for i, f := range all {
		b := batchOf(t, group(fmt.Sprint(i)))
		wg.Go(func() {
			<-began
			if err := f.FlushBatch(t.Context(), b); err != nil {
				t.Error(err)
			}
		})
	}
	close(began)
	wg.Wait()
	if n := requests.Load(); n > lanes/5 {
		t.Errorf("%d lanes with a group each made %d requests", lanes, n)
	}
	if n := p.Metric("records_total"); n != lanes {
		t.Errorf("records_total is %d, want %d", n, lanes)
	}
}

// Every answer that a broker may give to a request that stores has its class.
func TestAnswers(t *testing.T) {
	t.Parallel()
	var code atomic.Int32
	c := fakeCluster(t, 1, func(*kmsg.ProduceRequest) kafkago.Error { return kafkago.Error(code.Load()) })
	f := openAt(t, c.ListenAddrs(), "t", nil)
	for want, codes := range map[flushers.Class][]kafkago.Error{
		flushers.ClassNone: {0},
		flushers.ClassRetryAfter: {
			kafkago.LeaderNotAvailable, kafkago.NotLeaderForPartition, kafkago.UnknownTopicOrPartition, kafkago.FencedLeaderEpoch,
			kafkago.UnknownLeaderEpoch, kafkago.ReplicaNotAvailable, kafkago.NetworkException, kafkago.RequestTimedOut,
			kafkago.NotEnoughReplicas, kafkago.NotEnoughReplicasAfterAppend, kafkago.KafkaStorageError, kafkago.BrokerNotAvailable,
			kafkago.ThrottlingQuotaExceeded,
		},
		flushers.ClassMisconfigured: {
			kafkago.TopicAuthorizationFailed, kafkago.ClusterAuthorizationFailed, kafkago.UnsupportedForMessageFormat,
			kafkago.UnsupportedCompressionType, kafkago.InvalidTopic, kafkago.InvalidRequiredAcks, kafkago.InvalidTimestamp, kafkago.PolicyViolation,
		},
		flushers.ClassPermanent: {kafkago.InvalidRecord},
		flushers.ClassTooLarge:  {kafkago.MessageSizeTooLarge, kafkago.RecordListTooLarge},
		flushers.ClassRetry:     {kafkago.InvalidMessage, kafkago.Unknown, 9999}, // perhaps the data's fault: the worker finds out
	} {
		for _, answer := range codes {
			code.Store(int32(answer))
			for _, n := range []int{1, 3} {
				for _, got := range classes(flush(t, f, numbered("g", n)...), n) {
					if got != want {
						t.Errorf("code %d (%v): class %v, want %v", int(answer), answer, got, want)
					}
				}
			}
		}
	}
}

// A batch that is refused for one record is halved until that is alone: the others are
// stored.
func TestOnlyTheRecordToBlameIsRefused(t *testing.T) {
	t.Parallel()
	c := fakeCluster(t, 1, func(q *kmsg.ProduceRequest) kafkago.Error {
		if bytes.Contains(q.Topics[0].Partitions[0].Records, []byte("spoilt")) {
			return kafkago.InvalidRecord
		}
		return 0
	})
	groups := numbered("g", 50)
	groups[31] = group("spoilt")
	err := flush(t, openAt(t, c.ListenAddrs(), "t", nil), groups...)
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 || classes(err, 50)[31] != flushers.ClassPermanent {
		t.Errorf("got %v", err)
	}
}

// Nobody answers: the Flush ends in its time, the lane is unready for a moment and then
// ready again by itself.
func TestNoBroker(t *testing.T) {
	t.Parallel()
	c := fakeCluster(t, 1, func(*kmsg.ProduceRequest) kafkago.Error { return 0 })
	f := openAt(t, c.ListenAddrs(), "t", map[string]any{"timeout": "2s"})
	c.Close()
	wantClass(t, flush(t, f, group("a")), flushers.ClassRetryAfter)
	if f.IsReady("shop", "cart", 1) {
		t.Error("it is ready right after no broker answered")
	}
	for deadline := time.Now().Add(10 * time.Second); !f.IsReady("shop", "cart", 1); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is never ready again")
		}
	}
}
