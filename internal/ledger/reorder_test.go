package ledger

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
)

func book(groups int, keys ...protocol.Key) Book {
	b := make(Book, groups)
	for i := range b {
		b[i] = Entry{Key: keys[i%len(keys)], Logs: 1, Confirmed: true}
	}
	return b
}

func TestReorderingIsMeasured(t *testing.T) {
	t.Parallel()
	key := protocol.Key{Project: "p", Logstore: "l", Config: "c"}
	for name, c := range map[string]struct {
		arrived       []uint64
		logs, deepest int
	}{
		"in order":                 {[]uint64{0, 1, 2, 3, 4}, 0, 0},
		"with a gap":               {[]uint64{0, 3, 4}, 0, 0},
		"two exchanged":            {[]uint64{0, 2, 1, 3}, 1, 1},
		"one far behind":           {[]uint64{1, 2, 3, 4, 0}, 1, 4},
		"one behind the last only": {[]uint64{0, 1, 2, 4, 3}, 1, 1},
		"backwards":                {[]uint64{4, 3, 2, 1, 0}, 4, 4},
		"a block late":             {[]uint64{3, 4, 0, 1, 2}, 3, 4},
		"a copy is not late":       {[]uint64{0, 1, 2, 0, 1, 3}, 0, 0},
	} {
		c2 := NewCount(book(5, key), nil)
		for _, n := range c.arrived {
			c2.See(Sighting{File: "f", ID: ID{Group: n}, Known: true, Intact: true, Key: key})
		}
		if got := c2.Verdict().Reorder; got.Logs != c.logs || got.Deepest != c.deepest {
			t.Errorf("%s: got %+v, want %d logs, %d deep", name, got, c.logs, c.deepest)
		}
	}
}

func TestOrderIsThatOfAKeyInAPlace(t *testing.T) {
	t.Parallel()
	a, b := protocol.Key{Project: "a", Logstore: "l", Config: "c"}, protocol.Key{Project: "b", Logstore: "l", Config: "c"}
	keys := []protocol.Key{a, b}
	see := func(c *Count, file string, n uint64) {
		c.See(Sighting{File: file, ID: ID{Group: n}, Known: true, Intact: true, Key: keys[n%2]})
	}
	c := NewCount(book(8, keys...), nil)
	for _, n := range []uint64{1, 3, 0, 2} { // each key in order
		see(c, "f", n)
	}
	see(c, "g", 6) // another place is no line to stand in
	see(c, "f", 4)
	if got := c.Verdict().Reorder; got != (Reorder{}) {
		t.Errorf("got %+v", got)
	}
	see(c, "f", 7)
	see(c, "f", 5)
	if got := c.Verdict().Reorder; got != (Reorder{Logs: 1, Keys: 1, Deepest: 1, Key: b.String()}) {
		t.Errorf("got %+v", got)
	}
}

// The depths are those of RFC 4737's definition, computed as it is written there.
func TestDepthsAreTheExtentOfTheRFC(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "n")
		ids := make([]int, n)
		for i := range ids {
			ids[i] = i
		}
		ids = rapid.Permutation(ids).Draw(t, "order")
		var a arrivals
		for i, id := range ids {
			want := 0
			if j := slices.IndexFunc(ids[:i], func(earlier int) bool { return earlier > id }); j >= 0 {
				want = i - j
			}
			if got := a.arrive(ID{Group: uint64(id)}); got != want {
				t.Fatalf("%d at place %d of %v: depth %d, want %d", id, i, ids, got, want)
			}
		}
	})
}
