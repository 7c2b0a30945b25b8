package wire_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"

	"github.com/flushline/flushline/option"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

func TestMain(m *testing.M) {
	os.Exit(leak.Check(kafkabroker.Main(m)))
}

// cluster is a kfake cluster whose topics exist.
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	k, err := kfake.NewCluster(append([]kfake.Opt{
		kfake.NumBrokers(1), kfake.SeedTopics(2, "logs", "more"), kfake.GroupMinSessionTimeout(100 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k
}

func client(t *testing.T, cfg wire.Config) *wire.Client {
	t.Helper()
	c, err := wire.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func to(k *kfake.Cluster) wire.Config {
	return wire.Config{Brokers: k.ListenAddrs(), ClientID: "flushline-test"}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestLogIsWrittenAndReadBack(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	c := client(t, to(k))
	ctx := within(t, 30*time.Second)

	meta := must(c.Metadata(ctx, []string{"logs", "absent"}))(t)
	if !errors.Is(meta.Topics["absent"].Err, kafka.UnknownTopicOrPartition) {
		t.Errorf("a topic that does not exist has the error %v", meta.Topics["absent"].Err)
	}
	if got := len(meta.Topics["logs"].Partitions); got != 2 {
		t.Fatalf("logs has %d partitions", got)
	}
	addr := meta.Brokers[meta.Topics["logs"].Partitions[1].Leader].Addr()
	if err := c.CheckVersions(ctx, addr); err != nil {
		t.Fatal(err)
	}

	p := wire.TopicPartition{Topic: "logs", Partition: 1}
	when := time.UnixMilli(1700000000000)
	stored := must(c.Produce(ctx, addr, []wire.Batch{{TopicPartition: p, Records: []wire.Record{
		{Key: []byte("k"), Value: []byte("one"), Time: when},
		{Value: []byte("two"), Time: when.Add(time.Second), Headers: []queue.Header{{Key: "h", Value: "v"}}},
	}}}))(t)
	if diff := cmp.Diff(map[wire.TopicPartition]wire.Stored{p: {Offset: 0}}, stored); diff != "" {
		t.Fatal(diff)
	}

	ends := must(c.ListOffsets(ctx, addr, true, []wire.OffsetAt{{TopicPartition: p, Time: wire.Latest}}))(t)
	if ends[p].Offset != 2 || ends[p].Err != nil {
		t.Errorf("the end is %+v", ends[p])
	}
	got := must(c.Fetch(ctx, addr, &wire.FetchRequest{
		MaxWait: time.Second, MinBytes: 1, MaxBytes: 1 << 20,
		Partitions: []wire.FetchPartition{{TopicPartition: p, LeaderEpoch: -1, MaxBytes: 1 << 20}},
	}))(t)
	defer got.Release()
	if len(got.Partitions) != 1 || got.Partitions[0].HighWatermark != 2 || len(got.Partitions[0].Records) == 0 {
		t.Errorf("fetched %+v", got.Partitions)
	}
}

func TestGroupLivesItsRound(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	c := client(t, to(k))
	ctx := within(t, 30*time.Second)
	b := must(c.Coordinator(ctx, "g"))(t)
	join := &wire.JoinRequest{
		Group: "g", Session: 10 * time.Second, Rebalance: 10 * time.Second,
		Protocols: []wire.JoinProtocol{{Name: "p", Metadata: []byte("subscription")}},
	}
	first, err := c.Join(ctx, b.Addr(), join)
	if code, _ := wire.Code(err); code != kafka.MemberIDRequired || first.Member == "" {
		t.Fatalf("the first join gave %+v, %v", first, err)
	}
	join.Member = first.Member
	joined := must(c.Join(ctx, b.Addr(), join))(t)
	if joined.Leader != join.Member || len(joined.Members) != 1 || string(joined.Members[0].Metadata) != "subscription" {
		t.Fatalf("joined as %+v", joined)
	}
	m := wire.Membership{Group: "g", Member: join.Member, Generation: joined.Generation}
	mine := must(c.Sync(ctx, b.Addr(), &wire.SyncRequest{
		Group: "g", Member: m.Member, Generation: m.Generation, Assignments: map[string][]byte{m.Member: []byte("yours")},
	}))(t)
	if string(mine) != "yours" {
		t.Errorf("the assignment is %q", mine)
	}
	if err := c.Heartbeat(ctx, b.Addr(), m); err != nil {
		t.Error(err)
	}
	p, q := wire.TopicPartition{Topic: "logs"}, wire.TopicPartition{Topic: "more", Partition: 1}
	failed := must(c.Commit(ctx, b.Addr(), m, []wire.CommitPartition{
		{TopicPartition: p, Offset: 7, Metadata: "seven"}, {TopicPartition: q, Offset: 9},
	}))(t)
	if len(failed) != 0 {
		t.Error(failed)
	}
	found := must(c.Committed(ctx, b.Addr(), "g", []wire.TopicPartition{p, q, {Topic: "logs", Partition: 1}}))(t)
	want := map[wire.TopicPartition]wire.Committed{
		p: {Offset: 7, Metadata: "seven"}, q: {Offset: 9}, {Topic: "logs", Partition: 1}: {Offset: -1},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
	g := must(c.DescribeGroup(ctx, b.Addr(), "g"))(t)
	if g.State != "Stable" || len(g.Members) != 1 || string(g.Members[0].Assignment) != "yours" {
		t.Errorf("the group is %+v", g)
	}
	if err := c.Leave(ctx, b.Addr(), m); err != nil {
		t.Error(err)
	}
	if err := c.Heartbeat(ctx, b.Addr(), m); !hasCode(err, kafka.UnknownMemberId) {
		t.Errorf("a beat after leaving gave %v", err)
	}
}

func hasCode(err error, want kafka.Error) bool {
	code, _ := wire.Code(err)
	return code == want
}

func sasl(mechanism, user, password string) wire.SASLConfig {
	return wire.SASLConfig{Mechanism: mechanism, User: user, Password: option.NewSecret(password)}
}

func TestConfigurationThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	brokers := []string{"broker:9092"}
	for _, test := range []struct {
		cfg  wire.Config
		says string
	}{
		{wire.Config{}, "no broker"},
		{wire.Config{Brokers: brokers, SASL: sasl("plain", "u", "p")}, "allow_plain_without_tls"},
		{wire.Config{Brokers: brokers, SASL: sasl("gssapi", "u", "p")}, "not known"},
		{wire.Config{Brokers: brokers, SASL: sasl("scram-sha-256", "", "p")}, "sasl.user"},
		{wire.Config{Brokers: brokers, TLS: &wire.TLSConfig{CA: "absent.pem"}}, "tls.ca"},
		{wire.Config{Brokers: brokers, TLS: &wire.TLSConfig{CA: "client_test.go"}}, "no certificate in PEM"},
		{wire.Config{Brokers: brokers, TLS: &wire.TLSConfig{Cert: "absent.pem", Key: "absent.pem"}}, "tls.cert"},
		{wire.Config{Brokers: brokers, TLS: &wire.TLSConfig{Cert: "absent.pem"}}, "go together"},
	} {
		_, err := wire.NewClient(test.cfg)
		if !errors.Is(err, wire.ErrConfig) || !strings.Contains(err.Error(), test.says) || !wire.IsPermanent(err) {
			t.Errorf("the error is %v, without %q", err, test.says)
		}
	}
}
