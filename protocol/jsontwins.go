package protocol

import (
	"hash/maphash"
	"slices"
	"sync"
	"unicode/utf8"
)

// twins finds names that stand twice in an object. Names are added by precedence:
// one that was added before counts, and its twins are dropped.
type twins struct {
	names []string
	drop  []bool
	kept  int     // how many names hold for all logs of a group
	seen  uint64  // the bits of those
	table []int32 // of places in names, plus one; for many names
}

// few names are compared with each other where their bits meet, which is quicker than
// hashing them.
const few = 24

// bit is one of 64 for a name: names of different bits are different.
func bit(name string) uint64 {
	if name == "" {
		return 1
	}
	return 1 << ((len(name)*5 + int(name[0])*7 + int(name[len(name)-1])*11 + int(name[len(name)/2])*3) & 63)
}

var (
	twinsPool = sync.Pool{New: func() any { return new(twins) }}
	twinsSeed = maphash.MakeSeed() // names come from outside and shall not meet in the table
)

func borrowTwins() *twins {
	t := twinsPool.Get().(*twins)
	t.restart()
	return t
}

// giveBack lets go of the names: they may alias a message.
func (t *twins) giveBack() {
	clear(t.names[:cap(t.names)])
	if cap(t.names) <= 4096 {
		twinsPool.Put(t)
	}
}

func (t *twins) restart() { t.kept, t.names, t.drop = 0, t.names[:0], t.drop[:0] }

// forget takes out what was added behind the kept names.
func (t *twins) forget() { t.names, t.drop = t.names[:t.kept], t.drop[:t.kept] }

// add adds a name as JSON shows it: different bytes that are no UTF-8 look alike.
func (t *twins) add(name string) {
	if !utf8.ValidString(name) {
		name = string([]rune(name))
	}
	t.names = append(t.names, name)
	t.drop = append(t.drop, false)
}

// keep finds the twins among the names so far, which then hold for the whole group.
func (t *twins) keep() {
	t.findFrom(0, 0, 0)
	t.kept, t.seen = len(t.names), 0
	for _, name := range t.names {
		t.seen |= bit(name)
	}
}

// find says whether one of the names behind the kept ones is a twin: of those, and
// with the kept ones of them, too.
func (t *twins) find(withKept bool) bool {
	if withKept {
		return t.findFrom(0, t.kept, t.seen)
	}
	return t.findFrom(t.kept, t.kept, 0)
}

// findFrom compares the names from at on with those before them down to low, whose
// bits are seen.
func (t *twins) findFrom(low, at int, seen uint64) (found bool) {
	if len(t.names)-low > few {
		return t.findMany(low, at)
	}
	for i := at; i < len(t.names); i++ {
		b := bit(t.names[i])
		if seen&b != 0 && slices.Contains(t.names[low:i], t.names[i]) {
			t.drop[i], found = true, true
		}
		seen |= b
	}
	return found
}

func (t *twins) findMany(low, at int) (found bool) {
	size := 4 * few
	for size < 2*(len(t.names)-low) {
		size *= 2
	}
	if cap(t.table) < size {
		t.table = make([]int32, size)
	}
	t.table = t.table[:size]
	clear(t.table)
	for i := low; i < len(t.names); i++ {
		if t.enter(i) && i >= at {
			t.drop[i], found = true, true
		}
	}
	return found
}

// enter enters a name into the table, and says whether it was there.
func (t *twins) enter(i int) bool {
	mask := uint64(len(t.table) - 1)
	for h := maphash.String(twinsSeed, t.names[i]) & mask; ; h = (h + 1) & mask {
		switch at := t.table[h]; {
		case at == 0:
			t.table[h] = int32(i) + 1
			return false
		case t.names[at-1] == t.names[i]:
			return true
		}
	}
}
