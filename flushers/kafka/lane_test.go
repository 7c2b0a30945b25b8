package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

var shopKey = protocol.Key{Project: "shop", Logstore: "cart", Config: "c1"}

// open is an instance of a kafka entry, decoded as the program does it.
func open(t testing.TB, p *flushertest.Process, key protocol.Key, options map[string]any) *kafka.Flusher {
	t.Helper()
	f, ok := kafka.Kind().New().(*kafka.Flusher)
	if !ok {
		t.Fatal("New does not return a *kafka.Flusher")
	}
	for _, problem := range option.Decode(option.FromAny(options), f) {
		t.Fatalf("option %s: %s", problem.Path, problem.Text())
	}
	if err := f.Init(p.Context(t, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// openAt is open for a cluster's topic.
func openAt(t testing.TB, brokers []string, topic string, options map[string]any) *kafka.Flusher {
	t.Helper()
	all := map[string]any{"topic": topic}
	var list []any
	for _, b := range brokers {
		list = append(list, b)
	}
	all["brokers"] = list
	maps.Copy(all, options)
	return open(t, new(flushertest.Process), shopKey, all)
}

// group is one log with an id, in a group with a tag that says it, too.
func group(id string) *protocol.LogGroup {
	return &protocol.LogGroup{
		LogTags: []*protocol.LogTag{{Key: "id", Value: id}},
		Logs:    []*protocol.Log{{Time: 1700000000, Contents: []*protocol.Log_Content{{Key: "id", Value: id}}}},
	}
}

func batchOf(t testing.TB, groups ...*protocol.LogGroup) *flushers.Batch {
	t.Helper()
	b := &flushers.Batch{Project: shopKey.Project, Logstore: shopKey.Logstore, Config: shopKey.Config, Groups: groups, Attempt: 1}
	for i, g := range groups {
		raw, err := g.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		b.Raw = append(b.Raw, raw)
		b.IDs = append(b.IDs, protocol.ID{Origin: [16]byte{1}, Group: uint32(i)})
	}
	return b
}

// numbered is n groups with the ids prefix-0 and up.
func numbered(prefix string, n int) (groups []*protocol.LogGroup) {
	for i := range n {
		groups = append(groups, group(fmt.Sprintf("%s-%d", prefix, i)))
	}
	return groups
}

// classes is what a result says of each group.
func classes(err error, n int) []flushers.Class {
	all := make([]flushers.Class, n)
	class, _ := flushers.Classify(err)
	var partial *flushers.PartialError
	for i := range all {
		if all[i] = class; errors.As(err, &partial) && class == flushers.ClassPartial {
			all[i], _ = flushers.Classify(partial.Failed[i])
		}
	}
	return all
}

// deliver flushes groups as the worker does until all are stored, and returns how often
// each class came. Whatever is a dead letter, or takes longer than within, fails the test.
func deliver(t testing.TB, f *kafka.Flusher, within time.Duration, groups ...*protocol.LogGroup) map[flushers.Class]int {
	t.Helper()
	seen := map[flushers.Class]int{}
	for deadline := time.Now().Add(within); len(groups) > 0; {
		err := flush(t, f, groups...)
		var again []*protocol.LogGroup
		for i, class := range classes(err, len(groups)) {
			switch class {
			case flushers.ClassNone:
				continue
			case flushers.ClassPermanent, flushers.ClassTooLarge:
				t.Fatalf("group %d is refused for good: %v", i, err)
			}
			seen[class]++
			again = append(again, groups[i])
		}
		if groups = again; len(groups) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d groups are not stored after %v: %v", len(groups), within, err)
		}
		<-time.After(100 * time.Millisecond) // the least that RetryAfter asks for
	}
	return seen
}

func flush(t testing.TB, f *kafka.Flusher, groups ...*protocol.LogGroup) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return f.FlushBatch(ctx, batchOf(t, groups...))
}

// stored counts the records of a topic by the id of their log.
func stored(t testing.TB, c *kafkabroker.Cluster, topic string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, r := range records(t, c, topic) {
		logs, err := read(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range logs {
			all[l.Fields["id"]]++
		}
	}
	return all
}

// complete fails unless each group stands in the topic.
func complete(t testing.TB, c *kafkabroker.Cluster, topic string, groups ...*protocol.LogGroup) {
	t.Helper()
	have := stored(t, c, topic)
	for _, g := range groups {
		if id := g.Logs[0].Contents[0].Value; have[id] == 0 {
			t.Errorf("%s is lost although Flush said that it is stored", id)
		}
	}
}

func wantClass(t testing.TB, err error, want flushers.Class) {
	t.Helper()
	if got, _ := flushers.Classify(err); got != want {
		t.Errorf("class %v, want %v: %v", got, want, err)
	}
}
