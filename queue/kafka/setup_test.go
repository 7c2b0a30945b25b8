package kafka_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
)

func actions(steps []queue.Step) []string {
	out := make([]string, len(steps))
	for i := range steps {
		out[i] = fmt.Sprintf("%s %s %s", steps[i].Action, steps[i].What, steps[i].Name)
	}
	return out
}

func TestPlanChangesNothingAndSetupMakesEverything(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	one, other, group := fresh("setup-a"), fresh("setup-b"), fresh("setup")
	cfg := reading(b.Bootstrap(), one, other)
	cfg.Group = group
	client := connect(t, cfg)
	o := kafka.SetupOptions{DeadLetters: true, Offsets: true, Partitions: 4, Replicas: 1, Retention: 72 * time.Hour}
	want := []string{
		"create topic " + one, "create topic " + other,
		"create companion " + one + "." + group + ".dlq", "create companion " + one + "." + group + ".dlq.done",
		"create companion " + other + "." + group + ".dlq", "create companion " + other + "." + group + ".dlq.done", "create offsets " + group,
	}
	for range 2 { // planning twice shows that it changed nothing
		steps, err := kafka.Plan(t.Context(), client, cfg, o)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, actions(steps)); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
		for i, line := range map[int]string{0: "partitions: 4", 1: "retention.ms: 259200000", 2: "max.message.bytes: 1114124", 3: "cleanup.policy: compact", 4: "partitions: 3", 6: other + ": earliest"} {
			if text := steps[i].String(); !strings.Contains(text, line) {
				t.Errorf("the step does not show %q:\n%s", line, text)
			}
		}
	}
	if _, err := kafka.Setup(t.Context(), client, cfg, o); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"retention.ms": "259200000"}, settingsOf(t, client, one)); diff != "" {
		t.Errorf("settings of the topic (-want +got):\n%s", diff)
	}
	steps, err := kafka.Setup(t.Context(), client, cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i] = strings.Replace(want[i], "create", "ok", 1)
	}
	if diff := cmp.Diff(want, actions(steps)); diff != "" {
		t.Errorf("second setup (-want +got):\n%s", diff)
	}
	if got := findings(t, cfg, 0); len(got) > 0 {
		t.Errorf("verify after setup: %v", got)
	}
	letters(t, client, cfg) // the companions are accepted
}

func TestSetupDoesNotTouchSomebodysTopic(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	theirs := map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact,delete"}
	topic := fresh("setup-theirs")
	b.CreateTopic(t, topic, 2, 1, theirs)
	cfg := reading(b.Bootstrap(), topic)
	client := connect(t, cfg)
	steps, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{Update: true, Partitions: 9, Retention: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 1 || steps[0].Action != queue.OK || len(steps[0].Changes) != 2 {
		t.Errorf("steps %v: %+v", actions(steps), steps)
	}
	if diff := cmp.Diff(theirs, settingsOf(t, client, topic)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if partitions, _ := shape(t, client, topic); partitions != 2 {
		t.Errorf("%d partitions", partitions)
	}
}

func TestTheBrokersChooseWhatNobodySays(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.DefaultNumPartitions(5))
	cfg := reading(b.ListenAddrs(), "logs")
	client := connect(t, cfg)
	steps, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{DeadLetters: true})
	if err != nil {
		t.Fatal(err)
	}
	if text := steps[0].String(); !strings.Contains(text, "partitions: the brokers' default") {
		t.Error(text)
	}
	if partitions, _ := shape(t, client, "logs"); partitions != 5 {
		t.Errorf("%d partitions", partitions)
	}
	letters(t, client, cfg)
}

// An offset of a group without members is what an autoscaler looks at before the
// first pod runs.
func TestSetupCommitsWhereAGroupBegins(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("setup-offsets")
	b.CreateTopic(t, topic, 3, 1, nil)
	b.Fill(t, topic, 3, 30)
	b.DeleteRecords(t, topic, 1, 4)
	ends := b.Ends(t, topic)
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, tt := range []struct {
		start string
		want  map[int32]int64
	}{
		{"earliest", map[int32]int64{0: 0, 1: 4, 2: 0}},
		{"latest", ends},
		{past, map[int32]int64{0: 0, 1: 4, 2: 0}},
		{future, ends},
	} {
		cfg := reading(b.Bootstrap(), topic)
		cfg.Group, cfg.Start = fresh("setup-offsets"), tt.start
		client := connect(t, cfg)
		if steps, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{}); err != nil || len(steps) != 1 {
			t.Fatalf("%v: %v", actions(steps), err)
		}
		if got := b.Committed(t, cfg.Group, topic); len(got) > 0 {
			t.Errorf("committed without being asked to: %v", got)
		}
		o := kafka.SetupOptions{Offsets: true}
		steps, err := kafka.Setup(t.Context(), client, cfg, o)
		if err != nil {
			t.Fatal(err)
		}
		if text := steps[1].String(); !strings.Contains(text, fmt.Sprintf("%s[1]: %d (%s)", topic, tt.want[1], tt.start)) {
			t.Error(text)
		}
		got := map[int32]int64{}
		for p, c := range b.Committed(t, cfg.Group, topic) {
			got[p] = c.Offset
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("start %s (-want +got):\n%s", tt.start, diff)
		}
		cfg.Start = "latest" // what is committed stays
		if steps, err := kafka.Setup(t.Context(), client, cfg, o); err != nil || steps[1].Action != queue.OK {
			t.Errorf("again: %v, %v", actions(steps), err)
		}
	}
}

