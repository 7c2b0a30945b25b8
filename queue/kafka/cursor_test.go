package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// logs is what is left for a lease of logs[3].
func logs(committed int64, metadata string) inheritance {
	return inheritance{Cluster: "c", Partition: wire.TopicPartition{Topic: "logs", Partition: 3}, Committed: committed, Metadata: metadata}
}

// take receives the positions [from, to) and returns the ordinals of those that
// have to be delivered.
func take(c *cursor, from, to int64) map[int64]int64 {
	open := map[int64]int64{}
	for pos := from; pos < to; pos++ {
		if o, already := c.received(pos); !already {
			open[pos] = o
		}
	}
	return open
}

func endAll(c *cursor, open map[int64]int64, positions ...int64) {
	for _, p := range positions {
		c.mark.End(open[p])
		delete(open, p)
	}
}

func TestAMapIsInheritedAndCarriedUntilItIsPassed(t *testing.T) {
	t.Parallel()
	first := newCursor(logs(100, ""), 100, 1000, time.Time{})
	open := take(first, 100, 120)
	endAll(first, open, 100, 101, 105, 106, 110, 119)
	m, _, ok := first.last()
	if !ok || m.offset != 102 || m.metadata == "" {
		t.Fatalf("the last commit is %+v (%v), want 102 with a map", m, ok)
	}

	second := newCursor(logs(m.offset, m.metadata), m.offset, 1000, time.Time{})
	if n, foreign := second.left(); n != 4 || foreign {
		t.Errorf("%d positions left, foreign %v, want 4", n, foreign)
	}
	if _, ok := second.due(time.Time{}); ok {
		t.Error("what is stored already is due")
	}
	open = take(second, 102, 115)
	for _, pos := range []int64{105, 106, 110} {
		if _, again := open[pos]; again {
			t.Errorf("%d is delivered again", pos)
		}
	}
	endAll(second, open, 102, 103, 104)
	m, ok = second.due(time.Time{})
	if !ok || m.offset != 107 {
		t.Fatalf("due is %+v (%v), want 107: what ended before counts as ended", m, ok)
	}
	got, _ := decodeGaps(second.scope, m.offset, m.metadata)
	if diff := cmp.Diff(ivs{{From: 110, To: 111}, {From: 119, To: 120}}, got); diff != "" {
		t.Errorf("between times the inherited map goes along, also what was not received again (-want +got):\n%s", diff)
	}
	endAll(second, open, 112)
	m, _, _ = second.last()
	got, _ = decodeGaps(second.scope, m.offset, m.metadata)
	if diff := cmp.Diff(ivs{{From: 110, To: 111}, {From: 112, To: 113}, {From: 119, To: 120}}, got); diff != "" {
		t.Errorf("at the end both go along (-want +got):\n%s", diff)
	}

	third := newCursor(logs(m.offset, m.metadata), m.offset, 1000, time.Time{})
	open = take(third, 107, 130)
	for pos := range open {
		third.mark.End(open[pos])
	}
	if m, _, ok := third.last(); !ok || m.offset != 130 || m.metadata != "" {
		t.Errorf("past the map: %+v (%v), want 130 without metadata", m, ok)
	}
}

func TestWhereALeaseBegins(t *testing.T) {
	t.Parallel()
	text := encodeGaps("c/logs[3]", 100, ivs{{From: 110, To: 120}, {From: 130, To: 140}}, metadataLimit)
	for name, c := range map[string]struct {
		committed, start int64
		metadata         string
		due              bool // at once
		left             int64
		foreign          bool
	}{
		"at the committed offset":             {100, 100, text, false, 20, false},
		"nothing is committed":                {-1, 40, "", true, 0, false},
		"nothing is committed, and a map":     {-1, 40, text, true, 0, true},
		"above it: the log begins later":      {100, 115, text, true, 15, false},
		"below it: the log is another":        {100, 0, text, true, 0, false},
		"another program's metadata":          {100, 100, "host-7", false, 0, true},
		"an offset that was reset by someone": {90, 90, text, false, 0, true},
	} {
		cur := newCursor(logs(c.committed, c.metadata), c.start, 10, time.Time{})
		left, foreign := cur.left()
		m, due := cur.due(time.Time{})
		if left != c.left || foreign != c.foreign || due != c.due || due && m.offset != c.start {
			t.Errorf("%s: %d left, foreign %v, due %+v (%v), want %d, %v, %v", name, left, foreign, m, due, c.left, c.foreign, c.due)
		}
	}
}

func TestACursorThatIsOverCommitsNothing(t *testing.T) {
	t.Parallel()
	c := newCursor(logs(0, ""), 0, 10, time.Time{})
	open := take(c, 0, 5)
	endAll(c, open, 0, 1)
	m, ok := c.due(time.Time{})
	if !ok {
		t.Fatal("nothing is due")
	}
	c.end()
	c.stored(m, nil, time.Time{})
	if _, ok := c.due(time.Time{}); ok {
		t.Error("something is due after the end")
	}
	if _, over, ok := c.last(); ok || !over {
		t.Error("there is a last commit after the end")
	}
	if s := c.status(); s.committed != 0 {
		t.Errorf("an answer after the end made %d the committed offset", s.committed)
	}
}

func TestFailedCommitsAreState(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	c := newCursor(logs(0, ""), 0, 10, at(0))
	open := take(c, 0, 5)
	endAll(c, open, 0)
	boom := errors.New("boom")
	for s := 1; s <= 3; s++ {
		m, _ := c.due(at(s))
		c.stored(m, boom, at(s))
	}
	if s := c.status(); !errors.Is(s.err, boom) || !s.since.Equal(at(1)) || !s.at.Equal(at(0)) || s.committed != 0 || s.low != 1 {
		t.Errorf("after three failures: %+v", s)
	}
	m, _ := c.due(at(4))
	c.stored(m, nil, at(4))
	if s := c.status(); s.err != nil || !s.since.IsZero() || !s.at.Equal(at(4)) || s.committed != 1 {
		t.Errorf("after a success: %+v", s)
	}
	c.due(at(9))
	if s := c.status(); !s.at.Equal(at(9)) {
		t.Errorf("with nothing to commit it looks as old as %v", s.at)
	}
}

func TestABrokerThatTakesNoMapGetsNone(t *testing.T) {
	t.Parallel()
	c := newCursor(logs(0, ""), 0, 10, time.Time{})
	open := take(c, 0, 5)
	endAll(c, open, 0, 2)
	m, _, _ := c.last()
	if m.metadata == "" {
		t.Fatal("no map")
	}
	c.stored(m, &wire.Error{Err: kafka.OffsetMetadataTooLarge}, time.Time{})
	if m, _, ok := c.last(); !ok || m.offset != 1 || m.metadata != "" {
		t.Errorf("then %+v (%v), want 1 without metadata", m, ok)
	}
}

func TestPositionsThatGoBackAreIgnored(t *testing.T) {
	t.Parallel()
	text := encodeGaps("c/logs[3]", 0, ivs{{From: 2, To: 4}}, metadataLimit)
	c := newCursor(logs(0, text), 0, 10, time.Time{})
	take(c, 0, 6)
	if o, _ := c.received(3); o != -1 {
		t.Errorf("ordinal %d for a position that was received", o)
	}
	if low, above := c.mark.Above(); low != 0 || !cmp.Equal(above, []queue.Interval{{From: 2, To: 4}}) {
		t.Errorf("low %d, above %v", low, above)
	}
}
