package group

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// world is several machines, one broker and a network that delivers in any order,
// late, twice never, and sometimes not at all. Everything happens in one goroutine
// and on one clock, and chance is drawn.
type world struct {
	t     *rapid.T
	now   time.Time
	b     *broker
	nodes []*node
	mail  []func() // on its way

	partitions map[string][]int32
	leases     int // granted so far
	calm       bool
}

// node is one process: a machine and what it serves.
type node struct {
	w        *world
	name     string
	instance string
	m        *machine
	serving  map[*Lease]*service
	before   map[wire.TopicPartition]string
	frozen   bool
	dead     bool
	stopped  bool
	waiting  []func() // events that reach it when it thaws
}

// service is a Serve that runs.
type service struct {
	number   int
	position int64
	asking   int // commits that are not answered
	ending   bool
	lost     bool
}

var worldRules = rules{session: 3 * time.Second, heartbeat: 250 * time.Millisecond, drain: 2 * time.Second, leaves: true}

func newWorld(t *rapid.T) *world {
	start := time.Unix(1_700_000_000, 0)
	return &world{t: t, now: start, b: newBroker(start), partitions: map[string][]int32{"a": {0, 1, 2, 3, 4, 5}, "b": {0, 1}}}
}

func (w *world) spawn(instance string) *node {
	r := worldRules
	r.leaves = instance == ""
	r.seed = uint32(len(w.nodes))
	n := &node{w: w, name: fmt.Sprint("n", len(w.nodes)), instance: instance, m: newMachine(r), serving: map[*Lease]*service{}}
	w.nodes = append(w.nodes, n)
	n.event(func() { n.m.subscribe(w.now, []string{"a", "b"}) })
	return n
}

// event tells a node something, now or when it thaws.
func (n *node) event(f func()) {
	switch {
	case n.dead:
	case n.frozen:
		n.waiting = append(n.waiting, f)
	default:
		f()
		n.carry()
	}
}

func (n *node) carry() {
	for _, a := range n.m.actions() {
		n.start(a)
	}
}

func (w *world) post(f func()) { w.mail = append(w.mail, f) }

// call brings a request to the broker and its answer back. On the way it may be
// cut off, before or after the broker saw it.
func (n *node) call(ask func(reply func(error)), answer func(error)) {
	w := n.w
	cut := 0
	if !w.calm {
		cut = rapid.IntRange(0, 15).Draw(w.t, "cut")
	}
	w.post(func() {
		if cut == 1 {
			w.post(func() { n.event(func() { answer(errCutOff) }) })
			return
		}
		answered := false
		ask(func(err error) {
			if answered {
				w.t.Fatalf("an answer came twice")
			}
			answered = true
			if cut == 2 {
				err = errCutOff
			}
			w.post(func() { n.event(func() { answer(err) }) })
		})
	})
}

func (n *node) as(id string, gen int32) wire.Membership {
	return wire.Membership{Instance: n.instance, Member: id, Generation: gen}
}

func (n *node) start(a action) {
	w, m := n.w, n.m
	switch a := a.(type) {
	case seek:
		var addr string
		n.call(func(reply func(error)) { addr = w.b.addr(); reply(nil) },
			func(err error) { m.found(w.now, a.sent, addr, err) })
	case join:
		var r *wire.JoinResponse
		q := &wire.JoinRequest{Instance: n.instance, Member: a.id, Session: worldRules.session, Rebalance: 6 * time.Second, Protocols: []wire.JoinProtocol{{Metadata: a.claim}}}
		n.call(func(reply func(error)) {
			w.b.join(a.addr, q, func(j *wire.JoinResponse, err error) { r = j; reply(err) })
		}, func(err error) {
			if errors.Is(err, errCutOff) {
				r = nil
			}
			m.joinAnswered(w.now, a, r, err)
		})
	case lead:
		w.post(func() { n.event(func() { n.lead(a) }) })
	case agree:
		var data []byte
		q := &wire.SyncRequest{Instance: n.instance, Member: a.id, Generation: a.gen, Assignments: a.assignments}
		n.call(func(reply func(error)) {
			w.b.sync(a.addr, q, func(d []byte, err error) { data = d; reply(err) })
		}, func(err error) { m.synced(w.now, a, data, err) })
	case beat:
		n.call(func(reply func(error)) { reply(w.b.heartbeat(a.addr, n.as(a.id, a.gen))) },
			func(err error) { m.beaten(w.now, a, err) })
	case leave:
		n.call(func(reply func(error)) { reply(w.b.leave(a.addr, n.as(a.id, -1))) },
			func(err error) { m.left(w.now, a, err) })
	case compare:
		w.post(func() { n.event(func() { m.compared(w.now, layoutOf(a.topics, w.partitions), nil) }) })
	case grant:
		for _, l := range a.leases {
			n.serve(l)
		}
	case finish:
		n.serving[a.lease].ending = true
	case fence:
		n.serving[a.lease].lost = true
	}
}

