package group

import (
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// A coordinator that calls each generation void as soon as it was shared out was asked
// for the next as fast as it answered: no time passed in a bubble (test/sim, seeds 50,
// 85 and 101), and outside of one it cost a core and the coordinator's patience.
func TestRoundsThatDoNotLastAreNotHurried(t *testing.T) {
	t.Parallel()
	for _, code := range []kafka.Error{kafka.RebalanceInProgress, kafka.IllegalGeneration, kafka.UnknownMemberId} {
		for _, where := range []string{"beat", "sync"} {
			t.Run(where+" "+code.Title(), func(t *testing.T) {
				t.Parallel()
				h := newHand(t)
				var joins []time.Time
				for begun := h.now; h.now.Sub(begun) < time.Minute && len(joins) < 1000; {
					acted := false
					for _, a := range h.m.actions() {
						switch a := a.(type) {
						case join:
							joins, acted = append(joins, h.now), true
							h.m.joinAnswered(h.now, a, &wire.JoinResponse{Generation: int32(len(joins)), Leader: "other", Member: "me"}, nil)
						case agree:
							acted = true
							if where == "sync" {
								h.m.synced(h.now, a, nil, code)
							} else {
								h.m.synced(h.now, a, (&assignment{}).encode(), nil)
							}
						case beat:
							acted = true
							h.m.beaten(h.now, a, code)
						case seek:
							acted = true
							h.m.found(h.now, h.now, "one:9092", nil)
						}
					}
					if !acted {
						if !h.m.due.After(h.now) {
							t.Fatalf("it waits for nothing: %s", h.m)
						}
						h.pass(h.m.due.Sub(h.now))
					}
				}
				if n := len(joins); n < 20 || n > 60 {
					t.Errorf("%d rounds in a minute, want one every two seconds after a few quick ones", n)
				}
				if quick := joins[1].Sub(joins[0]); quick > 250*time.Millisecond {
					t.Errorf("the second round began after %v: members that come one after the other make two", quick)
				}
			})
		}
	}
}

// A round that lasts makes the next one quick again.
func TestARoundThatLastsIsForgotten(t *testing.T) {
	t.Parallel()
	h := joined(t)
	h.m.spoilt = 5
	h.pass(restless + 250*time.Millisecond)
	h.m.beaten(h.now, next[beat](h), nil)
	h.pass(250 * time.Millisecond)
	h.m.beaten(h.now, next[beat](h), kafka.RebalanceInProgress)
	next[join](h)
}
