package group

import (
	"cmp"
	"slices"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// peer is a member as the leader sees it.
type peer struct {
	id  string // of the member
	key string // what stays the same over a restart: the instance name, else the id
	claim
	said uint64 // fingerprint of the subscription
}

// plan is what a round decides.
type plan struct {
	assigned map[string][]wire.TopicPartition // by member id, ordered
	target   map[wire.TopicPartition]string   // key of who has it in the end
	withheld int                              // partitions that wait for their owners to let go
}

// balance decides who gets what. It is sticky (nothing moves that need not),
// cooperative (what somebody holds goes to its holder or, this round, to nobody)
// and deterministic. Members with the same topics end within one partition of
// each other; a member never gets a partition of a topic that it did not ask for.
//
// partitions lists each topic's; of a topic that is missing nothing is known, and
// who holds its partitions keeps them. before is the target of the plan that this
// leader made last: who was to have a partition gets it, if it is free. It is how
// a member that comes back without a claim finds its own again.
func balance(partitions map[string][]int32, peers []peer, before map[wire.TopicPartition]string) plan {
	t := newTable(partitions, peers)
	t.claims()
	t.keep()
	t.remember(before)
	t.fill()
	t.level()
	return t.plan()
}

// table is the state of one balance. Members and topics are numbers in it.
type table struct {
	peers  []*seat
	topics []string
	eager  [][]int // by topic: the members that may have its partitions
	cells  []cell
	index  map[wire.TopicPartition]int
}

type seat struct {
	*peer
	load   int
	firm   [][]int // by topic: cells it holds and need not give up
	soft   [][]int // by topic: cells it would have, free or draining now
	stay   []wire.TopicPartition
	eager  map[string]bool
	number int
}

// cell is a partition.
type cell struct {
	wire.TopicPartition
	topic    int
	owner    *seat // who holds it now
	draining bool  // and is giving it up already
	target   *seat // who has it in the end
}

func newTable(partitions map[string][]int32, peers []peer) *table {
	t := &table{index: map[wire.TopicPartition]int{}}
	for name := range partitions {
		t.topics = append(t.topics, name)
	}
	slices.Sort(t.topics)
	ordered := make([]*peer, len(peers))
	for i := range peers {
		ordered[i] = &peers[i]
	}
	slices.SortFunc(ordered, func(a, b *peer) int { return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.id, b.id)) })
	for i, p := range ordered {
		s := &seat{peer: p, number: i, firm: make([][]int, len(t.topics)), soft: make([][]int, len(t.topics)), eager: map[string]bool{}}
		if !p.leaving {
			for _, name := range p.topics {
				s.eager[name] = true
			}
		}
		t.peers = append(t.peers, s)
	}
	t.eager = make([][]int, len(t.topics))
	for n, name := range t.topics {
		for i, s := range t.peers {
			if s.eager[name] {
				t.eager[n] = append(t.eager[n], i)
			}
		}
		for _, id := range slices.Compact(slices.Sorted(slices.Values(partitions[name]))) {
			p := wire.TopicPartition{Topic: name, Partition: id}
			t.index[p] = len(t.cells)
			t.cells = append(t.cells, cell{TopicPartition: p, topic: n})
		}
	}
	return t
}

// claims finds the owner of each partition. Of two claims that of the later
// generation is right: who made the other was passed over when the partition was
// given away.
func (t *table) claims() {
	strays := map[wire.TopicPartition]*seat{}
	known := map[string]bool{}
	for _, name := range t.topics {
		known[name] = true
	}
	for _, s := range t.peers {
		for i, p := range s.owned {
			if n, ok := t.index[p]; ok {
				if c := &t.cells[n]; c.owner == nil || c.owner.generation < s.generation {
					c.owner, c.draining = s, s.draining[i]
				}
			} else if o := strays[p]; !known[p.Topic] && (o == nil || o.generation < s.generation) {
				strays[p] = s
			}
		}
	}
	for p, s := range strays {
		if s.eager[p.Topic] {
			s.stay = append(s.stay, p)
		}
	}
}

// keep leaves with their owners what they hold, ask for and do not drain.
func (t *table) keep() {
	for n := range t.cells {
		if c := &t.cells[n]; c.owner != nil && !c.draining && c.owner.eager[c.Topic] {
			c.target = c.owner
			c.owner.firm[c.topic] = append(c.owner.firm[c.topic], n)
			c.owner.load++
		}
	}
}

func (t *table) remember(before map[wire.TopicPartition]string) {
	if len(before) == 0 {
		return
	}
	byKey := make(map[string]*seat, len(t.peers))
	for _, s := range t.peers {
		byKey[s.key] = s
	}
	for n := range t.cells {
		c := &t.cells[n]
		if s := byKey[before[c.TopicPartition]]; c.target == nil && s != nil && s.eager[c.Topic] {
			t.give(n, s)
		}
	}
}

// fill gives what has nobody yet to those who have least. Of equals a draining
// partition goes back to its owner: that needs no other round.
func (t *table) fill() {
	for n := range t.cells {
		c := &t.cells[n]
		if c.target != nil {
			continue
		}
		var best *seat
		for _, i := range t.eager[c.topic] {
			s := t.peers[i]
			if best == nil || s.load < best.load || s.load == best.load && s == c.owner {
				best = s
			}
		}
		if best != nil {
			t.give(n, best)
		}
	}
}

func (t *table) give(n int, s *seat) {
	c := &t.cells[n]
	c.target = s
	s.soft[c.topic] = append(s.soft[c.topic], n)
	s.load++
}

// level moves single partitions from who has more to who has two less, until
// there is no such pair.
func (t *table) level() {
	ranked := slices.Clone(t.peers)
	for {
		slices.SortFunc(ranked, func(a, b *seat) int { return cmp.Or(b.load-a.load, a.number-b.number) })
		if !slices.ContainsFunc(ranked, t.relieve) {
			return
		}
	}
}

// relieve moves one partition of s to whoever has least of those who may take one,
// first of what costs nothing to move.
func (t *table) relieve(s *seat) bool {
	for _, from := range [][][]int{s.soft, s.firm} {
		var best *seat
		topic := -1
		for n, cells := range from {
			if len(cells) == 0 {
				continue
			}
			for _, i := range t.eager[n] {
				if o := t.peers[i]; o.load+2 <= s.load && (best == nil || o.load < best.load) {
					best, topic = o, n
				}
			}
		}
		if best == nil {
			continue
		}
		last := len(from[topic]) - 1
		n := from[topic][last]
		from[topic] = from[topic][:last]
		s.load--
		t.give(n, best)
		return true
	}
	return false
}

func (t *table) plan() plan {
	p := plan{assigned: map[string][]wire.TopicPartition{}, target: map[wire.TopicPartition]string{}}
	for _, s := range t.peers {
		p.assigned[s.id] = s.stay
		for _, stray := range s.stay {
			p.target[stray] = s.key
		}
	}
	for n := range t.cells {
		c := &t.cells[n]
		if c.target != nil {
			p.target[c.TopicPartition] = c.target.key
		}
		switch {
		case c.owner != nil && c.owner != c.target:
			p.withheld++
		case c.target != nil:
			p.assigned[c.target.id] = append(p.assigned[c.target.id], c.TopicPartition)
		}
	}
	for _, ps := range p.assigned {
		order(ps)
	}
	return p
}
