package worker

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
)

// The promises of a lane that parks, whatever happens to it in whatever order: a
// destination that is down is tried seldom and one try at a time; one failure of a lane
// that recovers blocks it; a gate is open only for a lane that has delivered since it
// last failed and has been healthy for ten seconds.
func TestParkingMachine(t *testing.T) {
	t.Parallel()
	count := steps.Count(t)
	rapid.Check(t, func(t *rapid.T) {
		var k parking
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var lastTry, lastFailure time.Time
		delivered := false
		t.Repeat(count.Of(map[string]func(*rapid.T){
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
			},
			"try": func(t *rapid.T) {
				was, busy := k.phase, !k.tasting.IsZero()
				if !k.taste(now) {
					return
				}
				if was == blocked {
					if busy {
						t.Fatal("a second try while one is on its way")
					}
					if now.Sub(lastFailure) < probeFirst/2 || now.Sub(lastTry) < probeFirst/2 {
						t.Fatalf("a try %s behind a failure and %s behind the last", now.Sub(lastFailure), now.Sub(lastTry))
					}
					lastTry = now
				}
			},
			"fail": func(t *rapid.T) {
				was := k.phase
				if all := k.failed(now); all != (was != flowing) {
					t.Fatalf("in phase %d a failure parks everything: %v", was, all)
				}
				if was != flowing && k.phase != blocked {
					t.Fatalf("a failure in phase %d leads to phase %d", was, k.phase)
				}
				lastFailure, delivered = now, false
			},
			"give up": func(*rapid.T) {
				k.block(now)
				lastFailure, delivered = now, false
			},
			"deliver": func(t *rapid.T) {
				was := k.phase
				k.delivered(now)
				if was == blocked && k.phase != recovering {
					t.Fatalf("a success of a blocked lane leads to phase %d", k.phase)
				}
				delivered = true
			},
			"": func(t *rapid.T) {
				gate := k.gate(now)
				switch {
				case gate == queue.GateOpen && (!delivered || !lastFailure.IsZero() && now.Sub(lastFailure) < healthy && k.since.After(lastFailure)):
					t.Fatalf("the gate is open %s behind a failure", now.Sub(lastFailure))
				case gate == queue.GateShut && k.phase != blocked:
					t.Fatalf("the gate is shut in phase %d", k.phase)
				case k.phase == blocked && k.probeAt.After(now.Add(probeMost*3/2)):
					t.Fatalf("the next try is %s away", -k.probeAt.Age(now))
				}
			},
		}))
	})
}

// A lane that stays blocked is tried ever more seldom, up to once a minute or so.
func TestProbesGrowApart(t *testing.T) {
	t.Parallel()
	var k parking
	now := time.Now()
	k.block(now)
	tries := 0
	for end := now.Add(time.Hour); now.Before(end); now = now.Add(time.Second) {
		if k.taste(now) {
			tries++
			k.failed(now)
		}
	}
	if tries < 40 || tries > 130 {
		t.Errorf("%d tries in an hour", tries)
	}
}
