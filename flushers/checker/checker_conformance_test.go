package checker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// The checker keeps what it got in the memory of its process, so a kill takes it
// along.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*checker.Script){
		"as it is":   func(*checker.Script) {},
		"plain":      func(s *checker.Script) { s.Plain = true },
		"bytes":      func(s *checker.Script) { s.Raw = true },
		"no memory":  func(s *checker.Script) { s.NoRetain = true },
		"concurrent": func(s *checker.Script) { s.Concurrent = 4 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := checker.New()
			set(s)
			flushertest.Run(t, s.Kind(), flushertest.Harness{
				Start:  func(tb testing.TB) flushertest.Target { return target(tb, s) },
				Except: map[string]string{"a kill right after nil loses nothing": "the checker stores in the memory of the process"},
			})
		})
	}
}

// target is the script as a destination. What earlier properties stored in it is
// left out.
func target(tb testing.TB, s *checker.Script) flushertest.Target {
	before := len(s.Stored())
	var undo func()
	does := func(f func() func()) func() {
		return func() { undo = f() }
	}
	heal := func() {
		if undo != nil {
			undo()
			undo = nil
		}
	}
	tb.Cleanup(heal)
	tb.Cleanup(s.Do(-1, refusePoison, hasPoison))
	to := flushertest.Target{
		Stored: func() ([]flushertest.Record, error) { return records(s.Stored()[before:]) },
		Break:  does(func() func() { return s.Fail(errors.New("down")) }),
		Hang:   does(func() func() { return s.Stall() }),
		Heal:   heal,
		Poison: func(g *protocol.LogGroup) { g.Topic = poison },
		Answers: map[flushers.Class]func(){
			flushers.ClassRetryAfter: does(func() func() { return s.Fail(flushers.RetryAfter(errors.New("told to"), time.Second)) }),
		},
	}
	for class, as := range map[flushers.Class]func(error) error{
		flushers.ClassMisconfigured: flushers.Misconfigured,
		flushers.ClassPermanent:     flushers.Permanent,
		flushers.ClassTooLarge:      flushers.TooLarge,
	} {
		to.Answers[class] = does(func() func() { return s.Fail(as(errors.New("told to"))) })
	}
	return to
}

const poison = "poison"

func groupsOf(c *checker.Call) []*protocol.LogGroup {
	if c.Groups != nil {
		return c.Groups
	}
	var out []*protocol.LogGroup
	for _, raw := range c.Raw {
		g := &protocol.LogGroup{}
		if g.Unmarshal(raw) == nil {
			out = append(out, g)
		}
	}
	return out
}

func isPoison(g *protocol.LogGroup) bool { return g.Topic == poison }

func hasPoison(c *checker.Call) bool { return slices.ContainsFunc(groupsOf(c), isPoison) }

func refusePoison(_ context.Context, c *checker.Call) error {
	failed := map[int]error{}
	for i, g := range groupsOf(c) {
		if isPoison(g) {
			failed[i] = flushers.Permanent(errors.New("poisoned"))
		}
	}
	return &flushers.PartialError{Failed: failed}
}

func records(stored []checker.Stored) ([]flushertest.Record, error) {
	var out []flushertest.Record
	for _, st := range stored {
		g := st.Group
		if g == nil {
			g = &protocol.LogGroup{}
			if err := g.Unmarshal(st.Raw); err != nil {
				return nil, err
			}
		}
		out = append(out, flushertest.Records(g)...)
	}
	return out, nil
}
