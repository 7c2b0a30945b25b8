package kafkatraps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/test/kafkabroker"
)

// join joins a group as a member that consumes the test's topic. A member that
// is not yet known is told its id and asks again.
func join(t *testing.T, c *kafka.Client, group, member string, owned map[string][]int) (*kafka.JoinGroupResponse, error) {
	t.Helper()
	kafkabroker.Shared(t).Group(t, group) // its coordinator serves: the library would ignore that there is none yet
	for {
		resp, err := c.JoinGroup(within(t, 20*time.Second), &kafka.JoinGroupRequest{
			GroupID: group, SessionTimeout: 6 * time.Second, RebalanceTimeout: 6 * time.Second, MemberID: member, ProtocolType: "consumer",
			Protocols: []kafka.GroupProtocol{{Name: "range", Metadata: kafka.GroupProtocolSubscription{Topics: []string{t.Name()}, OwnedPartitions: owned}}},
		})
		if err != nil || !errors.Is(resp.Error, kafka.MemberIDRequired) {
			return resp, err
		}
		member = resp.MemberID
	}
}

func joined(t *testing.T, c *kafka.Client, group string) *kafka.JoinGroupResponse {
	t.Helper()
	resp := must[*kafka.JoinGroupResponse](t)(join(t, c, group, "", nil))
	if resp.Error != nil {
		t.Fatal(resp.Error)
	}
	return resp
}

// Heartbeat reads the error as the time throttled: a rebalance shows as 27 ms.
// Hence heartbeats are read here.
func TestHeartbeatTakesErrorsForThrottling(t *testing.T) {
	b, group := topicOf(t, 1, 0, nil)
	c := client(t, b, nil)
	me := joined(t, c, group)
	resp, err := c.Heartbeat(within(t, 20*time.Second), &kafka.HeartbeatRequest{GroupID: group, MemberID: me.MemberID, GenerationID: int32(me.GenerationID) + 1})
	if err != nil || resp.Error != nil || resp.Throttle != time.Duration(kafka.IllegalGeneration)*time.Millisecond {
		t.Errorf("with a wrong generation: %+v, %v; it was no error and a throttle of %d ms", resp, err, int(kafka.IllegalGeneration))
	}
}

// SyncGroup decodes an assignment before it looks at the error, so that every
// error is an unexpected end. Hence its answer is read here.
func TestSyncGroupHidesErrors(t *testing.T) {
	b, group := topicOf(t, 1, 0, nil)
	c := client(t, b, nil)
	me := joined(t, c, group)
	_, err := c.SyncGroup(within(t, 20*time.Second), &kafka.SyncGroupRequest{GroupID: group, MemberID: me.MemberID, GenerationID: me.GenerationID + 1, ProtocolType: "consumer", ProtocolName: "range"})
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, kafka.IllegalGeneration) {
		t.Errorf("with a wrong generation: %v", err)
	}
}

// JoinGroup takes every member for one of the newest kind: a single older one in
// the group and no plan can be made. Hence subscriptions are read by their version.
func TestJoinGroupFailsOnAnOlderMember(t *testing.T) {
	b, group := topicOf(t, 1, 0, nil)
	c := client(t, b, nil)
	me := joined(t, c, group) // the first leads
	older := make(chan error, 1)
	go func() { older <- joinAsVersion0(t.Context(), b, group, t.Name()) }()
	// The coordinator holds our answer back until the older one's join has come.
	for {
		for within := time.Now().Add(20 * time.Second); len(b.Group(t, group).Members) < 2; {
			if time.Now().After(within) {
				t.Fatal("the older member did not join")
			}
		}
		resp, err := join(t, c, group, me.MemberID, nil)
		if err != nil {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("with an older member: %v", err)
			}
			break
		}
		if len(resp.Members) == 2 {
			t.Errorf("both members were read: %+v", resp.Members)
			break
		}
	}
	if err := <-older; err != nil {
		t.Error(err)
	}
}

func joinAsVersion0(ctx context.Context, b *kafkabroker.Cluster, group, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer cl.Close()
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 0, []string{topic}
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", meta.AppendTo(nil)
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType, req.Protocols = group, "consumer", append(req.Protocols, p)
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 6000, 6000
	for {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			return err
		}
		if kafka.Error(resp.ErrorCode) != kafka.MemberIDRequired {
			if resp.ErrorCode != 0 {
				return kafka.Error(resp.ErrorCode)
			}
			return nil
		}
		req.MemberID = resp.MemberID
	}
}

