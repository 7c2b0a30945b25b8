package group

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// hand drives one machine by hand: it plays the coordinator, answer by answer.
type hand struct {
	t   *testing.T
	now time.Time
	m   *machine
}

func newHand(t *testing.T) *hand {
	h := &hand{t: t, now: time.Now(), m: newMachine(rules{session: 3 * time.Second, heartbeat: 250 * time.Millisecond, drain: 2 * time.Second, leaves: true})}
	h.m.subscribe(h.now, []string{"logs"})
	h.m.found(h.now, h.now, "one:9092", nil)
	return h
}

// next returns the one action of a kind that is asked for, and forgets the others.
func next[A action](h *hand) A {
	h.t.Helper()
	var found []A
	for _, a := range h.m.actions() {
		if a, ok := a.(A); ok {
			found = append(found, a)
		}
	}
	if len(found) != 1 {
		h.t.Fatalf("%d of %T are asked for, want one: %s", len(found), *new(A), h.m)
	}
	return found[0]
}

// idle fails if anything of a kind is asked for.
func idle[A action](h *hand) {
	h.t.Helper()
	for _, a := range h.m.actions() {
		if a, ok := a.(A); ok {
			h.t.Fatalf("%T is asked for: %+v", a, a)
		}
	}
}

func (h *hand) pass(d time.Duration) {
	h.now = h.now.Add(d)
	h.m.tick(h.now)
}

// join answers the join that is asked for, and the sync after it.
func (h *hand) join(generation int32, t terms, partitions ...int32) {
	h.t.Helper()
	j := next[join](h)
	h.m.joinAnswered(h.now, j, &wire.JoinResponse{Generation: generation, Leader: "other", Member: "me"}, nil)
	t.said = h.m.said
	a := assignment{user: t.encode()}
	for _, p := range partitions {
		a.partitions = append(a.partitions, wire.TopicPartition{Topic: "logs", Partition: p})
	}
	h.m.synced(h.now, next[agree](h), a.encode(), nil)
}

// joined is a hand whose machine holds two partitions in generation 7.
func joined(t *testing.T) *hand {
	h := newHand(t)
	h.join(7, terms{topics: topicsOf([]string{"logs"})}, 0, 1)
	b := next[beat](h)
	h.m.beaten(h.now, b, nil)
	if len(h.m.leases) != 2 {
		t.Fatal(h.m)
	}
	return h
}

// A process that stood still longer than the session doubts its leases until the
// coordinator has confirmed them. That it is away is no confirmation, whether it
// was asked before or after.
func TestSilenceIsDoubt(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.pass(250 * time.Millisecond)
	under := next[beat](h)
	h.now = h.now.Add(4 * time.Second) // stopped
	if !h.m.doubtful(h.now) || h.m.mayCommit(h.now) {
		t.Fatal("no doubt after four seconds of nothing")
	}
	h.m.beaten(h.now, under, errCutOff)
	find := next[seek](h)
	h.m.found(h.now, find.sent, "one:9092", nil)
	again := next[beat](h)
	if !h.m.doubtful(h.now) {
		t.Fatal("that the broker was away ended the doubt")
	}
	if len(h.m.leases) != 2 {
		t.Fatal("doubt is no loss")
	}
	h.m.beaten(h.now, again, nil)
	if h.m.doubtful(h.now) || !h.m.mayCommit(h.now) {
		t.Error("a good beat ends the doubt")
	}
}

// A wall clock that went on while the other one stood still, as in a suspended
// machine, tells as well.
func TestSuspensionIsDoubt(t *testing.T) {
	t.Parallel()
	h := joined(t)
	awake := h.now.Round(0).Add(10 * time.Second) // without the monotonic reading, as after a resume
	if !h.m.doubtful(awake) {
		t.Error("ten seconds of suspension are no doubt")
	}
	if back := h.now.Round(0).Add(-time.Hour); h.m.doubtful(back) {
		t.Error("a clock that was set back is no doubt")
	}
}

// A coordinator that stays away while we go on asking takes nothing.
func TestAskingInVainIsNoDoubt(t *testing.T) {
	t.Parallel()
	h := joined(t)
	asked := 0
	for range 600 { // a minute
		h.pass(100 * time.Millisecond)
		for _, a := range h.m.actions() {
			asked++
			switch a := a.(type) {
			case beat:
				h.m.beaten(h.now, a, errCutOff)
			case seek:
				h.m.found(h.now, a.sent, "one:9092", nil) // still the dead one
			default:
				t.Fatalf("%T", a)
			}
		}
		if h.m.doubtful(h.now) || len(h.m.leases) != 2 {
			t.Fatal(h.m)
		}
	}
	if asked < 30 || asked > 200 {
		t.Errorf("%d requests in a minute", asked)
	}
}

