package group

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// crowd is a group as a test plays it: members that do what a plan says.
type crowd struct {
	partitions map[string][]int32
	members    []*actor
	generation int32
	before     map[wire.TopicPartition]string
}

type actor struct {
	peer
	has map[wire.TopicPartition]bool // true: draining
}

func (c *crowd) peers() []peer {
	var ps []peer
	for _, a := range c.members {
		p := a.peer
		p.owned = order(slices.Collect(maps.Keys(a.has)))
		p.draining = nil
		for _, tp := range p.owned {
			p.draining = append(p.draining, a.has[tp])
		}
		ps = append(ps, p)
	}
	return ps
}

// round plans and lets every member take over what it is given; what it is not
// given any more drains.
func (c *crowd) round(memory bool) plan {
	before := c.before
	if !memory {
		before = nil
	}
	p := balance(c.partitions, c.peers(), before)
	c.generation++
	c.before = p.target
	for _, a := range c.members {
		given := map[wire.TopicPartition]bool{}
		for _, tp := range p.assigned[a.id] {
			given[tp] = true
			if _, held := a.has[tp]; !held {
				a.has[tp] = false
			}
		}
		for tp := range a.has {
			if !given[tp] {
				a.has[tp] = true
			}
		}
		a.generation = c.generation
	}
	return p
}

// drained lets a member finish what it drains.
func (a *actor) drained() {
	maps.DeleteFunc(a.has, func(_ wire.TopicPartition, draining bool) bool { return draining })
}

func drawCrowd(t *rapid.T, topics, partitions, members int) *crowd {
	c := &crowd{partitions: map[string][]int32{}}
	var names []string
	for i := range rapid.IntRange(1, topics).Draw(t, "topics") {
		name := fmt.Sprint("t", i)
		names = append(names, name)
		for n := range rapid.IntRange(0, partitions).Draw(t, "partitions") {
			c.partitions[name] = append(c.partitions[name], int32(n))
		}
	}
	same := rapid.Bool().Draw(t, "same topics")
	for i := range rapid.IntRange(1, members).Draw(t, "members") {
		c.members = append(c.members, newActor(i, names))
		if !same {
			a := c.members[i]
			a.topics = slices.DeleteFunc(slices.Clone(names), func(string) bool { return rapid.IntRange(0, 3).Draw(t, "leaves out") == 0 })
		}
	}
	return c
}

func newActor(n int, topics []string) *actor {
	id := fmt.Sprintf("m%03d", n)
	return &actor{peer: peer{id: id, key: id, claim: claim{topics: slices.Sorted(slices.Values(topics)), generation: -1}}, has: map[wire.TopicPartition]bool{}}
}

// owners fails if a partition has two, or one that did not ask for it.
func owners(t interface{ Fatalf(string, ...any) }, p plan, peers []peer) map[wire.TopicPartition]string {
	owner := map[wire.TopicPartition]string{}
	for _, peer := range peers {
		for _, tp := range p.assigned[peer.id] {
			if o, ok := owner[tp]; ok {
				t.Fatalf("%s is given to %s and %s", tp, o, peer.id)
			}
			owner[tp] = peer.id
			if !slices.Contains(peer.topics, tp.Topic) {
				t.Fatalf("%s is given to %s, which wants only %v", tp, peer.id, peer.topics)
			}
			if peer.leaving {
				t.Fatalf("%s is given to %s, which leaves", tp, peer.id)
			}
		}
	}
	return owner
}

