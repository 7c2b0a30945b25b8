package history_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
)

// aged is a stream of 60 messages in three bursts, of which the first 10 are gone,
// and a time between each two bursts.
func aged(t *testing.T) (s *shelf, times [4]time.Time) {
	t.Helper()
	s = newShelf(t)
	for i := range 3 {
		times[i] = time.Now()
		s.publish(20)
		if m, err := s.stream().GetMsg(t.Context(), uint64(i*20+1)); err != nil || !m.Time.After(times[i]) {
			t.Fatalf("message %d is of %v, want after %v: %v", i*20+1, m.Time, times[i], err)
		}
	}
	times[3] = time.Now()
	if err := s.stream().Purge(t.Context(), jetstream.WithPurgeSequence(11)); err != nil {
		t.Fatal(err)
	}
	if _, err := nats.Setup(t.Context(), s.conn, s.cfg, nats.SetupOptions{}); err != nil {
		t.Fatal(err)
	}
	c, err := s.js.Consumer(t.Context(), "LOGS", "flushline")
	if err != nil {
		t.Fatal(err)
	}
	ms, err := c.Fetch(5)
	if err != nil {
		t.Fatal(err)
	}
	for m := range ms.Messages() { // 11 to 15, without 14
		if meta, _ := m.Metadata(); meta.Sequence.Stream != 14 {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s, times
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s, times := aged(t)
	at := func(i int) string { return times[i].Format(time.RFC3339Nano) }
	unknown := []job.Lost{{Slice: "LOGS", From: -1, To: 11, Count: -1}}
	for _, c := range []struct {
		from, to string
		want     string // of the only slice; empty: none
		lost     []job.Lost
	}{
		{"earliest", "end", "LOGS 11-60", nil},
		{"11", "61", "LOGS 11-60", nil},
		{"20", "21", "LOGS 20-20", nil},
		{"20", "20", "", nil},
		{"end", "end", "", nil},
		{"committed", "end", "LOGS 14-60", nil},
		{"earliest", "committed", "LOGS 11-13", nil},
		{"1", "31", "LOGS 11-30", []job.Lost{{Slice: "LOGS 1-10", From: 1, To: 11, Count: 10}}},
		{"3", "8", "", []job.Lost{{Slice: "LOGS 3-7", From: 3, To: 8, Count: 5}}},
		{at(1), at(2), "LOGS 21-40", nil},
		{at(2), "end", "LOGS 41-60", nil},
		{at(2), "now", "LOGS 41-60", nil},
		{at(3), "end", "", nil},
		{at(0), at(1), "LOGS 11-20", unknown},
		{"-1h", at(0), "", unknown},
		{"LOGS[0]:30", "0:35", "LOGS 30-34", nil},
		{"0:30", at(2), "LOGS 30-40", nil},
	} {
		p, err := s.plan(c.from, c.to, 3)
		if err != nil {
			t.Errorf("from %s to %s: %v", c.from, c.to, err)
			continue
		}
		var names []string
		for _, one := range slicesOf(t, p) {
			names = append(names, one.Name)
			if want := fmt.Sprintf("LOGS %d-%d", one.From, one.To-1); one.Name != want || one.Stamp != nats.StreamID("LOGS", s.stream().CachedInfo().Created) {
				t.Errorf("from %s to %s: slice %+v", c.from, c.to, one)
			}
		}
		if got := strings.Join(names, ", "); got != c.want {
			t.Errorf("from %s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
		for i := range p.Lost {
			if p.Lost[i].Why == "" {
				t.Errorf("from %s to %s: lost without a reason", c.from, c.to)
			}
			p.Lost[i].Why = ""
		}
		if d := cmp.Diff(c.lost, p.Lost); d != "" {
			t.Errorf("from %s to %s: lost %s", c.from, c.to, d)
		}
		if p.Kind != "nats" || !strings.Contains(p.Range, c.from) || !strings.Contains(p.Range, c.to) {
			t.Errorf("plan %+v", p)
		}
	}
	if names := s.consumers(); !slices.Equal(names, []string{"flushline"}) {
		t.Errorf("consumers %v are left", names)
	}
}

func TestImpossibleBounds(t *testing.T) {
	t.Parallel()
	s, times := aged(t)
	for _, c := range []struct{ from, to, want string }{
		{"62", "end", "from is sequence 62: stream LOGS ends with 60"},
		{"1", "62", "to is sequence 62"},
		{"0", "end", "sequences begin at 1"},
		{"30", "20", "end before it begins"},
		{"earliest", "5", "end before it begins"},
		{"end", "committed", "end before it begins"},
		{times[2].Format(time.RFC3339Nano), times[1].Format(time.RFC3339Nano), "end before it begins"},
		{"1:5", "end", "no partition 1"},
		{"OTHER[0]:5", "end", "does not read a stream OTHER"},
	} {
		if _, err := s.plan(c.from, c.to, 1); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("from %s to %s: %v, want %q", c.from, c.to, err, c.want)
		}
	}
	if _, err := s.plan("1", "end", 0); err == nil {
		t.Error("0 shards are planned for")
	}
	s.cfg.Durable = "nobody"
	if _, err := s.plan("committed", "end", 1); err == nil || !strings.Contains(err.Error(), "no consumer nobody") {
		t.Errorf("committed of a consumer that does not exist: %v", err)
	}
	s.cfg.Stream = "NOTHING"
	if _, err := s.plan("1", "end", 1); err == nil || !strings.Contains(err.Error(), "NOTHING") {
		t.Errorf("a stream that does not exist: %v", err)
	}
}

func TestStreamsWithoutHistoryAreRefused(t *testing.T) {
	t.Parallel()
	for _, retention := range []jetstream.RetentionPolicy{jetstream.WorkQueuePolicy, jetstream.InterestPolicy} {
		s := newShelf(t, func(c *jetstream.StreamConfig) { c.Retention = retention })
		if _, err := s.plan("earliest", "end", 1); err == nil || !strings.Contains(err.Error(), "acknowledged messages are gone") {
			t.Errorf("%v: %v", retention, err)
		}
	}
}

func TestEmptyStreams(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	for _, from := range []string{"earliest", "1", "-1h", "end"} {
		if p, err := s.plan(from, "end", 2); err != nil || len(slicesOf(t, p)) != 0 || len(p.Lost) != 0 {
			t.Errorf("from %s of a new stream: %+v, %v", from, p, err)
		}
	}
	s.publish(10)
	if err := s.stream().Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string][]job.Lost{
		"earliest": nil, "end": nil, "now": nil,
		"1": {{Slice: "LOGS 1-10", From: 1, To: 11, Count: 10}}, "-1h": {{Slice: "LOGS", From: -1, To: 11, Count: -1}},
	} {
		p, err := s.plan(from, "end", 2)
		if err != nil || len(slicesOf(t, p)) != 0 {
			t.Errorf("from %s of a purged stream: %+v, %v", from, p, err)
			continue
		}
		for i := range p.Lost {
			p.Lost[i].Why = ""
		}
		if d := cmp.Diff(want, p.Lost); d != "" {
			t.Errorf("from %s of a purged stream: lost %s", from, d)
		}
	}
}

func TestSlicesCoverTheRangeForAllShards(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	other := jetstream.StreamConfig{Name: "MORE", Subjects: []string{"more.>"}}
	if _, err := s.js.CreateStream(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	s.publish(10_007)
	s.publish(999, "more.a")
	s.cfg.Consumers = []nats.Consumer{{Stream: "LOGS", Durable: "a"}, {Stream: "MORE", Durable: "b"}}
	s.cfg.Stream, s.cfg.Durable, s.cfg.Subjects = "", "", nil
	for of := 1; of < 8; of++ {
		next := map[string]int64{"LOGS": 1, "MORE": 1}
		shards := map[int]int{}
		all := s.planned("earliest", "end", of)
		for i, one := range all {
			stream, _, _ := strings.Cut(one.Name, " ")
			if one.From != next[stream] || one.To <= one.From || one.Shard != i%of {
				t.Errorf("of %d: slice %d is %+v, want from %d", of, i, one, next[stream])
			}
			if n := one.To - one.From; stream == "LOGS" && n < 1000 {
				t.Errorf("of %d: %s has %d sequences", of, one.Name, n)
			}
			next[stream] = one.To
			shards[one.Shard]++
		}
		if want := map[string]int64{"LOGS": 10_008, "MORE": 1000}; !maps.Equal(next, want) {
			t.Errorf("of %d: ends %v, want %v", of, next, want)
		}
		if len(all) != min(4*of, 10)+1 || len(shards) != of {
			t.Errorf("of %d: %d slices for %d shards", of, len(all), len(shards))
		}
	}
	if all := s.planned("LOGS[0]:100", "end", 1); len(all) == 0 || all[0].From != 100 || !strings.HasPrefix(all[len(all)-1].Name, "LOGS ") {
		t.Errorf("one stream named: %+v", all)
	}
	if _, err := s.plan("0:100", "end", 1); err == nil || !strings.Contains(err.Error(), "several streams") {
		t.Errorf("a place without a stream: %v", err)
	}
	if _, err := s.plan("LOGS[0]:100", "MORE[0]:200", 1); err == nil || !strings.Contains(err.Error(), "named by both") {
		t.Errorf("places of two streams: %v", err)
	}
	if _, err := history.PlanRange(t.Context(), s.conn, s.cfg, bound(t, "2000"), bound(t, "end"), 1); err == nil || !strings.Contains(err.Error(), "stream MORE ends with 999") {
		t.Errorf("a sequence that one stream does not have: %v", err)
	}
}
