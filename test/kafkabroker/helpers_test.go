package kafkabroker_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/test/kafkabroker"
)

func TestTopicsAndRecords(t *testing.T) {
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "records", 2, 0, map[string]string{"retention.ms": "-1"})
	c.Fill(t, "records", 2, 5)
	c.DeleteRecords(t, "records", 1, 3)
	if diff := cmp.Diff(map[int32]int64{0: 5, 1: 5}, c.Ends(t, "records")); diff != "" {
		t.Errorf("ends: %s", diff)
	}
	if diff := cmp.Diff(map[int32]int64{0: 0, 1: 3}, c.Starts(t, "records")); diff != "" {
		t.Errorf("starts: %s", diff)
	}
	c.AddPartitions(t, "records", 4)
	if ends := c.Ends(t, "records"); len(ends) != 4 {
		t.Errorf("after adding partitions: %v", ends)
	}
	c.SetTopic(t, "records", map[string]string{"retention.ms": "100000", "cleanup.policy": "compact"})
	c.SetTopic(t, "records", map[string]string{"cleanup.policy": ""})
	c.DeleteTopic(t, "records")
	c.CreateTopic(t, "records", 1, 0, nil)
	if diff := cmp.Diff(map[int32]int64{0: 0}, c.Ends(t, "records")); diff != "" {
		t.Errorf("ends of the new one: %s", diff)
	}
}

func TestTransactionsEndWithAMarker(t *testing.T) {
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "transactions", 1, 0, nil)
	c.Transact(t, "tx", true, kafkabroker.Record("transactions", 0, "committed"))
	c.Transact(t, "tx", false, kafkabroker.Record("transactions", 0, "aborted"))
	if diff := cmp.Diff(map[int32]int64{0: 4}, c.Ends(t, "transactions")); diff != "" {
		t.Errorf("two records and two markers: %s", diff)
	}
}

func TestGroups(t *testing.T) {
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "groups", 2, 0, nil)
	c.Fill(t, "groups", 2, 3)
	if g := c.Group(t, "g"); g.State != "Dead" || len(g.Members) != 0 {
		t.Errorf("before it exists: %+v", g)
	}
	cl := c.Client(t, kgo.ConsumerGroup("g"), kgo.ConsumeTopics("groups"), kgo.ClientID("me"), kgo.DisableAutoCommit())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for n := 0; n < 6; {
		f := cl.PollFetches(ctx)
		if err := f.Err(); err != nil {
			t.Fatal(err)
		}
		n += f.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	committed := c.Committed(t, "g", "groups")
	if committed[0].Offset != 3 || committed[1].Offset != 3 {
		t.Errorf("committed %+v", committed)
	}
	g := c.Group(t, "g")
	if g.State != "Stable" || len(g.Members) != 1 || g.Members[0].Client != "me" || !slices.Equal(g.Members[0].Assigned["groups"], []int32{0, 1}) {
		t.Errorf("with one member: %+v", g)
	}
	if id := c.Coordinator(t, "g"); id != 1 {
		t.Errorf("coordinator %d", id)
	}
}

func TestABrokerKeepsItsDataOverAKill(t *testing.T) {
	c := kafkabroker.Start(t, kafkabroker.Options{})
	c.CreateTopic(t, "kept", 1, 0, nil)
	c.Fill(t, "kept", 1, 10)
	n := c.Node(1)
	pid := n.PID()
	n.Kill()
	if n.Running() {
		t.Fatal("it runs after SIGKILL")
	}
	n.Restart(t)
	if n.PID() == pid {
		t.Error("the same process")
	}
	if ends := c.Ends(t, "kept"); ends[0] != 10 {
		t.Errorf("after the kill: %v", ends)
	}
	n.Stop(t)
	n.Restart(t)
	if ends := c.Ends(t, "kept"); ends[0] != 10 {
		t.Errorf("after the stop: %v", ends)
	}
}

func TestAClusterIsItsOwn(t *testing.T) {
	c := kafkabroker.Shared(t)
	if c.ID() == "" || !strings.HasPrefix(c.Addr(), "127.0.0.1:") || !slices.Equal(c.Bootstrap(), []string{c.Addr()}) {
		t.Errorf("id %q at %v", c.ID(), c.Bootstrap())
	}
}