func (n *node) lead(a lead) {
	m := Member{}
	peers, _ := m.peers(a.members)
	p := balance(n.w.partitions, peers, n.before)
	n.before = p.target
	n.m.planned(n.w.now, a.call, assignmentsOf(p, peers, n.w.partitions), nil)
}

func (n *node) serve(l *Lease) {
	for o := range n.serving {
		if o.TopicPartition == l.TopicPartition {
			n.w.t.Fatalf("%s has two leases of %s", n.name, l.TopicPartition)
		}
	}
	n.w.leases++
	n.serving[l] = &service{number: n.w.leases, position: n.w.b.offsets[l.TopicPartition].Offset}
}

// commit sends what a lease has done. The metadata names the lease.
func (n *node) commit(l *Lease) {
	s := n.serving[l]
	if s.lost || !n.m.owns(l) || !n.m.mayCommit(n.w.now) {
		return
	}
	s.position++
	s.asking++
	id, gen, addr, sent := n.m.id, n.m.gen, n.m.where.addr, n.w.now
	p := wire.CommitPartition{TopicPartition: l.TopicPartition, Offset: s.position, Metadata: fmt.Sprint(s.number)}
	n.call(func(reply func(error)) {
		reply(n.w.b.commit(addr, n.as(id, gen), []wire.CommitPartition{p}))
	}, func(err error) {
		s.asking--
		if judge(err) == away {
			n.m.astray(n.w.now, addr, err)
			n.m.follow(n.w.now)
			return
		}
		n.m.answered(n.w.now, id, gen, sent, err)
		n.m.follow(n.w.now)
	})
}

// done lets Serve return, unless it still waits for a commit.
func (n *node) done(l *Lease) {
	if n.serving[l].asking > 0 {
		return
	}
	delete(n.serving, l)
	n.m.served(n.w.now, l)
}

// pass lets time go by, in steps that no timer is missed in.
func (w *world) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(25 * time.Millisecond)
		w.b.pass(w.now)
		for _, n := range w.nodes {
			if !n.frozen && !n.dead && !n.m.due.IsZero() && !w.now.Before(n.m.due) {
				n.event(func() { n.m.tick(w.now) })
			}
		}
	}
}

func (w *world) deliver(i int) {
	f := w.mail[i]
	w.mail = slices.Delete(w.mail, i, i+1)
	f()
}

func (w *world) running() []*node {
	return slices.DeleteFunc(slices.Clone(w.nodes), func(n *node) bool { return n.dead || n.stopped })
}

func (n *node) leases() []*Lease {
	return slices.SortedFunc(maps.Keys(n.serving), func(a, b *Lease) int { return comparePartitions(a.TopicPartition, b.TopicPartition) })
}

func (n *node) thaw() {
	n.frozen = false
	waiting := n.waiting
	n.waiting = nil
	for _, f := range waiting {
		n.event(f)
	}
	n.event(func() { n.m.tick(n.w.now) })
}

func (n *node) stop() {
	n.stopped = true
	n.event(func() {
		n.m.stop(n.w.now, &queue.End{Reason: queue.Stopping, Deadline: n.w.now.Add(worldRules.drain)})
	})
}

// settle ends the chaos and lets everything come to rest.
func (w *world) settle() {
	w.calm = true
	for _, n := range w.nodes {
		if n.frozen {
			n.thaw()
		}
	}
	for range 2000 {
		for len(w.mail) > 0 {
			w.deliver(0)
		}
		for _, n := range w.nodes {
			for _, l := range n.leases() {
				if s := n.serving[l]; !n.dead && (s.ending || s.lost) {
					n.event(func() { n.done(l) })
				}
			}
		}
		w.pass(25 * time.Millisecond)
	}
	for len(w.mail) > 0 {
		w.deliver(0)
	}
}

// fair checks what has to be true at any time: once another lease of a partition
// has committed, the one before never does again, and no offset goes back.
func (w *world) fair() {
	over := map[wire.TopicPartition]map[string]bool{}
	last := map[wire.TopicPartition]accepted{}
	for _, c := range w.b.commits {
		if over[c.TopicPartition] == nil {
			over[c.TopicPartition] = map[string]bool{}
		}
		before, any := last[c.TopicPartition]
		if over[c.TopicPartition][c.Metadata] {
			w.t.Fatalf("lease %s of %s committed after another one did", c.Metadata, c.TopicPartition)
		}
		if any && before.Metadata != c.Metadata {
			over[c.TopicPartition][before.Metadata] = true
		}
		last[c.TopicPartition] = c
	}
	for _, n := range w.nodes {
		seen := map[wire.TopicPartition]bool{}
		for l := range n.serving {
			if seen[l.TopicPartition] {
				w.t.Fatalf("%s serves %s twice", n.name, l.TopicPartition)
			}
			seen[l.TopicPartition] = true
		}
	}
}

