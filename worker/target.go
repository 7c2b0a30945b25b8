package worker

import (
	"context"
	"hash/maphash"
	"math/bits"

	"github.com/flushline/flushline/protocol"
)

// target is where the groups of one key go.
type target struct {
	key   protocol.Key
	next  *target // of the same hash
	route *route
	slots []slot // one per flusher entry that is wanted

	unwanted bool // Config.Only leaves the key out
}

// slot stages the parts of one Fetch result for one lane, so that the lane is
// locked once and scheduled once.
type slot struct {
	entry       *entry
	key         *protocol.Key // of its target
	lane        *lane
	first, last *part
	n           int
	bytes       int64
}

// targets is a strand's own cache, which needs no lock. It is found by a hash of
// the key: comparing the one key that is found costs less than a map of structs of
// strings, which reads each of them from memory that is not in the cache.
type targets struct {
	seed maphash.Seed
	of   map[uint64]*target
	n    int
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
func (s *strand) target(ctx context.Context, key protocol.Key) *target {
	h := s.targets.hash(&key)
	for t := s.targets.of[h]; t != nil; t = t.next {
		if t.key == key {
			return t
		}
	}
	if s.targets.n > 2*s.w.cfg.Limits.Lanes {
		s.offer(ctx) // the slots that go hold nothing afterwards
		clear(s.targets.of)
		s.targets.n = 0
	}
	t := s.table.route(clone(key))
	s.w.only.apply(t)
	t.next = s.targets.of[h]
	s.targets.of[h] = t
	s.targets.n++
	return t
}

// route makes the target of a key: the first route that matches, or none.
func (tb *table) route(key protocol.Key) *target {
	t := &target{key: key}
	for _, r := range tb.routes {
		if !matches(&r.match, key.Project, key.Logstore, key.Config) {
			continue
		}
		t.route = r
		t.slots = make([]slot, len(r.entries))
		for i, e := range r.entries {
			t.slots[i] = slot{entry: e, key: &t.key}
		}
		break
	}
	return t
}

// clone takes a complete key out of the message it came with, into one piece of
// memory. (With an empty field it might not copy.)
func clone(k protocol.Key) protocol.Key {
	all := k.Project + k.Logstore + k.Config
	p, l := len(k.Project), len(k.Project)+len(k.Logstore)
	return protocol.Key{Project: all[:p], Logstore: all[p:l], Config: all[l:]}
}
