package kafka

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// world makes metadata: partitions of each topic, all led by broker 1.
func world(counts map[string]int) *wire.Cluster {
	c := &wire.Cluster{
		ID:      "c",
		Brokers: map[int32]wire.Broker{1: {ID: 1, Host: "k1", Port: 9092}, 2: {ID: 2, Host: "k2", Port: 9092}},
		Topics:  map[string]wire.Topic{},
	}
	for name, n := range counts {
		t := wire.Topic{Name: name}
		for i := range n {
			t.Partitions = append(t.Partitions, wire.Partition{ID: int32(i), Leader: 1, LeaderEpoch: 4})
		}
		if n == 0 {
			t.Err = kafkago.UnknownTopicOrPartition
		}
		c.Topics[name] = t
	}
	return c
}

func TestAtlasFollowsTopics(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	a := newAtlas([]string{"logs", "later"}, nil, isCompanion)
	steps := []struct {
		name   string
		counts map[string]int
		after  time.Duration
		want   change
		away   []string
	}{
		{"one is there", map[string]int{"logs": 2, "later": 0}, 0, change{counts: true}, []string{"later"}},
		{"the other appears", map[string]int{"logs": 2, "later": 1}, time.Second, change{counts: true, returned: []string{"later"}}, nil},
		{"nothing changes", map[string]int{"logs": 2, "later": 1}, time.Second, change{}, nil},
		{"a partition more", map[string]int{"logs": 3, "later": 1}, time.Second, change{counts: true}, nil},
		{"one is away for a moment", map[string]int{"logs": 0, "later": 1}, time.Second, change{vanished: []string{"logs"}}, []string{"logs"}},
		{"and is back", map[string]int{"logs": 3, "later": 1}, time.Second, change{returned: []string{"logs"}}, nil},
		{"one is not even mentioned", map[string]int{"later": 1}, time.Second, change{vanished: []string{"logs"}}, []string{"logs"}},
		{"for so long that it is gone", map[string]int{"later": 1}, goneAfter, change{counts: true}, []string{"logs"}},
		{"and made anew", map[string]int{"logs": 1, "later": 1}, time.Second, change{counts: true, returned: []string{"logs"}}, nil},
	}
	for _, s := range steps {
		now = now.Add(s.after)
		if diff := cmp.Diff(s.want, a.learn(world(s.counts), now), cmp.AllowUnexported(change{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.name, diff)
		}
		missing := a.missing()
		for _, name := range s.away {
			if _, ok := missing[name]; !ok || len(missing) != len(s.away) {
				t.Errorf("%s: missing %v, want %v", s.name, missing, s.away)
			}
		}
		if len(s.away) == 0 && len(missing) > 0 {
			t.Errorf("%s: missing %v", s.name, missing)
		}
	}
}

func TestAtlasReadsByPattern(t *testing.T) {
	t.Parallel()
	a := newAtlas(nil, regexp.MustCompile("^(?:logs.*)$"), isCompanion)
	ch := a.learn(world(map[string]int{"logs": 1, "logs-b": 2, "other": 1, "logs.g.dlq": 1, "logs.g.parked.shop.es": 1, "logs.h.dlq": 1, "logs.g.job.nightly": 3, "dlq": 1}), time.Unix(1, 0))
	if want := []string{"logs", "logs-b"}; !ch.topics || !cmp.Equal(a.subscription(), want) {
		t.Errorf("subscription %v (changed: %v), want %v", a.subscription(), ch.topics, want)
	}
	if a.ask() != nil {
		t.Errorf("asks for %v, want all topics", a.ask())
	}
}

// An epoch that went back is a partition that began anew.
func TestAtlasSeesEpochsGoBack(t *testing.T) {
	t.Parallel()
	a := newAtlas([]string{"logs"}, nil, isCompanion)
	c := world(map[string]int{"logs": 2})
	a.learn(c, time.Unix(1, 0))
	c.Topics["logs"].Partitions[1].LeaderEpoch = 0
	ch := a.learn(c, time.Unix(2, 0))
	if want := []wire.TopicPartition{{Topic: "logs", Partition: 1}}; !cmp.Equal(ch.reborn, want) {
		t.Errorf("reborn %v, want %v", ch.reborn, want)
	}
}

// A topic's id changes when it is made anew. Brokers that are behind still say the
// former one; some say none.
func TestAtlasKnowsTopicsByID(t *testing.T) {
	t.Parallel()
	a := newAtlas([]string{"logs"}, nil, isCompanion)
	now := time.Unix(1, 0)
	at := wire.TopicPartition{Topic: "logs"}
	said := func(id byte, leader int32) {
		c := world(map[string]int{"logs": 1})
		logs := c.Topics["logs"]
		logs.ID[0] = id
		logs.Partitions[0].Leader = leader
		c.Topics["logs"] = logs
		now = now.Add(time.Second)
		a.learn(c, now)
	}
	for i, step := range []struct {
		says    byte
		leader  int32
		id      byte
		follows int32 // broker that leads, as far as we know
	}{{0, 1, 0, 1}, {7, 1, 7, 1}, {0, 2, 7, 2}, {7, 1, 7, 1}, {8, 2, 8, 2}, {7, 1, 8, 2}, {8, 1, 8, 1}, {9, 2, 9, 2}, {7, 1, 9, 2}} {
		said(step.says, step.leader)
		if b, _ := a.leads(at); a.id("logs") != (topicID{step.id}) || b.ID != step.follows {
			t.Errorf("answer %d: topic %v led by %d, want %d and %d", i, a.id("logs"), b.ID, step.id, step.follows)
		}
	}
	for range 2 {
		now = now.Add(goneAfter)
		a.learn(world(map[string]int{}), now)
	}
	if len(a.ids) != 0 {
		t.Errorf("of a topic that is gone %v is kept", a.ids)
	}
}

func TestReplicaInTheSamePlace(t *testing.T) {
	t.Parallel()
	b := newStand(t)
	src := b.strand.src
	src.cfg.Rack = "here"
	c := world(map[string]int{"logs": 4})
	src.atlas.learn(c, time.Unix(1, 0))
	near := &leader{src: src, addr: "k2:9092", wake: make(chan struct{}, 1)}
	src.leaders = map[int32]*leader{1: b.leader, 2: near} // so that no loop begins
	b.answer(wire.FetchedPartition{HighWatermark: 20, LastStable: 20, PreferredReplica: 2})
	if b.strand.leader != near || len(near.strands) != 1 {
		t.Fatalf("the strand is not read from the replica that the leader named")
	}
	b.leader = near
	b.answer(wire.FetchedPartition{Err: kafkago.OffsetOutOfRange, HighWatermark: -1, LastStable: -1, PreferredReplica: -1})
	if b.strand.leader != src.leaders[1] || b.strand.next != 10 {
		t.Errorf("after an error of the replica the strand reads %s at %d, want the leader at 10", b.strand.leader.address(), b.strand.next)
	}
}
