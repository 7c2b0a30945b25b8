package protocol

import "unsafe"

// Slabs is memory for decoded groups that is used again. It fits only flushers
// whose kind declares NoRetain: after Reset every group it decoded is invalid.
// The zero value is ready. Not for concurrent use.
type Slabs struct {
	groups slab[LogGroup]
	logs   slab[Log]
	pairs  slab[Log_Content]
	ptrs   slab[*Log_Content]
	values slab[string]
	times  slab[uint32]
}

// slabKeep is how many bytes of one slab outlive a Reset: idle memory that no
// budget knows of must stay small.
const slabKeep = 1 << 20

// Decode is Group.Decode into this memory, without allocations once it has grown.
func (s *Slabs) Decode(g *Group) *LogGroup {
	return g.fill(slabs{
		group:  &s.groups.take(1)[0],
		logs:   s.logs.take(int(g.Logs)),
		pairs:  s.pairs.take(g.pairs()),
		ptrs:   s.ptrs.take(g.pointers()),
		values: s.values.take(int(g.Values)),
		times:  s.times.take(int(g.TimesNs)),
	})
}

// Reset makes the memory free for the next batch. It keeps no reference to the
// bodies the groups aliased, and at most 6 MiB of its own.
func (s *Slabs) Reset() {
	s.groups.reset()
	s.logs.reset()
	s.pairs.reset()
	s.ptrs.reset()
	s.values.reset()
	s.times.reset()
}

// slab hands out zeroed elements one after the other.
type slab[T any] struct{ used []T }

func (s *slab[T]) take(n int) []T {
	if cap(s.used)-len(s.used) < n {
		// The old memory stays with the groups that lie in it.
		s.used = make([]T, 0, max(n, 2*cap(s.used)))
	}
	from := len(s.used)
	s.used = s.used[:from+n]
	return s.used[from : from+n : from+n]
}

func (s *slab[T]) reset() {
	var t T
	if uintptr(cap(s.used))*unsafe.Sizeof(t) > slabKeep {
		s.used = nil
		return
	}
	clear(s.used)
	s.used = s.used[:0]
}
