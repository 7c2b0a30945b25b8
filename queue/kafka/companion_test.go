package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// settingsOf asks a broker for the settings of a topic that somebody set.
func settingsOf(t *testing.T, client *wire.Client, topic string) map[string]string {
	t.Helper()
	cluster, err := client.Metadata(t.Context(), []string{topic})
	if err != nil || cluster.Topics[topic].Err != nil {
		t.Fatal(err, cluster.Topics[topic].Err)
	}
	r := wire.TopicResource(topic)
	answers, err := client.DescribeConfigs(t.Context(), cluster.Brokers[cluster.Controller].Addr(), []wire.Resource{r})
	if err != nil || answers[r].Err != nil {
		t.Fatal(err, answers[r].Err)
	}
	set := map[string]string{}
	for name, s := range answers[r].Values {
		if !s.Default {
			set[name] = s.Value
		}
	}
	return set
}

func shape(t *testing.T, client *wire.Client, topic string) (partitions, replicas int) {
	t.Helper()
	cluster, err := client.Metadata(t.Context(), []string{topic})
	if err != nil || cluster.Topics[topic].Err != nil {
		t.Fatal(err, cluster.Topics[topic].Err)
	}
	ps := cluster.Topics[topic].Partitions
	return len(ps), len(ps[0].Replicas)
}

func letters(t *testing.T, client *wire.Client, cfg *kafka.Config) *kafka.Letters {
	t.Helper()
	l, err := kafka.DeadLetters(t.Context(), client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func letterFrom(strand string, value []byte) queue.Message {
	return queue.Message{Value: value, Headers: []queue.Header{{Key: queue.HeaderSource, Value: "kafka " + strand + " 4711"}}}
}

func TestADeadLetterTopicKeepsWhatItGets(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("dlq-made")
	b.CreateTopic(t, topic, 5, 1, map[string]string{
		"retention.ms": "3600000", "cleanup.policy": "compact,delete", "max.message.bytes": "2000000", "compression.type": "lz4",
	})
	cfg := reading(b.Bootstrap(), topic)
	client := connect(t, cfg)
	l := letters(t, client, cfg)
	if l.Describe() != "kafka topic "+topic+".g.dlq" {
		t.Errorf("described as %q", l.Describe())
	}
	want := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
		"max.message.bytes": "2065536", "min.insync.replicas": "1",
	}
	if diff := cmp.Diff(want, settingsOf(t, client, topic+".g.dlq")); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if partitions, replicas := shape(t, client, topic+".g.dlq"); partitions != 3 || replicas != 1 {
		t.Errorf("%d partitions with %d replicas", partitions, replicas)
	}
	if ends := b.Ends(t, topic+".g.dlq"); ends[0]+ends[1]+ends[2] != 0 {
		t.Errorf("to open it stored something: %v", ends)
	}
	letters(t, client, cfg) // again: it is accepted as it is
}

func TestADeadLetterTopicIsAsDurableAsItsSource(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.NumBrokers(3))
	cfg := reading(b.ListenAddrs(), "logs")
	client := connect(t, cfg)
	if _, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{Partitions: 2, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	letters(t, client, cfg)
	if partitions, replicas := shape(t, client, "logs.g.dlq"); partitions != 2 || replicas != 3 {
		t.Errorf("%d partitions with %d replicas", partitions, replicas)
	}
	if got := settingsOf(t, client, "logs.g.dlq")["min.insync.replicas"]; got != "2" {
		t.Errorf("min.insync.replicas is %q", got)
	}
}

// Whatever the size, a letter comes back byte for byte.
func TestLargeLettersAreCutAndReadBack(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("dlq-cut")
	b.CreateTopic(t, topic, 3, 1, map[string]string{"max.message.bytes": "100000"})
	cfg := reading(b.Bootstrap(), topic)
	l := letters(t, connect(t, cfg), cfg)
	values := [][]byte{
		[]byte("small"), noise(1, 150_000), noise(2, 1_500_000), bytes.Repeat([]byte("log line "), 100_000), {}, noise(3, 165_000),
	}
	var ms []queue.Message
	for i, v := range values {
		m := letterFrom(topic+"[1]", v)
		m.Key, m.Headers = fmt.Append(nil, i), append(m.Headers, queue.Header{Key: "n", Value: fmt.Sprint(i)})
		ms = append(ms, m)
	}
	if errs := l.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs[0])
	}
	rs := one(t, stored(t, b.Bootstrap(), topic+".g.dlq"))
	if len(rs) < len(ms)+9 {
		t.Errorf("%d records for %d messages, want the large ones in chunks", len(rs), len(ms))
	}
	var j queue.Joiner
	var got []queue.Message
	for _, r := range rs {
		w, err := j.Add(messageOf(r))
		if err != nil {
			t.Fatal(err)
		}
		if w != nil {
			got = append(got, w.Message)
		}
	}
	if len(got) != len(ms) || len(j.Missing()) > 0 {
		t.Fatalf("%d letters came back and %v are missing", len(got), j.Missing())
	}
	for i, m := range got {
		if !bytes.Equal(m.Value, values[i]) || !bytes.Equal(m.Key, ms[i].Key) || !cmp.Equal(m.Headers, ms[i].Headers) {
			t.Errorf("letter %d came back as %d bytes, key %q, headers %v", i, len(m.Value), m.Key, m.Headers)
		}
	}
}

