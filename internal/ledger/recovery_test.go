package ledger

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
)

func TestMarksAreReadBackBesideTheBook(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	if marks, err := LoadMarks(path); marks != nil || err != nil {
		t.Errorf("of no journal: %v, %v", marks, err)
	}
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	load := Load{Run: "r", Keys: Keys(1, "p"), Logs: 1}
	before := time.Now()
	for i := range 3 {
		if _, err := j.try(&load); err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			if err := j.Mark(`the "server" is back`); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	marks, err := LoadMarks(path)
	if err != nil || len(marks) != 1 {
		t.Fatalf("%v, %v", marks, err)
	}
	if m := marks[0]; m.Name != `the "server" is back` || m.Next != 2 || m.At.Before(before) || m.At.After(time.Now()) {
		t.Errorf("got %+v", m)
	}
	if book, err := LoadBook(path); err != nil || len(book) != 3 {
		t.Errorf("%d groups, %v", len(book), err)
	}
}

func TestRecoveryIsTimed(t *testing.T) {
	t.Parallel()
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	zero := time.Unix(1000, 0)
	after := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	marks := []Mark{
		{"killed", after(10), 10}, {"killed", after(20), 20}, {"cut", after(21), 20}, {"cut", after(90), 99},
	}
	c := NewCount(book(100, key), nil)
	c.Time(marks)
	see := func(n uint64, at float64) {
		c.See(Sighting{File: "f", ID: ID{Group: n}, Known: true, Intact: true, Key: key, At: after(at)})
	}
	see(5, 9)     // before all
	see(9, 10.5)  // arrived after the first kill, but was sent before it
	see(12, 14)   // the first kill is over
	see(11, 13)   // a file may have them in another order
	see(13, 30)   // sent between the kills: not for the second
	see(20, 20.5) // sent after the second kill, arrived before the cut
	see(25, 23)   // the cut is over
	see(98, 95)   // sent before the last cut
	v := c.Verdict()
	want := map[string]Recovery{
		"killed": {Marks: 2, Recovered: 2, P50: 0.5, P99: 3, Max: 3},
		"cut":    {Marks: 2, Recovered: 1, P50: 2, P99: 2, Max: 2},
	}
	if diff := cmp.Diff(want, v.Recovery); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestADestinationWithoutTimesHasNoRecovery(t *testing.T) {
	t.Parallel()
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	c := NewCount(book(2, key), nil)
	c.Time([]Mark{{"killed", time.Unix(1, 0), 0}})
	c.See(Sighting{ID: ID{Group: 1}, Known: true, Intact: true, Key: key})
	if r := c.Verdict().Recovery; r != nil {
		t.Errorf("got %v", r)
	}
}

func TestAStampIsReadBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Unix(5, 7)
	files := Files{Run: "r1"}
	s := files.Line(Stamp(b.lines[0], at), "")
	if !s.Known || !s.Intact || !s.At.Equal(at) {
		t.Errorf("got %+v", s)
	}
	for _, raw := range []string{"", "{}", "x\n", "[1]\n"} {
		if got := Stamp([]byte(raw), at); string(got) != raw {
			t.Errorf("%q became %q", raw, got)
		}
	}
}
