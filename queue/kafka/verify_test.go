package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/test/kafkabroker"
)

// findings verifies and returns what was found as "severity object: field", after
// a look at each.
func findings(t *testing.T, cfg *kafka.Config, maxMessage int64) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	report, err := kafka.Verify(ctx, connect(t, cfg), cfg, maxMessage)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	bad := 0
	for _, f := range report.Findings {
		got = append(got, fmt.Sprintf("%s %s: %s", f.Severity, f.Object, f.Field))
		if f.Found == "" || f.Wanted == "" || f.Why == "" || f.Mend == "" || f.Found == f.Wanted {
			t.Errorf("incomplete finding: %s", f.String())
		}
		if f.Severity == queue.Error {
			bad++
		}
	}
	if bad+len(report.Warnings()) != len(got) || (report.Err() != nil) != (bad > 0) {
		t.Errorf("%d findings, %d warnings and the error %v", len(got), len(report.Warnings()), report.Err())
	}
	return got
}

func TestTopicSettingsAreVerified(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	for _, tt := range []struct {
		settings map[string]string
		want     []string
	}{
		{nil, nil},
		{map[string]string{"retention.ms": "3600000"}, []string{"retention.ms"}},
		{map[string]string{"retention.ms": "0"}, []string{"retention.ms"}},
		{map[string]string{"retention.ms": "86400000"}, nil},
		{map[string]string{"retention.bytes": "1000000"}, []string{"retention.bytes"}},
		{map[string]string{"cleanup.policy": "compact"}, []string{"cleanup.policy"}},
		{map[string]string{"cleanup.policy": "compact,delete"}, []string{"cleanup.policy"}},
		{map[string]string{"unclean.leader.election.enable": "true"}, []string{"unclean.leader.election.enable"}},
		{map[string]string{"max.message.bytes": "2000001"}, []string{"max.message.bytes"}},
		{map[string]string{"max.message.bytes": "2000000"}, nil},
	} {
		name := fresh("verify")
		b.CreateTopic(t, name, 2, 1, tt.settings)
		cfg := reading(b.Bootstrap(), name)
		var want []string
		for _, field := range tt.want {
			want = append(want, "warning topic "+name+": "+field)
		}
		if diff := cmp.Diff(want, findings(t, cfg, 2_000_000)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.settings, diff)
		}
	}
}