func messageOf(r *kgo.Record) queue.Message {
	m := queue.Message{Value: r.Value, Key: r.Key, Position: r.Offset}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, queue.Header{Key: h.Key, Value: string(h.Value)})
	}
	return m
}

func TestALetterGoesToTheCompanionOfItsTopic(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(4, "a", "b.c"))
	cfg := reading(b.ListenAddrs(), "a", "b.c")
	l := letters(t, connect(t, cfg), cfg)
	ms := []queue.Message{
		letterFrom("a[0]", []byte("0")), letterFrom("b.c[3]", []byte("1")), letterFrom("a[3]", []byte("2")),
		{Value: []byte("nobody's")},
		letterFrom("b.c[0]", []byte("3")), letterFrom("b.c.g.parked.shop.es[2]", []byte("was parked")),
	}
	if errs := l.Put(t.Context(), ms); errs != nil {
		t.Fatal(errs[0])
	}
	for topic, want := range map[string][]string{"a.g.dlq": {"0", "2", "nobody's"}, "b.c.g.dlq": {"1", "3", "was parked"}} {
		var got []string
		for _, r := range one(t, stored(t, b.ListenAddrs(), topic)) {
			got = append(got, string(r.Value))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", topic, diff)
		}
	}
	if l.Describe() != "kafka topic a.g.dlq and its siblings" {
		t.Errorf("described as %q", l.Describe())
	}
}

// A dead companion fails its own letters only.
func TestCompanionsFailByThemselves(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "a", "b"))
	cfg := reading(b.ListenAddrs(), "a", "b")
	l := letters(t, connect(t, cfg), cfg)
	fault := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "a.g.dlq", Count: -1})
	defer fault.Remove()
	errs := l.Put(t.Context(), []queue.Message{letterFrom("a[0]", nil), letterFrom("b[0]", nil), letterFrom("a[0]", nil)})
	if len(errs) != 3 || errs[0] == nil || errs[1] != nil || errs[2] == nil {
		t.Fatalf("errors %v, want those of topic a", errs)
	}
	wantAll(t, errs[0], "a.g.dlq", "partition 0")
}

func TestATopicThatAppearsLaterGetsItsCompanionFirst(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.SeedTopics(1, "here"))
	cfg := reading(b.ListenAddrs(), "here", "later")
	client := connect(t, cfg)
	l := letters(t, client, cfg)
	var missing *queue.MissingError
	if err := l.Open(t.Context(), "later"); !errors.As(err, &missing) || missing.Name != "later" {
		t.Errorf("opened without its topic: %v", err)
	}
	if _, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Open(t.Context(), "later"); err != nil {
		t.Fatal(err)
	}
	shape(t, client, "later.g.dlq") // it is there
}

