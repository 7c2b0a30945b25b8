package jobstate_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/job/jobtest"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/jobstate"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(kafkabroker.Main(m))) }

// session is short, and long for a machine that is busy.
const session = 3 * time.Second

func TestConformance(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	jobtest.Run(t, func(t *testing.T) jobtest.Place {
		cfg := source(t, b)
		lines := &lines{of: map[job.State]*line{}}
		return jobtest.Place{
			Lease: session, Patience: 2 * time.Minute,
			Open:   func(t *testing.T) job.State { return lines.open(t, cfg, 3) },
			Freeze: func(_ *testing.T, st job.State) (thaw func()) { return lines.of[st].freeze() },
		}
	})
}

// source makes a topic that a job may be kept beside.
func source(t *testing.T, b *kafkabroker.Cluster) *kafka.Config {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name())
	if len(name) > 100 {
		name = name[len(name)-100:]
	}
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = b.Bootstrap(), []string{name}, "live"
	b.CreateTopic(t, name, 1, 0, nil)
	return &cfg
}

// lines are the connections of what a test opened.
type lines struct {
	mu sync.Mutex
	of map[job.State]*line
}

func (ls *lines) open(t *testing.T, cfg *kafka.Config, of int) job.State {
	t.Helper()
	l := &line{open: make(chan struct{})}
	close(l.open)
	client, err := wire.NewClient(wire.Config{Brokers: cfg.Brokers, Dial: l.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	st, err := jobstate.OpenState(t.Context(), client, cfg, "nightly", of, jobstate.Options{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.of[st] = l
	return st
}

// line is the way of one process to the brokers. While it is frozen, nothing is sent.
type line struct {
	mu   sync.Mutex
	open chan struct{} // closed: it is
}

func (l *line) freeze() (thaw func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	frozen := make(chan struct{})
	l.open = frozen
	return func() { close(frozen) }
}

func (l *line) wait() {
	l.mu.Lock()
	open := l.open
	l.mu.Unlock()
	<-open
}

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.wait()
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, line: l}, nil
}

type conn struct {
	net.Conn
	line *line
}

func (c *conn) Write(b []byte) (int, error) {
	c.line.wait()
	return c.Conn.Write(b)
}

func clientOf(t *testing.T, cfg *kafka.Config) *wire.Client {
	t.Helper()
	client, err := kafka.Connect(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func begin(t *testing.T, st job.State) {
	t.Helper()
	pieces := func(yield func([]byte, error) bool) { yield([]byte("piece"), nil) }
	if err := st.Publish(t.Context(), pieces, func(int) ([]byte, error) { return []byte("manifest"), nil }); err != nil {
		t.Fatal(err)
	}
}

func TestJobsAreListed(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	cfg := source(t, b)
	client := clientOf(t, cfg)
	for _, name := range []string{"nightly", "fix-42"} {
		st, err := jobstate.OpenState(t.Context(), client, cfg, name, 1, jobstate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		begin(t, st)
		defer st.Close()
	}
	b.CreateTopic(t, cfg.Topics[0]+".other.job.of-another-group", 3, 0, nil)
	b.CreateTopic(t, cfg.Topics[0]+"-other.live.job.of-another-topic", 3, 0, nil)
	b.CreateTopic(t, cfg.Topics[0]+".live.dlq", 1, 0, nil)
	got, err := jobstate.ListJobs(t.Context(), client, cfg)
	if diff := cmp.Diff([]string{"fix-42", "nightly"}, got); diff != "" || err != nil {
		t.Errorf("%v, jobs (-want +got):\n%s", err, diff)
	}
}

// A job is found again although the topics are named in another order, and with any
// number of shards if none is given.
func TestAJobIsFoundAgain(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	cfg := source(t, b)
	client := clientOf(t, cfg)
	open := func(of int) (job.State, error) {
		return jobstate.OpenState(t.Context(), client, cfg, "found", of, jobstate.Options{})
	}
	if _, err := open(0); err == nil || !strings.Contains(err.Error(), "job found does not exist") {
		t.Errorf("a job that has not begun, of no number of shards: %v", err)
	}
	st, err := open(4)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	begin(t, st)
	b.CreateTopic(t, cfg.Topics[0]+"-first", 1, 0, nil)
	cfg.Topics = []string{cfg.Topics[0] + "-first", cfg.Topics[0]}
	again, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if m, err := again.Manifest(t.Context()); string(m) != "manifest" || err != nil {
		t.Errorf("manifest %q and %v", m, err)
	}
	if _, err := again.Checkpoint(t.Context(), 3); err != nil {
		t.Error(err)
	}
	if _, err := again.Checkpoint(t.Context(), 4); err == nil || !strings.Contains(err.Error(), "has no shard 4") {
		t.Errorf("a fifth shard of four: %v", err)
	}
	if _, err := open(5); err == nil || !strings.Contains(err.Error(), "begun with 4 shards: write --of 4") {
		t.Errorf("another number of shards: %v", err)
	}
}

// The topic is as safe as its source, and one that would lose something is refused.
func TestTheTopicIsSafe(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts three brokers")
	}
	b := kafkabroker.Start(t, kafkabroker.Options{Nodes: 3})
	cfg := source(t, b)
	client := clientOf(t, cfg)
	open := func() (job.State, error) {
		return jobstate.OpenState(t.Context(), client, cfg, "safe", 2, jobstate.Options{})
	}
	st, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	begin(t, st)
	topic := kafka.JobTopic(cfg.Topics[0], cfg.Group, "safe")
	cluster, err := client.Metadata(t.Context(), []string{topic})
	if err != nil {
		t.Fatal(err)
	}
	if ps := cluster.Topics[topic].Partitions; len(ps) != 4 || len(ps[0].Replicas) != 3 {
		t.Errorf("partitions %+v, want 4 of 3 replicas", ps)
	}
	r := wire.TopicResource(topic)
	said, err := client.DescribeConfigs(t.Context(), b.Addr(), []wire.Resource{r})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "2", "retention.ms": "-1"} {
		if got := said[r].Values[name].Value; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}

	// A shard outlives the broker that leads its partition.
	l, err := st.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	save(t, l, "before")
	victim := b.Leader(t, topic, 0)
	b.Node(victim).Kill()
	save(t, l, "after")
	b.Node(victim).Restart(t)
	if got, err := st.Checkpoint(t.Context(), 0); string(got) != "after" || err != nil {
		t.Errorf("checkpoint %q and %v", got, err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}

	b.SetTopic(t, topic, map[string]string{"cleanup.policy": "delete"})
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) { // until all brokers have heard of it
		st, err := open()
		if err != nil && strings.Contains(err.Error(), "cleanup.policy") && strings.Contains(err.Error(), "kafka-configs.sh") {
			break
		}
		if err == nil {
			_ = st.Close()
		}
		if time.Now().After(end) {
			t.Fatalf("a topic that deletes by age: %v", err)
		}
	}
}

// save tries until it succeeds, as a holder does.
func save(t *testing.T, l job.Lease, value string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := l.Save(t.Context(), []byte(value))
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// Compaction takes what was replaced, and nothing else: neither the claim nor the plan.
func TestCompactionKeepsWhatCounts(t *testing.T) {
	t.Parallel()
	b := kafkabroker.Shared(t)
	cfg := source(t, b)
	client := clientOf(t, cfg)
	st, err := jobstate.OpenState(t.Context(), client, cfg, "compacted", 1, jobstate.Options{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	begin(t, st)
	topic := kafka.JobTopic(cfg.Topics[0], cfg.Group, "compacted")
	b.SetTopic(t, topic, map[string]string{"segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0"})
	first, err := st.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	save(t, first, "of the first")
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	l, err := st.Claim(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	stored := func() int { return records(t, client, b, topic) }
	n, last := 0, ""
	for end := time.Now().Add(time.Minute); n < 20 || stored() > n/2; n++ {
		if time.Now().After(end) {
			t.Fatalf("after %d saves %d records are left", n, stored())
		}
		last = strings.Repeat("x", n)
		save(t, l, last)
	}
	t.Logf("%d saves, %d records", n, stored())
	other, err := jobstate.OpenState(t.Context(), client, cfg, "compacted", 1, jobstate.Options{Session: session})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got, err := other.Checkpoint(t.Context(), 0); string(got) != last || err != nil {
		t.Errorf("checkpoint of %d bytes and %v, want %d", len(got), err, len(last))
	}
	if got, err := other.Piece(t.Context(), 0); string(got) != "piece" || err != nil {
		t.Errorf("piece %q and %v", got, err)
	}
	var held *job.HeldError
	if _, err := other.Claim(t.Context(), 0); !errors.As(err, &held) {
		t.Errorf("a claim of a shard that is held: %v", err)
	}
	save(t, l, "still mine")
	if err := l.Release(t.Context()); err != nil {
		t.Error(err)
	}
}

// records is how many the first partition has.
func records(t *testing.T, client *wire.Client, b *kafkabroker.Cluster, topic string) int {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Isolation = kafka.ReadUncommitted
	end := b.Ends(t, topic)[0]
	r, err := history.New(client, &cfg, history.Options{}).Open(t.Context(), &job.Slice{Name: topic + "[0]", To: end}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		got, err := r.Read(t.Context(), 1<<20)
		n += len(got.Messages)
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
