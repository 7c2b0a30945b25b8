package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// reading is a Config for some brokers, with the group g.
func reading(brokers []string, topics ...string) *kafka.Config {
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = brokers, topics, "g"
	return &cfg
}

func connect(t *testing.T, cfg *kafka.Config) *wire.Client {
	t.Helper()
	client, err := kafka.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func fakeCluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var made atomic.Int32

// fresh is the name of a topic or group that the shared broker has not seen.
func fresh(name string) string { return fmt.Sprintf("%s-%d", name, made.Add(1)) }

func publisher(t *testing.T, brokers []string, topic string) *kafka.Sink {
	t.Helper()
	p, err := kafka.NewPublisher(t.Context(), connect(t, reading(brokers, topic)), topic)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stored reads all records of a topic, by partition.
func stored(t *testing.T, brokers []string, topic string) map[int32][]*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lag, err := kafka.GroupLag(ctx, connect(t, reading(brokers, topic)), reading(brokers, topic))
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, p := range lag.Topics[0].Partitions {
		want += p.End - p.First
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	got := map[int32][]*kgo.Record{}
	for want > 0 {
		fetches := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d records of %s are not read: %v", want, topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got[r.Partition] = append(got[r.Partition], r)
			want--
		})
	}
	return got
}

// one is the only partition that holds anything.
func one(t *testing.T, got map[int32][]*kgo.Record) []*kgo.Record {
	t.Helper()
	if len(got) != 1 {
		t.Fatalf("%d partitions hold records, want one", len(got))
	}
	for _, rs := range got {
		return rs
	}
	return nil
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func numbered(n int) []queue.Message {
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i] = queue.Message{Value: fmt.Appendf(nil, "%d", i)}
	}
	return ms
}

func inOrder(t *testing.T, rs []*kgo.Record, n int) {
	t.Helper()
	if len(rs) != n {
		t.Fatalf("%d records, want %d", len(rs), n)
	}
	for i, r := range rs {
		if string(r.Value) != fmt.Sprint(i) {
			t.Fatalf("record %d is %q", i, r.Value)
		}
	}
}

func TestPutKeepsOrderAndBytes(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("put-order")
	b.CreateTopic(t, topic, 3, 1, nil)
	p := publisher(t, b.Bootstrap(), topic)
	ms := numbered(2500)
	for i := range ms {
		ms[i].Headers = []queue.Header{{Key: "X-Mixed-Case", Value: fmt.Sprint(i)}, {Key: "twice", Value: "a"}, {Key: "twice", Value: "\x00\xff"}}
	}
	if errs := p.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs[0])
	}
	rs := one(t, stored(t, b.Bootstrap(), topic))
	inOrder(t, rs, len(ms))
	for i, r := range rs {
		want := []kgo.RecordHeader{{Key: "X-Mixed-Case", Value: fmt.Append(nil, i)}, {Key: "twice", Value: []byte("a")}, {Key: "twice", Value: []byte("\x00\xff")}}
		if diff := cmp.Diff(want, r.Headers); diff != "" || r.Key != nil {
			t.Fatalf("record %d: key %q, headers (-want +got):\n%s", i, r.Key, diff)
		}
		if age := time.Since(r.Timestamp); age < 0 || age > time.Minute {
			t.Fatalf("record %d has the time %v", i, r.Timestamp)
		}
	}
	for range 2 { // those of other puts lie elsewhere
		if errs := p.Put(t.Context(), numbered(1)); errs != nil {
			t.Fatal(errs[0])
		}
	}
	if got := stored(t, b.Bootstrap(), topic); len(got) != 3 {
		t.Errorf("%d partitions hold records after three puts, want 3", len(got))
	}
}

