package history_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/test/kafkabroker"
)

// planned are slices without their stamps, which are checked to be there.
func planned(t *testing.T, all []job.Slice) string {
	t.Helper()
	var said []string
	for i, s := range all {
		if len(s.Stamp) != 32 || s.Shard != i%2 {
			t.Errorf("slice %+v has no topic id, or is of a wrong shard", s)
		}
		said = append(said, fmt.Sprintf("%s %d-%d", s.Name[strings.Index(s.Name, "["):], s.From, s.To))
	}
	return strings.Join(said, ", ")
}

func TestPlanByEachBound(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(3, nil)
	w.produce(0, 0, 100)
	w.produce(1, 0, 50)
	commitAt(t, w, map[int32]int64{0: 40, 1: 50, 2: 0})
	at := func(n int) string { return second(n).Format("2006-01-02T15:04:05.999999999Z07:00") }
	for _, c := range []struct{ from, to, want string }{
		{"earliest", "end", "[0] 0-100, [1] 0-50, [2] 0-0"},
		{"end", "end", "[0] 100-100, [1] 50-50, [2] 0-0"},
		{"committed", "end", "[0] 40-100, [1] 50-50, [2] 0-0"},
		{"earliest", "committed", "[0] 0-40, [1] 0-50, [2] 0-0"},
		{at(10), at(60), "[0] 10-60, [1] 10-50, [2] 0-0"},
		{at(10)[:19] + ".0001Z", at(60), "[0] 11-60, [1] 11-50, [2] 0-0"},
		{"earliest", "2030-01-01T00:00:00Z", "[0] 0-100, [1] 0-50, [2] 0-0"},
		{"0", "end", "[0] 0-100, [1] 0-50, [2] 0-0"},
		{"0:10", "end", "[0] 10-100"},
		{"0:10,1:20", "0:90,1:20", "[0] 10-90, [1] 20-20"},
		{"earliest", w.topic + "[1]:7", "[1] 0-7"},
	} {
		if got := planned(t, w.plan(c.from, c.to)); got != c.want {
			t.Errorf("from %s to %s is %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestImpossibleBoundsAreRefused(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(2, nil)
	w.produce(0, 0, 100)
	w.produce(1, 0, 50)
	for _, c := range []struct {
		from, to string
		says     []string
	}{
		{"0:60", "0:40", []string{"[0]: from offset 60 lies behind to offset 40"}},
		{"2026-01-01T00:01:00Z", "2026-01-01T00:00:30Z", []string{"2026-01-01T00:01:00.000Z", "is later than to", "exchange"}},
		{"70", "end", []string{"[1]: from offset 70 lies beyond the end of the log at 50", "write at most 50"}},
		{"earliest", "0:101", []string{"to offset 101 lies beyond the end of the log at 100"}},
		{"end", "0", []string{"[0]: from end (offset 100) lies behind to offset 0"}},
		{"0:1,7:1", "end", []string{"[7], which is not there", "partitions 0 to 1"}},
		{"other[0]:1", "end", []string{"other[0], which is not there", "the source reads " + w.topic}},
		{"0:1,1:2", "0:5", []string{"from names " + w.topic + "[1] and to does not"}},
		{"committed", "end", []string{"[0]: group " + w.cfg.Group + " has committed no offset there", "write another bound"}},
	} {
		_, _, err := w.tryPlan(c.from, c.to)
		for _, says := range c.says {
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "from "+c.from+" to "+c.to) {
				t.Errorf("from %s to %s: %v, want %q", c.from, c.to, err, says)
			}
		}
	}
	w.cfg.Topics = []string{w.topic, "never-made"}
	if _, _, err := w.tryPlan("earliest", "end"); err == nil || !strings.Contains(err.Error(), "topic never-made does not exist") {
		t.Errorf("a topic that does not exist: %v", err)
	}
	w.cfg.Topics, w.cfg.TopicsRegex = nil, "never-.*"
	if _, _, err := w.tryPlan("earliest", "end"); err == nil || !strings.Contains(err.Error(), `no topic matches topics_regex "never-.*"`) {
		t.Errorf("a pattern that matches nothing: %v", err)
	}
}

func TestSeveralTopicsArePlannedInOrder(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	a, b := w.topic+"-a", w.topic+"-b"
	w.cluster.CreateTopic(t, b, 2, 0, nil)
	w.cluster.CreateTopic(t, a, 1, 0, nil)
	w.cluster.CreateTopic(t, a+".live.dlq", 1, 0, nil) // a companion is no source
	w.cfg.Topics, w.cfg.TopicsRegex = nil, w.topic+"-.*"
	var names []string
	for _, s := range w.plan("earliest", "end") {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{a + "[0]", b + "[0]", b + "[1]"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, _, err := w.tryPlan("0:0", "end"); err == nil || !strings.Contains(err.Error(), "names no topic for partition 0, and there are 2") {
		t.Errorf("a place without a topic: %v", err)
	}
	if all := w.plan(b+"[1]:0", "end"); len(all) != 1 || all[0].Name != b+"[1]" {
		t.Errorf("one place of one topic is %+v", all)
	}
}

func TestWhatRetentionTookIsLost(t *testing.T) {
	t.Parallel()
	w := on(t, kafkabroker.Shared(t))
	w.create(1, nil)
	w.produce(0, 0, 100)
	w.cluster.DeleteRecords(t, w.topic, 0, 30)
	commitAt(t, w, map[int32]int64{0: 20})
	name := w.topic + "[0]"
	for _, c := range []struct {
		from, to string
		slice    string
		lost     []job.Lost
	}{
		{"10", "end", "[0] 30-100", []job.Lost{{Slice: name, From: 10, To: 30, Count: 20}}},
		{"committed", "40", "[0] 30-40", []job.Lost{{Slice: name, From: 20, To: 30, Count: 10}}},
		{"0:5", "0:15", "[0] 30-30", []job.Lost{{Slice: name, From: 5, To: 30, Count: 10}}},
		{"earliest", "end", "[0] 30-100", nil},
		{"30", "end", "[0] 30-100", nil},
		{second(50).Format("2006-01-02T15:04:05Z"), "end", "[0] 50-100", nil},
		{second(30).Format("2006-01-02T15:04:05Z"), "end", "[0] 30-100", nil},
		{second(29).Format("2006-01-02T15:04:05Z"), "end", "[0] 30-100", []job.Lost{{Slice: name, From: -1, To: 30, Count: -1}}},
		{second(5).Format("2006-01-02T15:04:05Z"), second(10).Format("2006-01-02T15:04:05Z"), "[0] 30-30", []job.Lost{{Slice: name, From: -1, To: 30, Count: -1}}},
	} {
		all, lost, err := w.tryPlan(c.from, c.to)
		if err != nil {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
			continue
		}
		if got := planned(t, all); got != c.slice {
			t.Errorf("from %s to %s is %s, want %s", c.from, c.to, got, c.slice)
		}
		if diff := cmp.Diff(c.lost, lost, cmpopts.IgnoreFields(job.Lost{}, "Why")); diff != "" {
			t.Errorf("from %s to %s has lost (-want +got):\n%s", c.from, c.to, diff)
		}
		for _, l := range lost {
			if !strings.Contains(l.Why, "30") || !strings.Contains(l.Why, "deleted") {
				t.Errorf("from %s to %s: why it is lost: %s", c.from, c.to, l.Why)
			}
		}
	}
	w.cluster.DeleteRecords(t, w.topic, 0, 100)
	if _, lost, err := w.tryPlan(second(5).Format("2006-01-02T15:04:05Z"), "end"); err != nil || len(lost) != 1 || lost[0].Count != -1 {
		t.Errorf("a log that was emptied has lost %+v and %v, want an unknown number", lost, err)
	}
	if _, _, err := w.tryPlan("earliest", "50"); err == nil || !strings.Contains(err.Error(), "from earliest (offset 100) lies behind to offset 50") {
		t.Errorf("a range below the start of the log: %v", err)
	}
}

// commitAt commits offsets for the live group.
func commitAt(t *testing.T, w *work, offsets map[int32]int64) {
	t.Helper()
	cl := w.cluster.Client(t, kgo.ConsumerGroup(w.cfg.Group), kgo.ConsumeTopics(w.topic), kgo.DisableAutoCommit())
	defer cl.Close()
	eventually(t, "the group has a member with partitions", func() bool {
		g := w.cluster.Group(t, w.cfg.Group)
		return len(g.Members) == 1 && len(g.Members[0].Assigned[w.topic]) >= len(offsets)
	})
	at := map[string]map[int32]kgo.EpochOffset{w.topic: {}}
	for p, o := range offsets {
		at[w.topic][p] = kgo.EpochOffset{Epoch: -1, Offset: o}
	}
	cl.CommitOffsetsSync(w.Context(), at, nil)
	if got := w.cluster.Committed(t, w.cfg.Group, w.topic); len(got) != len(offsets) {
		t.Fatalf("committed %v, want %v", got, offsets)
	}
}