// Answers to questions of another generation, or during a round, decide nothing.
func TestAnswersAboutThePast(t *testing.T) {
	t.Parallel()
	for _, code := range []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId, kafka.FencedInstanceID, kafka.RebalanceInProgress} {
		h := joined(t)
		h.m.answered(h.now, "me", 6, h.now, code)
		h.m.answered(h.now, "who I was", 7, h.now, code)
		h.m.follow(h.now)
		idle[join](h)
		if len(h.m.leases) != 2 {
			t.Errorf("%v about the past: %s", code, h.m)
		}
	}
	for _, code := range []kafka.Error{kafka.IllegalGeneration, kafka.UnknownMemberId} {
		h := joined(t)
		h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
		h.m.follow(h.now)
		old := next[join](h)
		h.m.answered(h.now, "me", 7, h.now, code)
		h.m.follow(h.now)
		if len(h.m.leases) != 2 {
			t.Errorf("%v during a round: %s", code, h.m)
		}
		// Within the round an old generation says that it was void, and no more.
		h.m.joinAnswered(h.now, old, nil, code)
		if want := map[kafka.Error]int{kafka.IllegalGeneration: 2, kafka.UnknownMemberId: 0}[code]; len(h.m.leases) != want {
			t.Errorf("%v to the join: %d leases, want %d", code, len(h.m.leases), want)
		}
		h.m.joinAnswered(h.now, old, &wire.JoinResponse{Generation: 99, Member: "me"}, nil)
		if h.m.gen == 99 {
			t.Error("an answer to a join that is over was believed")
		}
	}
}

// On REBALANCE_IN_PROGRESS the member joins at once and says all it holds, also
// what drains.
func TestAJoinSaysWhatDrains(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	h.join(8, terms{more: true}, 0)
	if e := next[finish](h); e.lease.Partition != 1 || e.end.Reason != queue.Revoked || !e.end.Deadline.Equal(h.now.Add(2*time.Second)) {
		t.Errorf("%+v", e)
	}
	h.m.answered(h.now, "me", 8, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	c, err := decodeClaim(next[join](h).claim)
	if err != nil || len(c.owned) != 2 || c.draining[0] || !c.draining[1] || c.generation != 8 {
		t.Errorf("%+v, %v", c, err)
	}
}

// What is drained is handed over at once, or with what else is drained within a
// moment; the slowest is not waited for.
func TestHandOver(t *testing.T) {
	t.Parallel()
	h := joined(t)
	l0, l1 := h.m.leases[wire.TopicPartition{Topic: "logs"}], h.m.leases[wire.TopicPartition{Topic: "logs", Partition: 1}]
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	h.join(8, terms{more: true})
	h.m.served(h.now, l0)
	idle[join](h)
	h.pass(together - time.Millisecond)
	idle[join](h)
	h.pass(time.Millisecond)
	h.join(9, terms{more: true})
	h.m.served(h.now, l1)
	next[join](h)
}

// While a second round is to come beats follow quickly, and slow down with it.
func TestBeatsHurryWhileASecondRoundIsToCome(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	h.join(8, terms{more: true}, 0, 1)
	beats := func(d time.Duration) (n int) {
		for end := h.now.Add(d); h.now.Before(end); h.pass(5 * time.Millisecond) {
			for _, a := range h.m.actions() {
				if b, ok := a.(beat); ok {
					n++
					h.m.beaten(h.now, b, nil)
				}
			}
		}
		return n
	}
	if n := beats(500 * time.Millisecond); n < 9 || n > 12 {
		t.Errorf("%d beats in the first half second", n)
	}
	beats(5 * time.Second)
	if n := beats(time.Second); n < 3 || n > 5 {
		t.Errorf("%d beats a second after five", n)
	}
}

// A join may be open for a minute; a coordinator that moves meanwhile is noticed
// by the beats beside it, or, before there are any, by looking it up.
func TestACoordinatorThatMovesDuringARound(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	first := next[join](h)
	h.pass(time.Second)
	s := next[seek](h)
	h.m.found(h.now, s.sent, "two:9092", nil)
	if j := next[join](h); j.addr != "two:9092" {
		t.Errorf("joins at %s", j.addr)
	}
	h.m.joinAnswered(h.now, first, &wire.JoinResponse{Generation: 3, Member: "ghost"}, nil)
	if h.m.id == "ghost" {
		t.Error("the old coordinator was believed")
	}

	h = joined(t)
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	next[join](h)
	h.pass(250 * time.Millisecond)
	h.m.beaten(h.now, next[beat](h), kafka.NotCoordinatorForGroup)
	h.m.found(h.now, next[seek](h).sent, "two:9092", nil)
	if j := next[join](h); j.addr != "two:9092" || j.id != "me" {
		t.Errorf("joins at %s as %q", j.addr, j.id)
	}
}

// However long a coordinator is away, its successor is found within a second:
// commits wait for it.
func TestACoordinatorThatIsAwayIsLookedForOften(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.astray(h.now, "one:9092", errCutOff)
	asked, sought := h.now, 0
	for end := h.now.Add(20 * time.Second); h.now.Before(end); h.pass(20 * time.Millisecond) {
		for _, a := range h.m.actions() {
			if s, ok := a.(seek); ok {
				h.m.found(h.now, s.sent, "", kafka.GroupCoordinatorNotAvailable)
				asked, sought = h.now, sought+1
			}
		}
		if since := h.now.Sub(asked); since > lookAgain+20*time.Millisecond {
			t.Fatalf("looked up %d times, and not for %s", sought, since)
		}
	}
}

// A partition that Serve gave up by itself is begun again after a while, unless
// the group went on without our claim.
func TestServeThatGivesUpIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := joined(t)
	l := h.m.leases[wire.TopicPartition{Topic: "logs"}]
	h.m.served(h.now, l)
	idle[grant](h)
	h.pass(restless)
	if g := next[grant](h); len(g.leases) != 1 || g.leases[0].TopicPartition != l.TopicPartition || g.leases[0] == l {
		t.Errorf("%+v", g)
	}

	h = joined(t)
	h.m.served(h.now, h.m.leases[wire.TopicPartition{Topic: "logs"}])
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	next[join](h)
	h.pass(restless)
	idle[grant](h)
}