// Whatever members say, nothing is given twice, to whom did not ask, or away from
// who holds it.
func TestNothingIsGivenTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 4, 12, 6)
		c.partitions["unseen"] = nil
		delete(c.partitions, "t3")
		claimed := map[wire.TopicPartition][]*actor{}
		for _, a := range c.members {
			a.generation = rapid.Int32Range(-1, 3).Draw(t, "generation")
			a.leaving = rapid.IntRange(0, 4).Draw(t, "leaving") == 0
			for range rapid.IntRange(0, 10).Draw(t, "owned") {
				tp := wire.TopicPartition{Topic: fmt.Sprint("t", rapid.IntRange(0, 5).Draw(t, "topic")), Partition: rapid.Int32Range(-1, 14).Draw(t, "partition")}
				if _, held := a.has[tp]; !held {
					claimed[tp] = append(claimed[tp], a)
				}
				a.has[tp] = rapid.Bool().Draw(t, "draining")
			}
		}
		peers := c.peers()
		p := balance(c.partitions, peers, nil)
		for tp, id := range owners(t, p, peers) {
			var newest int32 = -2
			for _, a := range claimed[tp] {
				newest = max(newest, a.generation)
			}
			if as := claimed[tp]; len(as) > 0 && !slices.ContainsFunc(as, func(a *actor) bool { return a.id == id && a.generation == newest }) {
				t.Fatalf("%s is given to %s while %d others hold it, the newest in generation %d", tp, id, len(as), newest)
			}
		}
		slices.Reverse(peers)
		if diff := cmp.Diff(p, balance(c.partitions, peers, nil), cmp.AllowUnexported(plan{})); diff != "" {
			t.Fatalf("the order of members decides:\n%s", diff)
		}
	})
}

// spread is the largest difference of loads between members with the same topics.
func (c *crowd) spread() int {
	loads := map[string][]int{}
	for _, a := range c.members {
		if !a.leaving {
			key := fmt.Sprint(a.topics)
			loads[key] = append(loads[key], len(a.has))
		}
	}
	worst := 0
	for _, l := range loads {
		worst = max(worst, slices.Max(l)-slices.Min(l))
	}
	return worst
}

// Members come, go and change their minds; after each change two rounds leave
// everything assigned, balanced and at rest, and what moved had to.
func TestTwoRoundsSettle(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawCrowd(t, 3, 20, 6)
		memory := rapid.Bool().Draw(t, "same leader")
		next := 100
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			count.Step()
			switch rapid.IntRange(0, 4).Draw(t, "change") {
			case 0:
				var names []string
				for name := range c.partitions {
					names = append(names, name)
				}
				c.members = append(c.members, newActor(next, names))
				next++
			case 1:
				if len(c.members) > 1 {
					c.members = slices.Delete(c.members, 0, 1)
				}
			case 2:
				c.partitions["t0"] = append(c.partitions["t0"], int32(len(c.partitions["t0"])))
			case 3:
				c.members[0].topics = []string{"t0"}
			case 4: // restarts with nothing
				clear(c.members[0].has)
				c.members[0].generation = -1
			}
			rounds := 0
			for ; ; rounds++ {
				if rounds > 3 {
					t.Fatalf("no rest after %d rounds", rounds)
				}
				p := c.round(memory)
				owners(t, p, c.peers())
				rest := p.withheld == 0
				for _, a := range c.members {
					a.drained()
				}
				if rest {
					break
				}
			}
			if memory && rounds > 1 {
				t.Fatalf("%d rounds", rounds+1)
			}
			if s := c.spread(); s > 1 {
				t.Fatalf("loads of equal members differ by %d", s)
			}
			c.complete(t)
			for _, a := range c.members {
				for tp := range a.has {
					if before := c.before[tp]; before != a.key {
						t.Fatalf("%s is held by %s and meant for %s", tp, a.key, before)
					}
				}
			}
		}
	})
}

func (c *crowd) complete(t *rapid.T) {
	for topic, ids := range c.partitions {
		wanted := slices.ContainsFunc(c.members, func(a *actor) bool { return slices.Contains(a.topics, topic) })
		for _, id := range ids {
			tp := wire.TopicPartition{Topic: topic, Partition: id}
			held := slices.ContainsFunc(c.members, func(a *actor) bool { _, ok := a.has[tp]; return ok })
			if held != wanted {
				t.Fatalf("%s: held %v, wanted %v", tp, held, wanted)
			}
		}
	}
}