// JoinGroup writes what is owned in the order of a map, and a leader whose bytes
// changed starts a rebalance. Hence the order is fixed here.
func TestJoinGroupWritesWhatIsOwnedInAnyOrder(t *testing.T) {
	b, group := topicOf(t, 1, 0, nil)
	owned := make(map[string][]int)
	for i := range 6 {
		owned[fmt.Sprintf("owned-%d", i)] = []int{0}
	}
	var mu sync.Mutex
	orders := make(map[string]bool)
	c := client(t, b, func(c net.Conn) net.Conn {
		return &tapped{Conn: c, written: func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			if bytes.Contains(p, []byte("owned-0")) {
				orders[order(p)] = true
			}
		}}
	})
	me := joined(t, c, group)
	for range 20 {
		if _, err := join(t, c, group, me.MemberID, owned); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(orders) < 2 {
		t.Errorf("20 joins wrote the same bytes: %v", orders)
	}
}

// order names the owned topics in the order in which a request has them.
func order(p []byte) string {
	var names []string
	for i := range 6 {
		names = append(names, fmt.Sprintf("owned-%d", i))
	}
	slices.SortFunc(names, func(a, b string) int { return bytes.Index(p, []byte(a)) - bytes.Index(p, []byte(b)) })
	return strings.Join(names, " ")
}

// OffsetCommit says leader epoch 0, which makes other clients rewind after a
// leader change, and loses metadata whose length does not fit its field. Hence
// commits are written here.
func TestOffsetCommitSaysEpochZeroAndLosesMetadata(t *testing.T) {
	b, topic := topicOf(t, 1, 5, nil)
	commit := func(group, metadata string) error {
		resp := must[*kafka.OffsetCommitResponse](t)(client(t, b, nil).OffsetCommit(within(t, 20*time.Second), &kafka.OffsetCommitRequest{
			GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 5, Metadata: metadata}}},
		}))
		return resp.Topics[topic][0].Error
	}
	if err := commit(topic, "kept"); err != nil {
		t.Fatal(err)
	}
	if got := committed(t, b, topic, topic); got.LeaderEpoch != 0 || *got.Metadata != "kept" {
		t.Errorf("the group has epoch %d and %q; -1 would say that it is not known", got.LeaderEpoch, *got.Metadata)
	}
	if err := commit("long-"+topic, strings.Repeat("x", 1<<15)); err != nil {
		t.Errorf("with 32 KiB: %v; it was no error", err)
	} else if got := committed(t, b, "long-"+topic, topic); got.Metadata != nil && *got.Metadata != "" {
		t.Errorf("with 32 KiB: %d bytes are left; it was none", len(*got.Metadata))
	}
}

// committed is all that a group has for partition 0.
func committed(t *testing.T, b *kafkabroker.Cluster, group, topic string) kmsg.OffsetFetchResponseGroupTopicPartition {
	t.Helper()
	cl := b.Client(t)
	defer cl.Close()
	asked := kmsg.NewOffsetFetchRequestGroupTopic()
	asked.Topic, asked.Partitions = topic, []int32{0}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = group, append(g.Topics, asked)
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = append(req.Groups, g)
	resp := must[*kmsg.OffsetFetchResponse](t)(req.RequestWith(within(t, 20*time.Second), cl))
	return resp.Groups[0].Topics[0].Partitions[0]
}

// LeaveGroup panics when no member is named, and has a member's error where
// nobody looks for it. Hence leaving is asked here.
func TestLeaveGroupPanicsAndHidesErrors(t *testing.T) {
	b, group := topicOf(t, 1, 0, nil)
	c := client(t, b, nil)
	joined(t, c, group)
	resp := must[*kafka.LeaveGroupResponse](t)(c.LeaveGroup(within(t, 20*time.Second), &kafka.LeaveGroupRequest{GroupID: group, Members: []kafka.LeaveGroupRequestMember{{ID: "nobody"}}}))
	if resp.Error != nil || !errors.Is(resp.Members[0].Error, kafka.UnknownMemberId) {
		t.Errorf("a stranger leaves: %v, of the member %v; it was only of the member", resp.Error, resp.Members[0].Error)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic without members")
		}
	}()
	_, _ = c.LeaveGroup(within(t, 20*time.Second), &kafka.LeaveGroupRequest{GroupID: group})
}

// A cancelled request gives up waiting, but goes on holding its connection until
// the broker answers. Hence every call has a deadline.
func TestACancelledRequestKeepsItsConnection(t *testing.T) {
	b, topic := topicOf(t, 1, 0, nil)
	var mu sync.Mutex
	open := make(map[net.Conn]bool)
	c := client(t, b, func(c net.Conn) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		open[c] = true
		return &tapped{Conn: c}
	})
	dialled := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(open)
	}
	ask(t, c, topic, 0)
	before := dialled()
	for range 3 {
		ask(t, c, topic, 0)
	}
	answered := dialled() - before // one may be for what the pool asks by itself
	before = dialled()
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		_, err := c.Fetch(ctx, &kafka.FetchRequest{Topic: topic, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 20 * time.Second})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if cancelled := dialled() - before; answered > 1 || cancelled < 3 {
		t.Errorf("new connections of three answered requests: %d, of five cancelled ones: %d", answered, cancelled)
	}
}
