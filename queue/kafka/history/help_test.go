package history_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/history"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// within is how long anything in these tests may take on a busy machine.
const within = 60 * time.Second

// work is one topic and who reads it.
type work struct {
	*testing.T
	cluster *kafkabroker.Cluster
	cfg     kafka.Config
	topic   string
	client  *wire.Client
	ctx     context.Context // ends when the test has taken too long
}

// Context ends when the test has taken too long.
func (w *work) Context() context.Context { return w.ctx }

// on names a topic after the test; it is not made yet.
func on(t *testing.T, c *kafkabroker.Cluster) *work {
	t.Helper()
	w := with(t, c.Bootstrap())
	w.cluster = c
	return w
}

func with(t *testing.T, brokers []string) *work {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name())
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = brokers, []string{name}, "group-"+name
	cfg.ConnectTimeout = 10 * time.Second
	client, err := kafka.Connect(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*within)
	t.Cleanup(cancel)
	return &work{T: t, cfg: cfg, topic: name, client: client, ctx: ctx}
}

func (w *work) create(partitions int, configs map[string]string) {
	w.Helper()
	all := map[string]string{"retention.ms": "-1"} // records are older than the default
	maps.Copy(all, configs)
	w.cluster.CreateTopic(w, w.topic, partitions, 0, all)
}

// record n of a partition was written at second n of 2026.
func (w *work) record(partition int32, n int) *kgo.Record {
	r := kafkabroker.Record(w.topic, partition, fmt.Sprintf("%d/%05d", partition, n))
	r.Timestamp = second(n)
	return r
}

func second(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC) }

func (w *work) produce(partition int32, from, to int) {
	w.Helper()
	var rs []*kgo.Record
	for n := from; n < to; n++ {
		rs = append(rs, w.record(partition, n))
	}
	w.cluster.Produce(w, rs...)
}

// pad makes a log too large for one answer of the records from to to.
func (w *work) pad(partition int32, from, to int) {
	w.Helper()
	for n := from; n < to; n += 10 {
		var rs []*kgo.Record
		for i := n; i < min(n+10, to); i++ {
			r := w.record(partition, i)
			r.Value = append(r.Value, strings.Repeat(" ", 20_000)...)
			rs = append(rs, r)
		}
		w.cluster.Produce(w, rs...)
	}
}

func bound(t testing.TB, text string) job.Bound {
	t.Helper()
	b, err := job.ParseBound(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *work) tryPlan(from, to string) ([]job.Slice, []job.Lost, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), within)
	defer cancel()
	p, err := history.PlanRange(ctx, w.client, &w.cfg, bound(w, from), bound(w, to), 2)
	if err != nil {
		return nil, nil, err
	}
	var all []job.Slice
	for s, err := range p.Slices {
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, s)
	}
	return all, p.Lost, nil
}

func (w *work) plan(from, to string) []job.Slice {
	w.Helper()
	all, lost, err := w.tryPlan(from, to)
	if err != nil {
		w.Fatal(err)
	}
	if len(lost) > 0 {
		w.Fatalf("lost: %+v", lost)
	}
	return all
}

func (w *work) input() *history.Input { return history.New(w.client, &w.cfg, history.Options{}) }

// got is what a reader brought.
type got struct {
	values  []string
	origins []queue.Origin
	passed  map[string]int64
	next    int64
	trouble []error
	err     error // that ended it; nil is io.EOF
}

// read reads a slice from a position to its end, or until an error says that it
// will never be.
func (w *work) read(in *history.Input, s job.Slice, at, bytes int64) *got {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), within)
	defer cancel()
	g := &got{passed: map[string]int64{}, next: at}
	r, err := in.Open(ctx, &s, at)
	for err != nil && !g.over(err) && ctx.Err() == nil {
		g.trouble = append(g.trouble, err)
		time.Sleep(50 * time.Millisecond) // as its caller would
		r, err = in.Open(ctx, &s, at)
	}
	if err != nil {
		g.err = err
		return g
	}
	defer r.Close()
	for g.step(w, ctx, r, &s, bytes) {
	}
	return g
}

func (g *got) over(err error) bool {
	var changed *job.ChangedError
	return errors.As(err, &changed) || job.IsUnreadable(err)
}

// step makes one Read and checks what every Read promises.
func (g *got) step(w *work, ctx context.Context, r job.Reader, s *job.Slice, bytes int64) bool {
	w.Helper()
	b, err := r.Read(ctx, bytes)
	n := int64(len(b.Messages))
	for reason, k := range b.Passed {
		g.passed[reason] += k
		n += k
	}
	if b.Next != g.next+n {
		w.Fatalf("from %d to %d: %d messages and %v passed", g.next, b.Next, len(b.Messages), b.Passed)
	}
	if b.Origins != nil && len(b.Origins) != len(b.Messages) {
		w.Fatalf("%d origins of %d messages", len(b.Origins), len(b.Messages))
	}
	last := g.next - 1
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Position <= last || m.Position >= b.Next || m.Partition != partitionOf(s) {
			w.Fatalf("position %d of partition %d after %d, before %d", m.Position, m.Partition, last, b.Next)
		}
		last = m.Position
		value, _, _ := strings.Cut(string(m.Value), " ")
		g.values = append(g.values, value)
		origin := r.Seed().At(m.Partition, m.Position, m.Time)
		if b.Origins != nil && b.Origins[i] != (queue.Origin{}) {
			origin = b.Origins[i]
		}
		g.origins = append(g.origins, origin)
	}
	g.next = b.Next
	switch {
	case errors.Is(err, io.EOF):
		if g.next != s.To {
			w.Fatalf("it ended at %d, want %d", g.next, s.To)
		}
		return false
	case err != nil && (g.over(err) || ctx.Err() != nil):
		g.err = err
		return false
	case err != nil:
		g.trouble = append(g.trouble, err)
		time.Sleep(50 * time.Millisecond) // as its caller would
	case n == 0:
		w.Fatalf("a Read at %d brought nothing and no error", g.next)
	}
	return true
}

func partitionOf(s *job.Slice) int32 {
	var n int32
	_, _ = fmt.Sscanf(s.Name[strings.LastIndex(s.Name, "[")+1:], "%d", &n)
	return n
}

// wholly checks that a range brought the records of a partition, in order.
func (g *got) wholly(t *testing.T, partition int32, from, to int) {
	t.Helper()
	if g.err != nil {
		t.Fatalf("it ended with %v after %v", g.err, g.trouble)
	}
	if len(g.values) != to-from {
		t.Fatalf("%d messages, want %d", len(g.values), to-from)
	}
	for i, v := range g.values {
		if want := fmt.Sprintf("%d/%05d", partition, from+i); v != want {
			t.Fatalf("message %d is %q, want %q", i, v, want)
		}
	}
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come true within %v", what, within)
		}
	}
}
