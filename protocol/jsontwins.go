package protocol

import (
	"hash/maphash"
	"sync"
	"unicode/utf8"
)

// twins finds names that stand twice in an object. Names are added by precedence:
// one that was added before counts, and its twins are dropped.
type twins struct {
	names []string
	drop  []bool
	kept  int     // how many names hold for all logs of a group
	table []int32 // of places in names, plus one; for many names
}

// few names are compared with each other, which is quicker than hashing them.
const few = 16

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
	t.findFrom(0, 0)
	t.kept = len(t.names)
}

// find says whether one of the names behind the kept ones is a twin: of those, and
// with the kept ones of them, too.
func (t *twins) find(withKept bool) bool {
	if withKept {
		return t.findFrom(0, t.kept)
	}
	return t.findFrom(t.kept, t.kept)
}

// findFrom compares the names from at with those before them down to low.
func (t *twins) findFrom(low, at int) (found bool) {
	if len(t.names)-low > few {
		return t.findMany(low, at)
	}
	for i := at; i < len(t.names); i++ {
		for j := low; j < i; j++ {
			if t.names[i] == t.names[j] {
				t.drop[i], found = true, true
				break
			}
		}
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
		if t.seen(i) && i >= at {
			t.drop[i], found = true, true
		}
	}
	return found
}

// seen enters a name into the table, unless it is there.
func (t *twins) seen(i int) bool {
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