// A stop waits for the id of a first join, so that it can be given back.
func TestAStopWaitsForTheID(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	j := next[join](h)
	h.m.stop(h.now, &queue.End{Reason: queue.Stopping, Deadline: h.now.Add(time.Second)})
	idle[finished](h)
	h.m.joinAnswered(h.now, j, &wire.JoinResponse{Member: "fresh"}, kafka.MemberIDRequired)
	if l := next[leave](h); l.id != "fresh" {
		t.Errorf("%+v", l)
	}
	h.m.left(h.now, leave{"one:9092", "fresh"}, errCutOff)
	h.m.found(h.now, next[seek](h).sent, "one:9092", nil)
	h.m.left(h.now, next[leave](h), nil)
	next[finished](h)

	// But not for ever.
	h = newHand(t)
	h.m.stop(h.now, &queue.End{Reason: queue.Stopping, Deadline: h.now.Add(time.Second)})
	h.pass(farewell)
	next[finished](h)
}

// A static member that stops and stays a member claims on what it has drained, so
// that a round meanwhile does not give it away.
func TestAStaticMemberThatStopsKeepsItsClaims(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.rules.leaves = false
	h.m.stop(h.now, &queue.End{Reason: queue.Stopping, Deadline: h.now.Add(time.Second)})
	h.m.served(h.now, h.m.leases[wire.TopicPartition{Topic: "logs"}])
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	c, err := decodeClaim(next[join](h).claim)
	if err != nil || len(c.owned) != 2 || c.draining[0] || c.draining[1] || c.leaving {
		t.Errorf("%+v, %v", c, err)
	}
}

// New partitions that a round has not dealt with yet are asked for by a claim that
// differs: the coordinator begins no round for one it has heard.
func TestPartitionsThatChangeDuringARound(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.partitionsChanged(h.now)
	next[compare](h)
	h.m.answered(h.now, "me", 7, h.now, kafka.RebalanceInProgress)
	h.m.follow(h.now)
	h.m.compared(h.now, 42, nil) // it cannot be said what is being planned
	if h.m.wanted {
		t.Error("a round is wanted before the open one is known")
	}
	before := h.m.said
	h.join(8, terms{layout: 42}, 0, 1)
	next[compare](h)
	h.m.compared(h.now, 42, nil)
	idle[join](h)
	h.m.partitionsChanged(h.now)
	next[compare](h)
	h.m.compared(h.now, 43, nil)
	next[join](h)
	if h.m.said == before {
		t.Error("the claim is the same: no round will follow")
	}
}