func TestPodsThatStartTogetherMakeOneCompanion(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("dlq-race")
	b.CreateTopic(t, topic, 1, 1, nil)
	cfg := reading(b.Bootstrap(), topic)
	var wg sync.WaitGroup
	for range 5 {
		client := connect(t, cfg)
		wg.Go(func() {
			if _, err := kafka.DeadLetters(t.Context(), client, cfg); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestADeadLetterTopicThatLosesIsRefusedAndMended(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	topic := fresh("dlq-loses")
	b.CreateTopic(t, topic, 1, 1, nil)
	cfg := reading(b.Bootstrap(), topic)
	client := connect(t, cfg)
	good := map[string]string{"retention.ms": "-1", "max.message.bytes": "1200000"}
	for i, tt := range []struct{ field, value string }{
		{"retention.ms", "3600000"},
		{"retention.bytes", "1000000"},
		{"cleanup.policy", "compact"},
		{"cleanup.policy", "compact,delete"},
		{"max.message.bytes", "1048588"},
	} {
		t.Run(tt.field+" "+tt.value, func(t *testing.T) {
			mine := *cfg
			mine.Group = fmt.Sprintf("g%d", i)
			name := topic + "." + mine.Group + ".dlq"
			settings := maps.Clone(good)
			settings[tt.field] = tt.value
			b.CreateTopic(t, name, 1, 1, settings)
			_, err := kafka.DeadLetters(t.Context(), client, &mine)
			wantAll(t, err, name, tt.field, "mend it with: flushline setup --update -c FILE",
				"kafka-configs.sh --bootstrap-server "+b.Addr()+" --alter --entity-type topics --entity-name "+name+" --add-config "+tt.field+"=")
			steps, err := kafka.Setup(t.Context(), client, &mine, kafka.SetupOptions{DeadLetters: true})
			if err == nil || steps[1].Action != queue.Refuse {
				t.Errorf("setup without --update: %v, %s", err, steps[1].String())
			}
			if steps, err = kafka.Setup(t.Context(), client, &mine, kafka.SetupOptions{DeadLetters: true, Update: true}); err != nil || steps[1].Action != queue.Update {
				t.Errorf("setup --update: %v, %s", err, steps[1].String())
			}
			if l := letters(t, client, &mine); l.Put(t.Context(), []queue.Message{letterFrom(topic+"[0]", noise(1, 1_100_000))}) != nil {
				t.Error("it does not take a letter afterwards")
			}
		})
	}
}

func TestALessDurableCompanionIsAWarning(t *testing.T) {
	t.Parallel()
	b := fakeCluster(t, kfake.NumBrokers(3))
	cfg := reading(b.ListenAddrs(), "logs")
	client := connect(t, cfg)
	ctrl := kafka.SetupOptions{Partitions: 1, Replicas: 3}
	if _, err := kafka.Setup(t.Context(), client, cfg, ctrl); err != nil {
		t.Fatal(err)
	}
	other := reading(b.ListenAddrs(), "logs.g.dlq")
	ctrl.Replicas, ctrl.Retention = 1, 0
	if _, err := kafka.Setup(t.Context(), client, other, ctrl); err != nil {
		t.Fatal(err)
	}
	_, err := kafka.Setup(t.Context(), client, cfg, kafka.SetupOptions{DeadLetters: true, Update: true})
	if err != nil {
		t.Fatal(err)
	}
	letters(t, client, cfg)
	steps, err := kafka.Plan(t.Context(), client, cfg, kafka.SetupOptions{DeadLetters: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []queue.Change{{Field: "replication factor", From: "1", To: "3"}}
	if diff := cmp.Diff(want, steps[1].Changes); diff != "" || steps[1].Action != queue.OK {
		t.Errorf("%s; changes (-want +got):\n%s", steps[1].Action, diff)
	}
}

func TestALongNameIsRefusedBeforeTheBrokerSeesIt(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 245)
	b := fakeCluster(t, kfake.SeedTopics(1, long))
	cfg := reading(b.ListenAddrs(), long)
	_, err := kafka.DeadLetters(t.Context(), connect(t, cfg), cfg)
	wantAll(t, err, "251 characters", "249", "shorter group", "dead_letter: {file: DIR}")
}

func TestAPatternNeverTakesCompanions(t *testing.T) {
	t.Parallel()
	companions := []string{"logs.g.dlq", "logs.other.dlq", "logs.shop.g.dlq", "logs.g.parked.shop.es", "logs.g.dlq.other.dlq"}
	sources := []string{"logs", "logs.dlq", "logs.shop", "logs.parked.x", "logs-dlq", "logs.g.dlq-2"}
	b := fakeCluster(t, kfake.SeedTopics(1, append(companions, sources...)...))
	cfg := reading(b.ListenAddrs())
	cfg.TopicsRegex = "logs.*"
	lag, err := kafka.GroupLag(t.Context(), connect(t, cfg), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, topic := range lag.Topics {
		got = append(got, topic.Topic)
	}
	want := []string{"logs", "logs-dlq", "logs.dlq", "logs.g.dlq-2", "logs.parked.x", "logs.shop"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matched (-want +got):\n%s", diff)
	}
}

// secured is a cluster whose user "limited" may what the rights say.
func secured(t *testing.T, rights ...kfake.ACL) *kfake.Cluster {
	t.Helper()
	for i := range rights {
		rights[i].Allow, rights[i].Pattern = true, kmsg.ACLResourcePatternTypeLiteral
	}
	return fakeCluster(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "logs", "logs.made.dlq"),
		kfake.Superuser("PLAIN", "root", "p"), kfake.User("PLAIN", "limited", "p", rights...))
}

func as(t *testing.T, b *kfake.Cluster, user string) *kafka.Config {
	t.Helper()
	cfg := reading(b.ListenAddrs(), "logs")
	cfg.AllowPlainWithoutTLS = true
	cfg.SASL.Mechanism, cfg.SASL.User = "plain", user
	if err := cfg.SASL.Password.UnmarshalText([]byte("p")); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func right(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
	return kfake.ACL{Resource: kind, Name: name, Operation: op}
}

func TestWithoutTheRightTheErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	const topic = kmsg.ACLResourceTypeTopic
	read := right(topic, "logs", kmsg.ACLOperationRead)
	tests := []struct {
		name, group, operation string
		rights                 []kfake.ACL
	}{
		{"to create", "g", "create companion", []kfake.ACL{read}},
		{"to create what may be described", "g", "create companion", []kfake.ACL{read, right(topic, "logs.g.dlq", kmsg.ACLOperationDescribe)}},
		{"to write", "made", "open the dead letter topic", []kfake.ACL{
			read, right(topic, "logs.made.dlq", kmsg.ACLOperationDescribe),
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := secured(t, tt.rights...)
			cfg := as(t, b, "limited")
			cfg.Group = tt.group
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := kafka.DeadLetters(ctx, connect(t, cfg), cfg)
			wantAll(t, err, tt.operation, "logs."+tt.group+".dlq", "[29]",
				"kafka-acls.sh --bootstrap-server "+b.ListenAddrs()[0]+" --add --allow-principal User:limited --operation Create",
				"--operation Write", "--topic logs."+tt.group+".dlq", "flushline setup -c FILE", "dead_letter: {file: DIR}")
		})
	}
}

func TestAPublisherFindsOutBeforeItsFirstMessage(t *testing.T) {
	t.Parallel()
	b := secured(t, right(kmsg.ACLResourceTypeTopic, "logs", kmsg.ACLOperationRead))
	cfg := as(t, b, "limited")
	_, err := kafka.NewPublisher(t.Context(), connect(t, cfg), "logs")
	wantAll(t, err, "couldn't write kafka topic logs", "[29]", b.ListenAddrs()[0])
}
