package history_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/test/kafkabroker"
)

// Leaders move and brokers die in the middle of ranges; nothing of them is missing or
// comes twice.
func TestLeadersMoveAndBrokersDie(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts three brokers")
	}
	w := on(t, kafkabroker.Start(t, kafkabroker.Options{Nodes: 3}))
	const partitions, n = 3, 400
	w.create(partitions, nil)
	for p := range int32(partitions) {
		w.pad(p, 0, n)
	}
	in := w.input()
	all := w.plan("earliest", "end")
	gots := make([]*got, partitions)
	readers := make([]job.Reader, partitions)
	for i := range all {
		gots[i] = &got{passed: map[string]int64{}}
		r, err := in.Open(w.Context(), &all[i], 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		readers[i] = r
		gots[i].step(w, w.Context(), r, &all[i], 1)
	}

	w.cluster.MoveLeader(t, w.topic, 0, w.cluster.Leader(t, w.topic, 0)%3+1)
	gots[0].step(w, w.Context(), readers[0], &all[0], 1)

	victim := w.cluster.Leader(t, w.topic, 1)
	w.cluster.Node(victim).Kill()
	ctx, cancel := context.WithTimeout(w.Context(), 2*within)
	defer cancel()
	var rest sync.WaitGroup
	for i := range all {
		rest.Go(func() {
			for gots[i].step(w, ctx, readers[i], &all[i], 200_000) {
			}
		})
	}
	w.cluster.Node(victim).Restart(t)
	rest.Wait()
	for i := range all {
		gots[i].wholly(t, int32(i), 0, n)
		t.Logf("%s: %d troubles, such as %v", all[i].Name, len(gots[i].trouble), gots[i].trouble)
	}
}

// A live consumer keeps its membership and its offsets, and no group appears beside
// its own.
func TestTheLiveGroupIsNotTouched(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(2, nil)
	w.produce(0, 0, 100)
	w.produce(1, 0, 100)
	var revoked sync.Once
	lost := make(chan struct{})
	cl := w.cluster.Client(t, kgo.ConsumerGroup(w.cfg.Group), kgo.ConsumeTopics(w.topic), kgo.DisableAutoCommit(),
		kgo.OnPartitionsRevoked(func(context.Context, *kgo.Client, map[string][]int32) { revoked.Do(func() { close(lost) }) }))
	defer cl.Close()
	for seen := 0; seen < 200; {
		fs := cl.PollFetches(w.Context())
		if err := fs.Err(); err != nil {
			t.Fatal(err)
		}
		seen += fs.NumRecords()
	}
	if err := cl.CommitUncommittedOffsets(w.Context()); err != nil {
		t.Fatal(err)
	}
	group, committed := w.cluster.Group(t, w.cfg.Group), w.cluster.Committed(t, w.cfg.Group, w.topic)
	groups := groupsOf(t, w)

	for _, s := range w.plan("earliest", "committed") {
		w.read(w.input(), s, 0, 1<<20).wholly(t, partitionOf(&s), 0, 100)
	}
	if diff := cmp.Diff(group, w.cluster.Group(t, w.cfg.Group)); diff != "" {
		t.Errorf("the group has changed:\n%s", diff)
	}
	if diff := cmp.Diff(committed, w.cluster.Committed(t, w.cfg.Group, w.topic)); diff != "" {
		t.Errorf("its offsets have changed:\n%s", diff)
	}
	if diff := cmp.Diff(groups, groupsOf(t, w)); diff != "" {
		t.Errorf("there are other groups:\n%s", diff)
	}
	select {
	case <-lost:
		t.Error("the live consumer was told to let go of partitions")
	default:
	}
}

// groupsOf are the groups that are named after the test.
func groupsOf(t *testing.T, w *work) map[string]bool {
	t.Helper()
	cl := w.cluster.Client(t)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.Context(), 30*time.Second)
	defer cancel()
	found := map[string]bool{}
	for _, shard := range cl.RequestSharded(ctx, kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, g := range shard.Resp.(*kmsg.ListGroupsResponse).Groups {
			if len(g.Group) >= len(w.topic) && g.Group[len(g.Group)-len(w.topic):] == w.topic {
				found[g.Group] = true
			}
		}
	}
	return found
}