// Among members with the same topics exactly as many partitions move as have to.
func TestNothingMovesThatNeedNot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &crowd{partitions: map[string][]int32{"t": nil}}
		for i := range rapid.IntRange(1, 7).Draw(t, "members") {
			a := newActor(i, []string{"t"})
			for range rapid.IntRange(0, 9).Draw(t, "holds") {
				n := int32(len(c.partitions["t"]))
				c.partitions["t"] = append(c.partitions["t"], n)
				a.has[wire.TopicPartition{Topic: "t", Partition: n}] = false
			}
			c.members = append(c.members, a)
		}
		free := rapid.IntRange(0, 9).Draw(t, "free")
		for range free {
			c.partitions["t"] = append(c.partitions["t"], int32(len(c.partitions["t"])))
		}
		// The least that has to move: what is above a fair share, the larger shares
		// going to those who hold most.
		var loads []int
		for _, a := range c.members {
			loads = append(loads, len(a.has))
		}
		slices.Sort(loads)
		slices.Reverse(loads)
		all, n, least := len(c.partitions["t"]), len(loads), 0
		for i, load := range loads {
			share := all / n
			if i < all%n {
				share++
			}
			least += max(0, load-share)
		}
		if p := balance(c.partitions, c.peers(), nil); p.withheld != least {
			t.Fatalf("%d partitions move, %d have to: loads %v and %d free", p.withheld, least, loads, free)
		}
	})
}

func TestWhatDrainsIsGivenUpFirst(t *testing.T) {
	t.Parallel()
	c := &crowd{partitions: map[string][]int32{"t": {0, 1, 2, 3}}}
	old, fresh := newActor(0, []string{"t"}), newActor(1, []string{"t"})
	c.members = []*actor{old, fresh}
	for i := range int32(4) {
		old.has[wire.TopicPartition{Topic: "t", Partition: i}] = i < 2
	}
	p := balance(c.partitions, c.peers(), nil)
	want := map[string][]wire.TopicPartition{"m000": {{Topic: "t", Partition: 2}, {Topic: "t", Partition: 3}}, "m001": nil}
	if diff := cmp.Diff(want, p.assigned); diff != "" || p.withheld != 2 {
		t.Errorf("withheld %d, (-want +got):\n%s", p.withheld, diff)
	}
}

func TestAStaticMemberFindsItsOwnAgain(t *testing.T) {
	t.Parallel()
	c := &crowd{partitions: map[string][]int32{"t": {0, 1, 2, 3, 4, 5}}}
	for i := range 3 {
		c.members = append(c.members, newActor(i, []string{"t"}))
	}
	c.round(true)
	had := maps.Clone(c.members[1].has)
	c.members[1].id = "another"
	clear(c.members[1].has)
	c.members[1].generation = -1
	c.round(true)
	if diff := cmp.Diff(had, c.members[1].has); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestTopicsOfWhichNothingIsKnownStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	a, b := newActor(0, []string{"t", "gone"}), newActor(1, []string{"t", "gone"})
	c := &crowd{partitions: map[string][]int32{"t": {0}}, members: []*actor{a, b}}
	for i := range int32(3) {
		a.has[wire.TopicPartition{Topic: "gone", Partition: i}] = false
		a.has[wire.TopicPartition{Topic: "t", Partition: i + 1}] = false
	}
	p := balance(c.partitions, c.peers(), nil)
	if got := len(p.assigned["m000"]) + len(p.assigned["m001"]); got != 4 || p.withheld != 0 {
		t.Errorf("%v, %d withheld: want the three of the unknown topic, and one of t", p.assigned, p.withheld)
	}
	for _, tp := range p.assigned["m001"] {
		if tp.Topic == "gone" {
			t.Errorf("%s moved", tp)
		}
	}
}

func BenchmarkBalance(b *testing.B) {
	for _, size := range []struct{ topics, partitions, members int }{{1, 1000, 100}, {20, 50, 100}} {
		b.Run(fmt.Sprintf("%dx%d-%d", size.topics, size.partitions, size.members), func(b *testing.B) {
			c := &crowd{partitions: map[string][]int32{}}
			var names []string
			for i := range size.topics {
				name := fmt.Sprint("t", i)
				names = append(names, name)
				for n := range size.partitions {
					c.partitions[name] = append(c.partitions[name], int32(n))
				}
			}
			for i := range size.members / 2 {
				c.members = append(c.members, newActor(i, names))
			}
			c.round(false)
			for i := range size.members / 2 {
				c.members = append(c.members, newActor(i+size.members, names))
			}
			peers := c.peers()
			for b.Loop() {
				if p := balance(c.partitions, peers, nil); p.withheld != size.topics*size.partitions/2 {
					b.Fatalf("%d withheld", p.withheld)
				}
			}
		})
	}
}