func TestNothingIsNotEmpty(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("put-nothing")
	b.CreateTopic(t, topic, 1, 1, nil)
	p := publisher(t, b.Bootstrap(), topic)
	if errs := p.Put(t.Context(), []queue.Message{{}, {Value: []byte{}, Key: []byte{}}, {Value: []byte("v"), Key: []byte("k")}}); errs != nil {
		t.Fatal(errs[0])
	}
	rs := one(t, stored(t, b.Bootstrap(), topic))
	if rs[0].Value != nil || rs[0].Key != nil {
		t.Errorf("null came back as %v, %v", rs[0].Key, rs[0].Value)
	}
	if rs[1].Value == nil || rs[1].Key == nil || len(rs[1].Value)+len(rs[1].Key) > 0 {
		t.Errorf("empty came back as %v, %v", rs[1].Key, rs[1].Value)
	}
	if string(rs[2].Key) != "k" || string(rs[2].Value) != "v" {
		t.Errorf("came back as %q, %q", rs[2].Key, rs[2].Value)
	}
	if errs := p.Put(t.Context(), nil); errs != nil {
		t.Errorf("putting nothing: %v", errs)
	}
}

func TestAKeyGoesWhereOtherClientsPutIt(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(7, "ours", "theirs"))
	var ms []queue.Message
	var rs []*kgo.Record
	for i := range 300 {
		key := noise(byte(i), i%23)
		value := fmt.Append(nil, i)
		ms = append(ms, queue.Message{Key: key, Value: value})
		rs = append(rs, &kgo.Record{Topic: "theirs", Key: key, Value: value})
	}
	if errs := publisher(t, b.ListenAddrs(), "ours").Put(t.Context(), ms); errs != nil {
		t.Fatal(errs[0])
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.ListenAddrs()...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(places(stored(t, b.ListenAddrs(), "theirs")), places(stored(t, b.ListenAddrs(), "ours"))); diff != "" {
		t.Errorf("partitions by message (-theirs +ours):\n%s", diff)
	}
}

func places(got map[int32][]*kgo.Record) map[string]int32 {
	at := map[string]int32{}
	for partition, rs := range got {
		for _, r := range rs {
			at[string(r.Value)] = partition
		}
	}
	return at
}

func TestPutWaitsForAllReplicas(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	var requests, others atomic.Int32
	b.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		requests.Add(1)
		if req.(*kmsg.ProduceRequest).Acks != -1 {
			others.Add(1)
		}
		return nil, nil, false
	})
	if errs := publisher(t, b.ListenAddrs(), "logs").Put(t.Context(), numbered(10)); errs != nil {
		t.Fatal(errs[0])
	}
	if requests.Load() == 0 || others.Load() > 0 {
		t.Errorf("%d of %d requests did not ask for all replicas in sync", others.Load(), requests.Load())
	}
}

// What passes by itself is tried again, and nothing overtakes it.
func TestWhatPassesIsTriedAgainInOrder(t *testing.T) {
	t.Parallel()
	for _, err := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.NotEnoughReplicas, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition,
	} {
		t.Run(err.Message, func(t *testing.T) {
			t.Parallel()
			b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
			p := publisher(t, b.ListenAddrs(), "logs")
			var last kmsg.Request // it is asked several times about one request
			n := 0
			fault := b.Fault(kfake.Fault{
				Keys: []kmsg.Key{kmsg.Produce}, Topic: "logs", Err: err, Count: -1,
				When: func(req kmsg.Request) bool {
					if req != last {
						last = req
						n++
					}
					return n%3 != 0 // every third succeeds
				},
			})
			defer fault.Remove()
			if errs := p.Put(t.Context(), numbered(3000)); errs != nil { // three batches
				t.Fatal(errs[0])
			}
			inOrder(t, one(t, stored(t, b.ListenAddrs(), "logs")), 3000)
			if fault.Hits() < 6 {
				t.Errorf("the fault fired %d times", fault.Hits())
			}
		})
	}
}

