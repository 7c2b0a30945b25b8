package worker

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
)

// suspectModel is a lane of nothing but a batch that is in doubt, and a destination that
// comes and goes.
type suspectModel struct {
	pieces  []*pieceModel
	poison  map[int]bool
	up      bool
	w       witness
	serials uint64

	calls, cuts      int // from the first cut on
	ended, condemned []int
	everTook         bool // the lane has succeeded since the batch came
}

type pieceModel struct {
	doubt
	groups []int
	before uint64 // successes of the lane when it failed last
	fails  int
}

func newSuspect(n int, poison map[int]bool) *suspectModel {
	m := &suspectModel{poison: poison, up: true, w: witness{strikes: strikesToHalve}}
	p := &pieceModel{}
	for i := range n {
		p.groups = append(p.groups, i)
	}
	m.pieces = []*pieceModel{p}
	return m
}

func (m *suspectModel) waits(p *pieceModel) bool {
	return p.behind != 0 && slices.ContainsFunc(m.pieces, func(o *pieceModel) bool { return o.serial == p.behind })
}

// next is the piece that comes next: one that can be cut, else the first.
func (m *suspectModel) next() int {
	for i, p := range m.pieces {
		if !m.waits(p) && p.mayHalve(len(p.groups), m.w.own, m.w.others) {
			return i
		}
	}
	return slices.IndexFunc(m.pieces, func(p *pieceModel) bool { return !m.waits(p) })
}

func (m *suspectModel) tell(serial uint64, taken bool) {
	for _, p := range m.pieces {
		if serial != 0 && p.behind == serial {
			p.behind = 0
			if taken {
				p.accuse()
			}
		}
	}
}

// try sends one piece, cut before if it may be.
func (m *suspectModel) try(t interface{ Fatalf(string, ...any) }) {
	i := m.next()
	if i < 0 {
		return
	}
	p := m.pieces[i]
	if p.mayHalve(len(p.groups), m.w.own, m.w.others) {
		if m.w.own <= p.before && (p.piece || !p.lone) {
			t.Fatalf("%v is cut, and the lane has not succeeded since it failed", p.groups)
		}
		if m.cuts > 0 && !m.everTook {
			t.Fatalf("%v is cut, and the lane has taken nothing of what was cut before", p.groups)
		}
		m.cuts++
		m.serials++
		half := len(p.groups) / 2
		second := &pieceModel{groups: p.groups[half:], before: p.before, fails: p.fails}
		p.groups = p.groups[:half]
		p.doubt, second.doubt = p.halve(m.serials)
		m.pieces = slices.Insert(m.pieces, i+1, second)
	}
	if m.cuts > 0 {
		m.calls++
	}
	m.pieces = slices.Delete(m.pieces, i, i+1)
	if m.up && !slices.ContainsFunc(p.groups, func(g int) bool { return m.poison[g] }) {
		m.w.own++
		m.everTook = true
		m.ended = append(m.ended, p.groups...)
		m.tell(p.serial, true)
		return
	}
	m.tell(p.serial, false)
	p.serial = 0
	fresh := m.w.own > p.before
	if p.failed(len(p.groups), m.w) {
		if len(p.groups) != 1 || !fresh || p.fails == 0 {
			t.Fatalf("%v is condemned; a success since it failed: %v; it failed %d times before", p.groups, fresh, p.fails)
		}
		m.condemned = append(m.condemned, p.groups[0])
		return
	}
	p.fails++
	p.before = m.w.own
	m.pieces = append(m.pieces, p)
}

// Whatever happens in whatever order: nothing is cut, beyond once on the word of other
// lanes, nor condemned, without a success of its lane since it failed; only one group is
// condemned at a time; and no group is lost or ends twice.
func TestDoubts(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "groups")
		poison := map[int]bool{}
		for _, g := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 4).Draw(t, "poison") {
			poison[g] = true
		}
		m := newSuspect(n, poison)
		m.w.quiet = rapid.Bool().Draw(t, "quiet")
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"try":       func(t *rapid.T) { m.try(t) },
			"try again": func(t *rapid.T) { m.try(t) },
			"delivered": func(t *rapid.T) {
				if m.up && !m.w.quiet {
					m.w.own++
					m.everTook = true
				}
			},
			"elsewhere": func(*rapid.T) { m.w.others++ },
			"down":      func(*rapid.T) { m.up = false },
			"up":        func(*rapid.T) { m.up = true },
			"timeout": func(t *rapid.T) {
				if len(m.pieces) > 0 {
					p := m.pieces[rapid.IntRange(0, len(m.pieces)-1).Draw(t, "piece")]
					m.tell(p.serial, false)
					p.serial = 0
					p.otherwise(m.w)
					p.before, p.fails = m.w.own, 0
				}
			},
			"": func(t *rapid.T) {
				all := slices.Concat(m.ended, m.condemned)
				for _, p := range m.pieces {
					all = append(all, p.groups...)
				}
				slices.Sort(all)
				if len(all) != n || len(slices.Compact(all)) != n {
					t.Fatalf("of %d groups there are %v", n, all)
				}
			},
		}))
	})
}

// One bad group of n costs 2*log2(n)+1 calls at most, k of them k times as many, from the
// first cut on; they are condemned, and nothing else is.
func TestTheSearchIsShort(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 130; n++ {
		for bad := range n {
			search(t, n, map[int]bool{bad: true})
			search(t, n, map[int]bool{bad: true, (bad*7 + 3) % n: true, (bad + n/2) % n: true})
		}
	}
}

func search(t *testing.T, n int, poison map[int]bool) {
	t.Helper()
	m := newSuspect(n, poison)
	for i := 0; len(m.pieces) > 0; i++ {
		if i > 100*n+100 {
			t.Fatalf("%v of %d: no end; ended %v, condemned %v", poison, n, m.ended, m.condemned)
		}
		m.try(t)
		m.w.own++ // others come through
		m.everTook = true
	}
	most := int(float64(len(poison)) * (2*math.Log2(float64(n)) + 1))
	if len(m.condemned) != len(poison) || n > 1 && m.calls > most {
		t.Errorf("%v of %d: condemned %v by %d calls, at most %d", poison, n, m.condemned, m.calls, most)
	}
}
