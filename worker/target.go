package worker

import (
	"hash/maphash"
	"math/bits"

	"github.com/flushline/flushline/protocol"
)

// target is where the groups of one key go, as one strand sees it: there is one per
// key and strand, of ten thousand keys, and each message looks at one.
type target struct {
	key   packedKey
	route *route // nil: none takes the key; leftOut
	first slot   // of the first flusher entry that is wanted, if there is one
	more  *[]slot
}

// leftOut is the route of keys that Config.Only leaves out.
var leftOut = new(route)

// slot is one flusher entry of a target.
type slot struct {
	entry  *entry
	lane   *lane // nil: it has to be found
	staged int   // which of the strand's staged is for it, counted from 1; 0: none
}

// slots is how many flusher entries are wanted.
func (t *target) slots() int {
	switch {
	case t.first.entry == nil:
		return 0
	case t.more == nil:
		return 1
	}
	return 1 + len(*t.more)
}

func (t *target) slot(i int) *slot {
	if i == 0 {
		return &t.first
	}
	return &(*t.more)[i-1]
}

// add makes a flusher entry a wanted one.
func (t *target) add(e *entry) {
	switch {
	case t.first.entry == nil:
		t.first.entry = e
		return
	case t.more == nil:
		t.more = new([]slot)
	}
	*t.more = append(*t.more, slot{entry: e})
}

// packedKey is a key in half of the memory.
type packedKey struct {
	text              string // project, logstore and config
	project, logstore uint32 // their lengths
}

// pack copies a complete key out of the message it came with.
func pack(k *protocol.Key) packedKey {
	return packedKey{k.Project + k.Logstore + k.Config, uint32(len(k.Project)), uint32(len(k.Logstore))}
}

func (k *packedKey) is(other *protocol.Key) bool {
	p, l := int(k.project), int(k.project)+int(k.logstore)
	return len(other.Project) == p && len(other.Logstore) == int(k.logstore) &&
		k.text[:p] == other.Project && k.text[p:l] == other.Logstore && k.text[l:] == other.Config
}

func (k *packedKey) key() protocol.Key {
	p, l := k.project, k.project+k.logstore
	return protocol.Key{Project: k.text[:p], Logstore: k.text[p:l], Config: k.text[l:]}
}

// targets is a strand's own cache, which needs no lock. It is found by a hash of
// the key: comparing the one key that is found costs less than a map of structs of
// strings, which reads each of them from memory that is not in the cache. Two keys of
// one hash, if there ever are any, take each other's place.
type targets struct {
	seed maphash.Seed
	of   map[uint64]*target
}

func newTargets() targets {
	return targets{seed: maphash.MakeSeed(), of: map[uint64]*target{}}
}

func (ts *targets) hash(k *protocol.Key) uint64 {
	h := maphash.String(ts.seed, k.Project)
	h = bits.RotateLeft64(h, 23) ^ maphash.String(ts.seed, k.Logstore)
	return bits.RotateLeft64(h, 23) ^ maphash.String(ts.seed, k.Config)
}

// target finds where a key goes.
func (s *strand) target(key *protocol.Key) *target {
	h := s.targets.hash(key)
	if t := s.targets.of[h]; t != nil && t.key.is(key) {
		return t
	}
	if len(s.targets.of) > 2*s.w.cfg.Limits.Lanes {
		clear(s.targets.of) // what is staged knows its own
	}
	t := s.table.target(key, &s.w.only)
	s.targets.of[h] = t
	return t
}

// target makes that of a key: of the first route that matches, if there is one.
func (tb *table) target(key *protocol.Key, only *selection) *target {
	t := &target{key: pack(key)}
	for _, r := range tb.routes {
		if matches(&r.match, key.Project, key.Logstore, key.Config) {
			t.route = r
			break
		}
	}
	if !only.wants(key, t.route) {
		t.route = leftOut
	}
	if t.route == nil || t.route == leftOut {
		return t
	}
	for _, e := range t.route.entries {
		if only.flusher == "" || e.flusher == only.flusher {
			t.add(e)
		}
	}
	if t.slots() == 0 {
		t.route = leftOut
	}
	return t
}
