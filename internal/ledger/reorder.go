package ledger

import (
	"cmp"
	"slices"

	"github.com/flushline/flushline/protocol"
)

// Reorder says how far from the order of their ids logs arrived, each key and each
// place for itself. A log's depth is the reordering extent of RFC 4737: how many
// places it stands behind the first log that should have come after it. Copies do
// not count, only the first of each. Of a load with many workers the producers' own
// races are in it.
type Reorder struct {
	Logs    int    `json:"logs"`    // that came behind a later one
	Keys    int    `json:"keys"`    // that had such a log
	Deepest int    `json:"deepest"` // in logs of the same key and place
	Key     string `json:"key,omitempty"`
}

// lane is where order can be seen: one key in one file, subject or partition.
type lane struct {
	key   protocol.Key
	place string
}

// arrivals is what a lane needs to know: the logs that were the latest so far.
type arrivals struct {
	seen int
	tops []top // ids and positions both rise
}

type top struct {
	id ID
	at int
}

func (id ID) compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Group, other.Group), cmp.Compare(id.Log, other.Log))
}

// arrive takes the next log of the lane and returns its depth.
func (a *arrivals) arrive(id ID) int {
	at := a.seen
	a.seen++
	i, _ := slices.BinarySearchFunc(a.tops, id, func(t top, id ID) int { return t.id.compare(id) })
	if i < len(a.tops) {
		return at - a.tops[i].at
	}
	a.tops = append(a.tops, top{id, at})
	return 0
}

// order gathers the depths of one destination.
type order struct {
	lanes map[lane]*arrivals
	late  map[protocol.Key]struct{}
	sum   Reorder
}

func newOrder() order {
	return order{lanes: map[lane]*arrivals{}, late: map[protocol.Key]struct{}{}}
}

func (o *order) see(s *Sighting) {
	l := lane{s.Key, s.File}
	a := o.lanes[l]
	if a == nil {
		a = new(arrivals)
		o.lanes[l] = a
	}
	depth := a.arrive(s.ID)
	if depth == 0 {
		return
	}
	o.sum.Logs++
	o.late[s.Key] = struct{}{}
	o.sum.Keys = len(o.late)
	if depth > o.sum.Deepest {
		o.sum.Deepest, o.sum.Key = depth, s.Key.String()
	}
}
