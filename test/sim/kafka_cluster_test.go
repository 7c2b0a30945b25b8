package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/unpack"
	kwire "github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/pipenet"
)

const (
	kafkaTopic = "logs"
	kafkaGroup = "sim"
)

// cluster is a Kafka cluster in memory, on a network in memory.
type cluster struct {
	testing.TB
	*kfake.Cluster
	net   pipenet.Net
	ports map[int32]int // of the brokers, by node; one that is down keeps its own
	parts atomic.Int32  // of the topic

	writing chan struct{} // holds a token while somebody writes to the topic

	mu   sync.Mutex
	here []int32 // brokers that are up, sorted

	producer *kwire.Client // its network never fails, but brokers do
}

func newCluster(tb testing.TB, d *dice) *cluster {
	c := &cluster{TB: tb, ports: map[int32]int{}, writing: make(chan struct{}, 1)}
	c.parts.Store(int32(d.between(1, 6)))
	brokers := d.between(1, 3)
	var err error
	c.Cluster, err = kfake.NewCluster(
		kfake.NumBrokers(brokers), kfake.ListenFn(c.net.Listen), kfake.ClusterID("sim"),
		kfake.SeedTopics(c.partitions(), kafkaTopic), kfake.GroupMinSessionTimeout(time.Second),
	)
	if err != nil {
		tb.Fatal(err)
	}
	for node, addr := range c.ListenAddrs() {
		c.here = append(c.here, int32(node))
		c.ports[int32(node)] = portOf(tb, addr)
	}
	c.spread(d)
	// The answer that is full leaves out which transactions were aborted in the partition
	// at which it is; what each partition may have bounds it as well.
	c.ControlKey(int16(kmsg.Fetch), func(q kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		q.(*kmsg.FetchRequest).MaxBytes = 1 << 30
		return nil, nil, false
	})
	c.producer, err = kwire.NewClient(kwire.Config{Brokers: c.ListenAddrs(), ClientID: "producer", Dial: c.net.Host().DialContext})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c *cluster) partitions() int32 { return c.parts.Load() }

func portOf(tb testing.TB, addr string) int {
	_, port, err := net.SplitHostPort(addr)
	n, bad := strconv.Atoi(port)
	if err = errors.Join(err, bad); err != nil {
		tb.Fatal(err)
	}
	return n
}

func (c *cluster) addr(node int32) string { return fmt.Sprint("127.0.0.1:", c.ports[node]) }

// spread chooses all leaders by the dice: the cluster itself does it by chance.
func (c *cluster) spread(d *dice) {
	for p := range c.partitions() {
		c.lead(d, p)
	}
}

// lead has the dice choose a partition's leader and says whether it is another one.
func (c *cluster) lead(d *dice, p int32) (news bool) {
	node := pick(d, c.here...)
	news = c.LeaderFor(kafkaTopic, p) != node
	if err := c.MoveTopicPartition(kafkaTopic, p, node); err != nil {
		c.Errorf("couldn't move a leader: %v", err)
	}
	return news
}

// takeDown ends a broker, if another is left: others lead, and coordinate, in its place.
func (c *cluster) takeDown(d *dice) (node int32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.here) < 2 {
		return 0, false
	}
	node = pick(d, c.here...)
	if err := c.RemoveNode(node); err != nil {
		c.Errorf("couldn't remove a broker: %v", err)
		return 0, false
	}
	c.here = slices.DeleteFunc(c.here, func(n int32) bool { return n == node })
	c.net.CutPort(c.ports[node])
	c.spread(d)
	return node, true
}

// bringUp starts a broker where it was.
func (c *cluster) bringUp(d *dice, node int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, err := c.AddNode(node, c.ports[node]); err != nil {
		c.Errorf("couldn't add a broker: %v", err)
		return
	}
	c.here = append(c.here, node)
	slices.Sort(c.here)
	c.spread(d)
}

// move has other brokers lead partitions, and says of how many.
func (c *cluster) move(d *dice) (moved int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.partitions() {
		if d.one(2) && c.lead(d, p) {
			moved++
		}
	}
	return moved
}

// produce stores a message in a partition and returns its position. What a broker
// answers is not believed: the log says whether it was stored, as nobody else writes.
func (c *cluster) produce(ctx context.Context, p int32, m *queue.Message) (int64, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	next := c.PartitionInfo(kafkaTopic, p).HighWatermark
	r := kwire.Record{Key: m.Key, Value: m.Value, Headers: m.Headers}
	at := kwire.TopicPartition{Topic: kafkaTopic, Partition: p}
	for {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		stored, err := c.producer.Produce(call, c.addr(c.LeaderFor(kafkaTopic, p)), []kwire.Batch{{TopicPartition: at, Records: []kwire.Record{r}}})
		cancel()
		if err == nil {
			err = stored[at].Err
		}
		if c.PartitionInfo(kafkaTopic, p).HighWatermark > next {
			return next, nil
		}
		if e := sleep(ctx, 100*time.Millisecond); e != nil {
			return 0, errors.Join(e, err)
		}
	}
}

// up are the brokers that are up.
func (c *cluster) up() []int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.here)
}

// read is all that is in a topic.
func (c *cluster) read(topic string) ([]queue.Message, error) {
	var all []queue.Message
	var decoder record.Decoder
	var messages unpack.Messages
	for _, info := range c.PartitionInfos(topic) {
		for next := info.LogStartOffset; next < info.HighWatermark; {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			got, err := c.producer.Fetch(ctx, c.addr(info.Leader), &kwire.FetchRequest{
				MinBytes: 1, MaxBytes: 8 << 20,
				Partitions: []kwire.FetchPartition{{TopicPartition: kwire.TopicPartition{Topic: topic, Partition: info.Partition}, Offset: next, LeaderEpoch: -1, MaxBytes: 8 << 20}},
			})
			cancel()
			if err != nil {
				return nil, err
			}
			if len(got.Partitions) != 1 || got.Partitions[0].Err != nil {
				return nil, fmt.Errorf("couldn't read %s: %+v", topic, got.Partitions)
			}
			result := decoder.Decode(record.Set{Records: got.Partitions[0].Records, From: next}, func(r *record.Record) bool {
				m, _, _, _ := messages.Of(topic, info.Partition, r) // no dead letter here is too large, and its origin is of no interest
				all = append(all, m)
				return true
			})
			if result.Err != nil || result.Next == next {
				return nil, fmt.Errorf("couldn't read %s at %d: %w", topic, next, result.Err)
			}
			next = result.Next
		}
	}
	return all, nil
}

// stop ends everything that the cluster runs.
func (c *cluster) stop() {
	c.producer.Close()
	c.Close()
}