func TestReplicasAreVerified(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.NumBrokers(3))
	cfg := reading(b.ListenAddrs(), "one", "two", "three")
	client := connect(t, cfg)
	for i, name := range cfg.Topics {
		if _, err := kafka.Setup(t.Context(), client, reading(b.ListenAddrs(), name), kafka.SetupOptions{Partitions: 1, Replicas: i + 1}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"warning topic one: replication factor", "warning topic two: min.insync.replicas"}
	if diff := cmp.Diff(want, findings(t, cfg, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMissingTopicsAreWarnings(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("verify-here")
	b.CreateTopic(t, topic, 1, 1, nil)
	want := []string{"warning topic verify-not-here: partitions"}
	if diff := cmp.Diff(want, findings(t, reading(b.Bootstrap(), topic, "verify-not-here"), 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg := reading(b.Bootstrap())
	cfg.TopicsRegex = "verify-no-such-.*"
	if diff := cmp.Diff([]string{"warning topics_regex verify-no-such-.*: topics"}, findings(t, cfg, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	cfg.TopicsRegex = topic[:len(topic)-1] + "."
	if diff := cmp.Diff([]string(nil), findings(t, cfg, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSessionsThatBrokersRefuseAreFound(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("verify-session")
	b.CreateTopic(t, topic, 1, 1, nil)
	for _, tt := range []struct {
		session time.Duration
		refused bool
	}{
		{999 * time.Millisecond, true}, {time.Second, false}, {30 * time.Minute, false}, {31 * time.Minute, true},
	} {
		cfg := reading(b.Bootstrap(), topic)
		cfg.Session = tt.session
		got := findings(t, cfg, 0)
		if refused := len(got) == 1 && got[0] == "error group g: session"; refused != tt.refused || len(got) > 1 {
			t.Errorf("session %v: %v", tt.session, got)
		}
	}
}

func TestAGroupOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("verify-others")
	b.CreateTopic(t, topic, 1, 1, nil)
	b.Fill(t, topic, 1, 1)
	cfg := reading(b.Bootstrap(), topic)
	cfg.Group = topic
	other := b.Client(t, kgo.ConsumerGroup(cfg.Group), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.RangeBalancer()), kgo.ClientID("another-program"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if got := other.PollFetches(ctx); got.NumRecords() == 0 { // its group is stable then
		t.Fatal(got.Err())
	}
	report, err := kafka.Verify(ctx, connect(t, cfg), cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, report.Err(), "group "+topic, "range", "another-program", "another group")
}

// limited is the configuration of the user who may only what a test grants.
func limited(t *testing.T, b *kafkabroker.Cluster, topics ...string) *kafka.Config {
	t.Helper()
	cfg := reading(b.Bootstrap(), topics...)
	cfg.AllowPlainWithoutTLS = true
	cfg.SASL.Mechanism, cfg.SASL.User = "plain", kafkabroker.Limited
	if err := cfg.SASL.Password.UnmarshalText([]byte(kafkabroker.Password)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// soon waits for what a grant changes: authorizers hear of it a little later.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 30 s: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// On a broker with an authorizer: each missing right is found, with the command
// that grants it, until nothing is missing.
func TestMissingRightsAreFoundOneByOne(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Start(t, kafkabroker.Options{SASL: []string{kafkabroker.Plain}, Authorizer: true})
	b.CreateTopic(t, "logs", 1, 1, map[string]string{"retention.ms": "3600000"})
	cfg := limited(t, b, "logs")
	const topic, group = "error topic logs: rights", "error group g: rights"
	wanted := func(want ...string) func() bool {
		return func() bool { return cmp.Equal(want, findings(t, cfg, 0)) }
	}
	soon(t, "neither topic nor group", wanted(topic, group))
	report, err := kafka.Verify(t.Context(), connect(t, cfg), cfg, 0)
	if err != nil {
		t.Fatal(err)
	}
	grant := "kafka-acls.sh --bootstrap-server " + b.Addr() + " --add --allow-principal User:limited --operation Read --operation Describe "
	wantAll(t, report.Err(), grant+"--topic logs", grant+"--group g")

	allow := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) {
		b.Allow(t, kafkabroker.Limited, kind, name, op)
	}
	allow(kmsg.ACLResourceTypeTopic, "logs", kmsg.ACLOperationDescribe)
	soon(t, "known, but not to be read", func() bool {
		report, err := kafka.Verify(t.Context(), connect(t, cfg), cfg, 0)
		return err == nil && len(report.Findings) == 2 && report.Findings[0].Found == "not to be read by this user"
	})
	allow(kmsg.ACLResourceTypeTopic, "logs", kmsg.ACLOperationRead)
	soon(t, "the topic is fine", wanted(group))
	allow(kmsg.ACLResourceTypeGroup, "g", kmsg.ACLOperationDescribe)
	soon(t, "the group may be described, not joined", func() bool {
		_, err := kafka.GroupLag(t.Context(), connect(t, cfg), cfg)
		return err == nil && wanted(group)()
	})
	allow(kmsg.ACLResourceTypeGroup, "g", kmsg.ACLOperationRead)
	soon(t, "nothing is missing; settings that may not be read are not compared", wanted())
	allow(kmsg.ACLResourceTypeTopic, "logs", kmsg.ACLOperationDescribeConfigs)
	soon(t, "settings may be read", wanted("warning topic logs: retention.ms"))
	companionsByRight(t, b, cfg)
}

// companionsByRight goes on with the dead letters of the same user.
func companionsByRight(t *testing.T, b *kafkabroker.Cluster, cfg *kafka.Config) {
	t.Helper()
	open := func() error {
		_, err := kafka.DeadLetters(t.Context(), connect(t, cfg), cfg)
		return err
	}
	ways := []string{
		"logs.g.dlq", "[29]", "User:limited --operation Create --operation Describe --operation DescribeConfigs --operation Write --topic logs.g.dlq",
		"flushline setup -c FILE", "dead_letter: {file: DIR}",
	}
	wantAll(t, open(), append(ways, "couldn't create companion")...)
	b.CreateTopic(t, "logs.g.dlq", 1, 1, map[string]string{"retention.ms": "-1", "max.message.bytes": "1114124"})
	wantAll(t, open(), append(ways, "couldn't create companion")...) // nobody tells that it exists
	b.Allow(t, kafkabroker.Limited, kmsg.ACLResourceTypeTopic, "logs.g.dlq", kmsg.ACLOperationDescribe)
	soon(t, "known, but not to be written", func() bool {
		err := open()
		return err != nil && strings.Contains(err.Error(), "couldn't open the dead letter topic")
	})
	wantAll(t, open(), ways...)
	b.Allow(t, kafkabroker.Limited, kmsg.ACLResourceTypeTopic, "logs.g.dlq", kmsg.ACLOperationWrite)
	soon(t, "it may be written", func() bool { return open() == nil })
	if ends := b.Ends(t, "logs.g.dlq"); ends[0] != 0 {
		t.Errorf("asking stored something: %v", ends)
	}
}

func TestABrokerThatIsTooOldIsFound(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "logs"), kfake.MaxVersions(kversion.V2_3_0()))
	cfg := reading(b.ListenAddrs(), "logs")
	report, err := kafka.Verify(t.Context(), connect(t, cfg), cfg, 0)
	if err == nil {
		err = report.Err()
	}
	wantAll(t, err, b.ListenAddrs()[0], "Produce", "Apache Kafka 2.4 to 4.x")
}

// A broker that others name but that does not answer holds nobody up.
func TestABrokerThatIsAwayIsAWarning(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.NumBrokers(3), kfake.SeedTopics(3, "logs"))
	cfg := reading(b.ListenAddrs()[:1], "logs")
	for n := 0; b.CoordinatorFor(cfg.Group) == 2; n++ {
		cfg.Group = fmt.Sprint("g", n)
	}
	b.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		if b.CurrentNode() == 2 {
			return nil, errors.New("away"), true
		}
		return nil, nil, false
	})
	var away []string
	for _, f := range findings(t, cfg, 0) {
		if strings.Contains(f, "broker") {
			away = append(away, f)
		}
	}
	if diff := cmp.Diff([]string{"warning broker 2 (" + b.ListenAddrs()[2] + "): state"}, away); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAForgottenPlaceIsForeseen(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("verify-forgets")
	b.CreateTopic(t, topic, 1, 1, map[string]string{"retention.ms": "-1"})
	keeps := fresh("verify-keeps")
	b.CreateTopic(t, keeps, 1, 1, nil) // a week, as offsets are kept
	cfg := reading(b.Bootstrap(), topic)
	for start, then := range map[string]string{
		"earliest": "delivers everything again", "latest": "passes over what came meanwhile", "committed": "start: committed",
	} {
		cfg.Start = start
		report, err := kafka.Verify(t.Context(), connect(t, cfg), cfg, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Findings) != 1 {
			t.Fatalf("%+v", report.Findings)
		}
		if text := report.Findings[0].String(); report.Findings[0].Severity != queue.Warning || !strings.Contains(text, "offsets.retention.minutes") || !strings.Contains(text, then) {
			t.Errorf("start %s: %s", start, text)
		}
	}
	if got := findings(t, reading(b.Bootstrap(), keeps), 0); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestABrokerThatCannotBeReachedIsAnError(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t)
	addr := b.ListenAddrs()[0]
	b.Close()
	cfg := reading([]string{addr}, "logs")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, err := kafka.Verify(ctx, connect(t, cfg), cfg, 0)
	wantAll(t, err, "couldn't", addr)
}