// rest checks what has to be true once nothing disturbs the group: every partition
// is served by exactly one process, as evenly as can be.
func (w *world) rest() {
	owner := map[wire.TopicPartition]string{}
	least, most := 1<<30, 0
	for _, n := range w.running() {
		if n.m.ended {
			w.t.Fatalf("%s has ended: %v", n.name, n.m.failure)
		}
		for l := range n.serving {
			if owner[l.TopicPartition] != "" || l.state != leased || !n.m.owns(l) {
				w.t.Fatalf("%s: %s serves it in state %s, and so does %q", l.TopicPartition, n.name, l.state, owner[l.TopicPartition])
			}
			owner[l.TopicPartition] = n.name
		}
		least, most = min(least, len(n.serving)), max(most, len(n.serving))
		if n.m.wanted || n.m.phase != between || n.m.err != nil || n.m.doubtful(w.now) {
			w.t.Fatalf("%s is not at rest: %s, %v", n.name, n.m, n.m.err)
		}
	}
	if len(w.running()) > 0 && (len(owner) != 6+len(w.partitions["b"]) || most-least > 1) {
		w.t.Fatalf("%d partitions are served, by %d to %d a process: %v", len(owner), least, most, owner)
	}
	for _, n := range w.nodes {
		if n.stopped && !n.dead && (!n.m.ended || len(n.serving) > 0) {
			w.t.Fatalf("%s was stopped and is still there: %s", n.name, n.m)
		}
	}
}

// Processes join, leave, freeze and are killed, drain as they like, and commit;
// messages are late or lost; coordinators fail over. No lease ever commits after
// its successor, and when it is quiet again all is served once.
func TestGroupsInAWildWorld(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.spawn("")
		pick := func() *node {
			ns := w.running()
			if len(ns) == 0 {
				t.Skip("nobody runs")
			}
			return rapid.SampledFrom(ns).Draw(t, "node")
		}
		pickLease := func() (*node, *Lease) {
			n := pick()
			ls := n.leases()
			if len(ls) == 0 || n.frozen {
				t.Skip("it serves nothing")
			}
			return n, rapid.SampledFrom(ls).Draw(t, "lease")
		}
		deliver := func(t *rapid.T) {
			for range rapid.IntRange(1, 20).Draw(t, "letters") {
				if len(w.mail) == 0 {
					return
				}
				w.deliver(rapid.IntRange(0, min(len(w.mail)-1, 3)).Draw(t, "which"))
			}
		}
		pass := func(t *rapid.T) {
			w.pass(rapid.SampledFrom([]time.Duration{25 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second}).Draw(t, "time"))
		}
		live := func(t *rapid.T) { // some seconds without much trouble
			for range rapid.IntRange(1, 60).Draw(t, "moments") {
				for range min(len(w.mail), 20) {
					w.deliver(rapid.IntRange(0, min(len(w.mail)-1, 2)).Draw(t, "which"))
				}
				w.pass(50 * time.Millisecond)
				for _, n := range w.running() {
					for _, l := range n.leases() {
						switch s := n.serving[l]; {
						case n.frozen:
						case s.lost || s.ending && rapid.IntRange(0, 9).Draw(t, "drained") == 0:
							n.event(func() { n.done(l) })
						default:
							n.event(func() { n.commit(l) })
						}
					}
				}
			}
		}
		commit := func(*rapid.T) {
			n, l := pickLease()
			n.event(func() { n.commit(l) })
		}
		drained := func(t *rapid.T) {
			n, l := pickLease()
			if s := n.serving[l]; !s.ending && !s.lost && rapid.IntRange(0, 9).Draw(t, "gives up") > 0 {
				t.Skip("it goes on")
			}
			n.event(func() { n.done(l) })
		}
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"deliver": deliver, "deliver more": deliver, "live": live, "live more": live,
			"time":   pass,
			"commit": commit, "commit more": commit,
			"drained": drained,
			"spawn": func(t *rapid.T) {
				if len(w.running()) > 4 {
					t.Skip("enough")
				}
				w.spawn("")
			},
			"spawn static": func(t *rapid.T) {
				for _, n := range w.running() {
					if n.instance != "" {
						t.Skip("there is one")
					}
				}
				w.spawn("pod-1")
			},
			"stop":   func(*rapid.T) { pick().stop() },
			"kill":   func(*rapid.T) { pick().dead = true },
			"freeze": func(*rapid.T) { pick().frozen = true },
			"thaw": func(t *rapid.T) {
				if n := pick(); n.frozen {
					n.thaw()
				}
			},
			"failover": func(t *rapid.T) { w.b.fail(rapid.Bool().Draw(t, "silent")) },
			"loading":  func(*rapid.T) { w.b.loading = !w.b.loading },
			"partitions": func(t *rapid.T) {
				if len(w.partitions["b"]) < 5 {
					w.partitions["b"] = append(w.partitions["b"], int32(len(w.partitions["b"])))
				}
				for _, n := range w.nodes {
					n.event(func() { n.m.partitionsChanged(w.now) })
				}
			},
			"": func(*rapid.T) { w.fair() },
		}))
		w.b.loading = false
		w.settle()
		w.fair()
		w.rest()
	})
}