func TestPutFollowsTheLeader(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(1, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	ms := numbered(10_000)
	done := make(chan struct{})
	var moving sync.WaitGroup
	moving.Go(func() {
		for node := int32(0); ; node = (node + 1) % 3 {
			if err := b.MoveTopicPartition("logs", 0, node); err != nil {
				t.Error(err)
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	for batch := range slices.Chunk(ms, 500) {
		if errs := p.Put(t.Context(), batch); errs != nil {
			t.Fatal(errs[0])
		}
	}
	close(done)
	moving.Wait()
	inOrder(t, one(t, stored(t, b.ListenAddrs(), "logs")), len(ms))
}

// A batch without an answer may be stored, and is stored twice when it was.
func TestALostAnswerIsAskedForAgain(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "logs", Err: kerr.RequestTimedOut, Count: 1}) // and stored all the same
	if errs := p.Put(t.Context(), numbered(2)); errs != nil {
		t.Fatal(errs[0])
	}
	var got []string
	for _, r := range one(t, stored(t, b.ListenAddrs(), "logs")) {
		got = append(got, string(r.Value))
	}
	if diff := cmp.Diff([]string{"0", "1", "0", "1"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNoAnswerIsATimeoutThatSaysSo(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	b.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		return nil, errors.New("cut"), true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	errs := p.Put(ctx, numbered(2))
	if len(errs) != 2 {
		t.Fatalf("%d errors", len(errs))
	}
	for _, err := range errs {
		var timeout interface{ Timeout() bool }
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("no timeout: %v", err)
		}
		wantAll(t, err, "kafka topic logs", "partition 0", b.ListenAddrs()[0], "gave up after", "may have been stored")
	}
}

func TestATopicWithoutLeaderIsNoTimeout(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	fault := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "logs", Err: kerr.NotLeaderForPartition, Count: -1})
	defer fault.Remove()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	errs := p.Put(ctx, numbered(1))
	if len(errs) != 1 {
		t.Fatalf("%d errors", len(errs))
	}
	wantAll(t, errs[0], "kafka topic logs", "partition 0", b.ListenAddrs()[0], "gave up after")
	if strings.Contains(errs[0].Error(), "may have been stored") {
		t.Errorf("nobody can have stored it: %v", errs[0])
	}
}

func wantAll(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that names %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v\ndoes not say %q", err, w)
		}
	}
}

// The broker refuses a whole batch for one record; only that one fails.
func TestOnlyWhatIsRefusedFails(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("put-compacted")
	b.CreateTopic(t, topic, 1, 1, map[string]string{"cleanup.policy": "compact"})
	p := publisher(t, b.Bootstrap(), topic)
	ms := numbered(40)
	for i := range ms {
		if i != 7 && i != 23 { // a compacted topic refuses what has no key
			ms[i].Key = fmt.Append(nil, i)
		}
	}
	errs := p.Put(t.Context(), ms)
	if len(errs) != len(ms) {
		t.Fatalf("%d errors", len(errs))
	}
	for i, err := range errs {
		if bad := i == 7 || i == 23; bad != (err != nil) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if !errors.Is(errs[7], kafkago.InvalidRecord) {
		t.Errorf("refused as %v", errs[7])
	}
	wantAll(t, errs[7], topic, "partition 0", b.Addr())
	var got []int
	for _, r := range one(t, stored(t, b.Bootstrap(), topic)) {
		var n int
		if _, err := fmt.Sscan(string(r.Value), &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	if len(got) != 38 || !slices.IsSorted(got) {
		t.Errorf("stored %v", got)
	}
}

func TestAPublisherRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("put-large")
	b.CreateTopic(t, topic, 1, 1, map[string]string{"max.message.bytes": "100000"})
	p := publisher(t, b.Bootstrap(), topic)
	if p.MaxMessage() != 100000 {
		t.Errorf("takes %d bytes", p.MaxMessage())
	}
	// 100 bytes are more than the framing of a message without headers.
	fits := queue.Message{Value: noise(1, p.MaxMessage()-100)}
	errs := p.Put(t.Context(), []queue.Message{fits, {Value: noise(2, 100_000)}, fits})
	if len(errs) != 3 || errs[0] != nil || errs[1] == nil || errs[2] != nil {
		t.Fatalf("errors %v, want only the second refused", errs)
	}
	wantAll(t, errs[1], topic, "100000", "max.message.bytes", "kafka-configs.sh")
	if rs := one(t, stored(t, b.Bootstrap(), topic)); len(rs) != 2 || !bytes.Equal(rs[1].Value, fits.Value) {
		t.Errorf("%d stored", len(rs))
	}
}

// A limit that was lowered meanwhile: what still fits is stored all the same.
func TestALimitThatFallsIsLearned(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("put-falls")
	b.CreateTopic(t, topic, 1, 1, nil)
	p := publisher(t, b.Bootstrap(), topic)
	b.SetTopic(t, topic, map[string]string{"max.message.bytes": "20000"})
	for deadline := time.Now().Add(20 * time.Second); ; { // until the broker obeys
		other := publisher(t, b.Bootstrap(), topic)
		if other.Put(t.Context(), []queue.Message{{Value: noise(0, 30_000)}}) != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the limit has not fallen")
		}
	}
	before := len(stored(t, b.Bootstrap(), topic)[0])
	var ms []queue.Message
	for i := range 50 {
		ms = append(ms, queue.Message{Value: noise(byte(i), 5000)})
	}
	ms[30].Value = noise(0, 30_000)
	errs := p.Put(t.Context(), ms)
	for i, err := range errs {
		if (i == 30) != (err != nil) {
			t.Errorf("message %d: %v", i, err)
		}
	}
	if len(errs) == 0 || !errors.Is(errs[30], kafkago.MessageSizeTooLarge) {
		t.Errorf("message 30: %v", errs)
	}
	if got := one(t, stored(t, b.Bootstrap(), topic)); len(got) != before+49 {
		t.Errorf("%d stored", len(got))
	}
	if p.MaxMessage() != 20000 {
		t.Errorf("takes %d bytes", p.MaxMessage())
	}
}

func TestPutsSideBySideKeepTheirOrder(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(3, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	var wg sync.WaitGroup
	for who := range 6 {
		wg.Go(func() {
			ms := numbered(400)
			for i := range ms {
				ms[i].Headers = []queue.Header{{Key: "who", Value: fmt.Sprint(who)}}
			}
			if errs := p.Put(t.Context(), ms); errs != nil {
				t.Error(errs[0])
			}
		})
	}
	wg.Wait()
	next := map[string]int{}
	for _, rs := range stored(t, b.ListenAddrs(), "logs") {
		for _, r := range rs {
			who := string(r.Headers[0].Value)
			if string(r.Value) != fmt.Sprint(next[who]) {
				t.Fatalf("%q of %s where %d was to come", r.Value, who, next[who])
			}
			next[who]++
		}
	}
	for who, n := range next {
		if n != 400 {
			t.Errorf("%d of %s", n, who)
		}
	}
	if len(next) != 6 {
		t.Errorf("%d writers", len(next))
	}
}

func TestAPutEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	p := publisher(t, b.ListenAddrs(), "logs")
	hold, asked := make(chan struct{}), make(chan struct{}, 1)
	t.Cleanup(func() { close(hold) })
	b.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		asked <- struct{}{}
		<-hold
		return nil, errors.New("cut"), true
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan []error, 2)
	go func() { ended <- p.Put(ctx, numbered(1)) }()
	<-asked
	go func() { ended <- p.Put(ctx, numbered(1)) }() // waits behind it
	cancel()
	for range 2 {
		select {
		case errs := <-ended:
			if len(errs) != 1 || errs[0] == nil {
				t.Errorf("errors %v", errs)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a put went on after its context had ended")
		}
	}
}

func TestAPublisherToNowhere(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t)
	_, err := kafka.NewPublisher(t.Context(), connect(t, reading(b.ListenAddrs())), "nowhere")
	var missing *queue.MissingError
	if !errors.As(err, &missing) || missing.Name != "nowhere" {
		t.Fatalf("got %v, want a queue.MissingError", err)
	}
	wantAll(t, err, "topic nowhere", "flushline setup -c FILE")
}