func TestSetupLeavesLivingGroupsAlone(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("setup-alive")
	b.CreateTopic(t, topic, 1, 1, nil)
	b.Fill(t, topic, 1, 5)
	cfg := reading(b.Bootstrap(), topic)
	cfg.Group = topic
	member := b.Client(t, kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer member.Close()
	if got := member.PollFetches(t.Context()); got.NumRecords() == 0 {
		t.Fatal(got.Err())
	}
	steps, err := kafka.Setup(t.Context(), connect(t, cfg), cfg, kafka.SetupOptions{Offsets: true})
	if err != nil || steps[1].Action != queue.OK || !strings.Contains(steps[1].String(), "1 member") {
		t.Errorf("%v: %s", err, steps[1].String())
	}
	if got := b.Committed(t, cfg.Group, topic); len(got) > 0 {
		t.Errorf("committed %v", got)
	}
}

func TestAStartThatNamesNoPositionCannotBeCommitted(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"))
	cfg := reading(b.ListenAddrs(), "logs")
	cfg.Start = "committed"
	_, err := kafka.Setup(t.Context(), connect(t, cfg), cfg, kafka.SetupOptions{Offsets: true})
	wantAll(t, err, "offsets g", "start is committed", "earliest")
}

func TestLagIsWhatTheBrokersSay(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("lag")
	b.CreateTopic(t, topic, 3, 1, nil)
	b.Fill(t, topic, 3, 30)
	b.DeleteRecords(t, topic, 2, 3)
	cfg := reading(b.Bootstrap(), topic, "lag-not-here")
	cfg.Group = topic
	client := connect(t, cfg)
	before, err := kafka.GroupLag(t.Context(), client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if before.Total() != 87 || before.State != "Dead" || before.Members != 0 || before.Cluster != b.ID() || before.Brokers != 1 {
		t.Errorf("before: %+v", before)
	}
	b.Transact(t, topic, false, &kgo.Record{Topic: topic, Partition: 0, Value: []byte("aborted")})
	member := b.Client(t, kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer member.Close()
	if got := member.PollFetches(t.Context()); got.NumRecords() == 0 {
		t.Fatal(got.Err())
	}
	offsets := map[string]map[int32]kgo.EpochOffset{topic: {0: {Epoch: -1, Offset: 7}}}
	committed := make(chan error, 1)
	member.CommitOffsetsSync(t.Context(), offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, _ *kmsg.OffsetCommitResponse, err error) {
		committed <- err
	})
	if err := <-committed; err != nil {
		t.Fatal(err)
	}
	lag, err := kafka.GroupLag(t.Context(), client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if lag.State != "Stable" || lag.Members != 1 {
		t.Errorf("the group is %s with %d members", lag.State, lag.Members)
	}
	ends := b.Ends(t, topic)
	for i := range lag.Topics[0].Partitions {
		p := &lag.Topics[0].Partitions[i]
		if p.Leader != b.Addr() || p.Err != nil {
			t.Errorf("partition %d: leader %q, %v", p.Partition, p.Leader, p.Err)
		}
	}
	want := []kafka.PartitionLag{
		{Partition: 0, Leader: b.Addr(), First: 0, Committed: 7, End: ends[0], Lag: ends[0] - 7},
		{Partition: 1, Leader: b.Addr(), First: 0, Committed: -1, End: ends[1], Lag: ends[1]},
		{Partition: 2, Leader: b.Addr(), First: 3, Committed: -1, End: ends[2], Lag: ends[2] - 3},
	}
	if diff := cmp.Diff(want, lag.Topics[0].Partitions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(lag.Topics[0].Leaderless()) > 0 {
		t.Errorf("without leader: %v", lag.Topics[0].Leaderless())
	}
	wantAll(t, lag.Topics[1].Err, "topic lag-not-here does not exist")
}
