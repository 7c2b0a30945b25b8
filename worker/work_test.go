package worker

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
)

// A machine of lanes that take, stand in line, get turns, use or pass them, and
// give back. Whatever the order: bytes add up, each turn goes to one lane that
// stood in line, and as soon as something fits, somebody has a turn.
func TestWorkPoolLosesNoTurn(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		const limit = 1000
		p := newWorkPool(limit)
		entries := []*entry{{}, {}, {}}
		type user struct {
			l      *lane
			need   int64
			inLine bool
			turn   bool
			holds  bool
		}
		users := make([]*user, 12)
		byLane := map[*lane]*user{}
		for i := range users {
			users[i] = &user{l: &lane{entry: entries[i%3]}}
			byLane[users[i].l] = users[i]
		}
		schedule := func(ls []*lane) {
			for _, l := range ls {
				x := byLane[l]
				if !x.inLine || x.turn || !l.workTurn {
					t.Fatalf("a lane got a turn that was not in line, or two")
				}
				x.inLine, x.turn, l.workTurn = false, true, false
			}
		}
		try := func(x *user, turn bool) {
			x.turn = false
			if p.take(x.l.entry, x.need, turn) {
				x.holds = true
				return
			}
			x.inLine = true
			p.enter(x.l, x.need, turn, schedule)
		}
		some := func(t *rapid.T, which func(*user) bool) *user {
			fit := slices.DeleteFunc(slices.Clone(users), func(x *user) bool { return !which(x) })
			if len(fit) == 0 {
				t.Skip()
			}
			return rapid.SampledFrom(fit).Draw(t, "lane")
		}
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"arrive": func(t *rapid.T) {
				x := some(t, func(x *user) bool { return !x.inLine && !x.turn && !x.holds })
				x.need = rapid.OneOf(rapid.Int64Range(1, 125), rapid.Int64Range(1, 2000)).Draw(t, "need")
				try(x, false)
			},
			"use a turn": func(t *rapid.T) {
				try(some(t, func(x *user) bool { return x.turn }), true)
			},
			"pass a turn": func(t *rapid.T) {
				some(t, func(x *user) bool { return x.turn }).turn = false
				p.pass(schedule)
			},
			"give": func(t *rapid.T) {
				x := some(t, func(x *user) bool { return x.holds })
				x.holds = false
				p.give(x.l.entry, x.need, schedule)
			},
			"": func(t *rapid.T) {
				var used, line int64
				oversize, turns, held := 0, 0, 0
				for _, x := range users {
					switch {
					case x.holds && p.isOversize(x.need):
						oversize++
						held++
					case x.holds:
						used += x.need
						held++
					case x.inLine:
						line++
					case x.turn:
						turns++
					}
				}
				if p.free.Load() != limit-used || int64(p.line.Load()) != line || oversize > 1 || p.oversize != (oversize == 1) {
					t.Fatalf("free %d, line %d, oversize %v; the model has %d, %d, %d", p.free.Load(), p.line.Load(), p.oversize, limit-used, line, oversize)
				}
				if used > limit {
					t.Fatalf("%d of %d are in use", used, limit)
				}
				if line > 0 && turns == 0 && held == 0 {
					t.Fatal("lanes stand in line, nobody holds anything, and nobody has a turn")
				}
			},
		}))
	})
}

// One entry whose calls hang until their timeout, and are tried again, leaves half
// of the pool to the others, and n leave 1/(n+1).
func TestDeadEntriesLeaveTheirShare(t *testing.T) {
	t.Parallel()
	for dead := 1; dead <= 4; dead++ {
		p := newWorkPool(1 << 20)
		entries := make([]*entry, dead)
		for i := range entries {
			entries[i] = &entry{}
			for p.take(entries[i], 1<<10, false) {
			}
		}
		for range 1000 {
			for _, e := range entries {
				p.give(e, 1<<10, func([]*lane) {})
				p.take(e, 1<<10, false)
			}
		}
		if least := int64(1<<20)/int64(dead+1) - int64(dead)<<10; p.free.Load() < least {
			t.Errorf("%d dead entries leave %d, want at least %d", dead, p.free.Load(), least)
		}
	}
}

// Lanes on goroutines of their own: everybody gets through, and at the end nothing
// is held and nobody waits.
func TestWorkPoolUnderContention(t *testing.T) {
	t.Parallel()
	p := newWorkPool(1000)
	entries := []*entry{{}, {}, {}}
	wake := map[*lane]chan struct{}{}
	var lanes []*lane
	for i := range 30 {
		l := &lane{entry: entries[i%3]}
		wake[l] = make(chan struct{}, 1)
		lanes = append(lanes, l)
	}
	schedule := func(ls []*lane) {
		for _, l := range ls {
			wake[l] <- struct{}{}
		}
	}
	var all sync.WaitGroup
	for i, l := range lanes {
		all.Go(func() {
			for n := range 500 {
				need := int64(1 + (i*37+n*91)%300)
				if n%50 == 0 {
					need = 900
				}
				turn := false
				for !p.take(l.entry, need, turn) {
					p.enter(l, need, turn, schedule)
					<-wake[l]
					turn, l.workTurn = l.workTurn, false
				}
				p.give(l.entry, need, schedule)
			}
		})
	}
	all.Wait()
	if st := p.status(); st.Used != 0 || st.Waiting != 0 {
		t.Fatalf("at the end: %+v", st)
	}
}
