package kafkatraps

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/test/kafkabroker"
)

const session = 2 * time.Second

func consumerGroup(t *testing.T, b *kafkabroker.Cluster, topic string, dialer *kafka.Dialer) *kafka.ConsumerGroup {
	t.Helper()
	g := must[*kafka.ConsumerGroup](t)(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: "group-of-" + topic, Brokers: b.Bootstrap(), Topics: []string{topic}, Dialer: dialer,
		HeartbeatInterval: 100 * time.Millisecond, SessionTimeout: session, RebalanceTimeout: 4 * session, JoinGroupBackoff: 100 * time.Millisecond,
	}))
	t.Cleanup(func() { g.Close() })
	return g
}

// generation is the next one, with a function that runs until it ends.
func generation(t *testing.T, g *kafka.ConsumerGroup) (*kafka.Generation, <-chan struct{}) {
	t.Helper()
	gen := next(t, g)
	ended := make(chan struct{})
	gen.Start(func(ctx context.Context) {
		<-ctx.Done()
		close(ended)
	})
	return gen, ended
}

// next is a group's next generation; errors on the way to it are normal.
func next(t *testing.T, g *kafka.ConsumerGroup) *kafka.Generation {
	t.Helper()
	for ctx := within(t, 30*time.Second); ; {
		gen, err := g.Next(ctx)
		if err == nil {
			return gen
		}
		if ctx.Err() != nil {
			t.Fatalf("no generation: %v", err)
		}
	}
}

// follow hands out a group's generations as they come.
func follow(ctx context.Context, g *kafka.ConsumerGroup) <-chan *kafka.Generation {
	all := make(chan *kafka.Generation)
	go func() {
		for ctx.Err() == nil {
			gen, err := g.Next(ctx)
			if err != nil {
				continue // a rebalance in between is one
			}
			select {
			case all <- gen:
			case <-ctx.Done():
				return
			}
		}
	}()
	return all
}

// two generations of one group, each with one of two partitions.
func two(t *testing.T, topic string, b *kafkabroker.Cluster) (one, other *kafka.Generation) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	first, second := follow(ctx, consumerGroup(t, b, topic, nil)), follow(ctx, consumerGroup(t, b, topic, nil))
	for one == nil || other == nil || one.ID != other.ID {
		select {
		case one = <-first:
		case other = <-second:
		case <-ctx.Done():
			t.Fatal("the two did not come into one generation")
		}
	}
	return one, other
}

func partitionsOf(gen *kafka.Generation, topic string) []int {
	var all []int
	for _, a := range gen.Assignments[topic] {
		all = append(all, a.ID)
	}
	return all
}

// A member of the current generation may commit for a partition that is another
// member's, backwards too. Hence a lease is asked before anything is sent.
func TestAMemberMayCommitWhatItDoesNotOwn(t *testing.T) {
	b, topic := topicOf(t, 2, 0, nil)
	one, other := two(t, topic, b)
	theirs := partitionsOf(other, topic)
	if len(theirs) != 1 || len(partitionsOf(one, topic)) != 1 || one.ID != other.ID {
		t.Fatalf("partitions %v and %v of generations %d and %d", partitionsOf(one, topic), theirs, one.ID, other.ID)
	}
	if err := other.CommitOffsets(map[string]map[int]int64{topic: {theirs[0]: 20}}); err != nil {
		t.Fatal(err)
	}
	err := one.CommitOffsets(map[string]map[int]int64{topic: {theirs[0]: 7}})
	if offset := b.Committed(t, "group-of-"+topic, topic)[int32(theirs[0])].Offset; err != nil || offset != 7 {
		t.Errorf("a stranger's commit: %v, the group has %d; it went back to 7 without an error", err, offset)
	}
}

// What the broker does fence: an old generation and, in a group that has members,
// a commit from outside. Both mean that the partition may be somebody else's.
func TestTheBrokerFencesGenerationsOnly(t *testing.T) {
	b, topic := topicOf(t, 2, 0, nil)
	gen, _ := generation(t, consumerGroup(t, b, topic, nil))
	commit := func(group string, generation int, member string) error {
		resp := must[*kafka.OffsetCommitResponse](t)(client(t, b, nil).OffsetCommit(within(t, 20*time.Second), &kafka.OffsetCommitRequest{
			GroupID: group, GenerationID: generation, MemberID: member,
			Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 1}}},
		}))
		return resp.Topics[topic][0].Error
	}
	if err := commit(gen.GroupID, int(gen.ID)-1, gen.MemberID); !errors.Is(err, kafka.IllegalGeneration) {
		t.Errorf("of an old generation: %v", err)
	}
	if err := commit(gen.GroupID, -1, ""); !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("from outside, while the group has members: %v", err)
	}
	if err := commit("empty-"+topic, -1, ""); err != nil {
		t.Errorf("from outside, into an empty group: %v", err)
	}
}

// A generation stops its heartbeats the moment it ends, so a drain longer than the
// session loses its last commit. Hence heartbeats go on here while a lease drains.
func TestADrainWithoutHeartbeatsLosesItsLastCommit(t *testing.T) {
	b, topic := topicOf(t, 2, 0, nil)
	gen := next(t, consumerGroup(t, b, topic, nil))
	last := make(chan error, 1)
	gen.Start(func(ctx context.Context) {
		<-ctx.Done()
		drained := time.NewTimer(2 * session)
		defer drained.Stop()
		<-drained.C
		last <- gen.CommitOffsets(map[string]map[int]int64{topic: {0: 20, 1: 20}})
	})
	peer, _ := generation(t, consumerGroup(t, b, topic, nil)) // its join ends the first one's
	if got := partitionsOf(peer, topic); len(got) != 2 {
		t.Errorf("the peer was given %v before the drain ended; it was all", got)
	}
	if err := <-last; !errors.Is(err, kafka.UnknownMemberId) {
		t.Errorf("the last commit: %v", err)
	}
}

// One cut connection ends a generation, and with it everybody's consumption.
// Hence a coordinator that is away takes nothing here.
func TestACutConnectionEndsAGeneration(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	var mu sync.Mutex
	var conns []net.Conn
	dialer := &kafka.Dialer{DialFunc: dial(func(c net.Conn) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, c)
		return c
	})}
	g := consumerGroup(t, b, topic, dialer)
	gen, ended := generation(t, g)
	mu.Lock()
	for _, c := range conns {
		c.Close()
	}
	mu.Unlock()
	select {
	case <-ended:
	case <-within(t, 20*time.Second).Done():
		t.Fatal("the generation outlived its connection")
	}
	if after, _ := generation(t, g); after.ID == gen.ID {
		t.Errorf("generation %d again", after.ID)
	}
}
