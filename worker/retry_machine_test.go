package worker_test

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// A destination answers in every way. Whatever failed comes again as it was, neither
// early nor late, for ever; what can never be flushed becomes a dead letter alone; and
// each group ends exactly once.
func TestRetries(t *testing.T) { step(t, retries) }

func retries(t *rapid.T, count *steps.Counter) {
	d := &debts{coins: rapid.Uint64().Draw(t, "coins")}
	for i := range d.lanes {
		d.lanes[i].ended = map[string]string{}
	}
	s := checker.New()
	s.Concurrent = rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "concurrent")
	s.Do(-1, d.flush)
	out := entryOf("out", s)
	out.RetryInitial, out.RetryMax = retryFirst, retryMost
	out.Batch = worker.Batch{Groups: rapid.IntRange(1, 6).Draw(t, "groups")}
	q := memory.New(memory.Config{Strands: retryLanes})
	e := seeded(t, q, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, out)}}, rapid.Uint64().Draw(t, "waits"))
	t.Repeat(count.Of(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			lane := rapid.IntRange(0, retryLanes-1).Draw(t, "lane")
			n := rapid.IntRange(1, 10).Draw(t, "groups")
			d.expect(lane, n)
			e.publishAll(lane, n)
			synctest.Wait()
		},
		"flow": func(t *rapid.T) { // what shows that the destination is there
			lane := rapid.IntRange(0, retryLanes-1).Draw(t, "lane")
			n := rapid.IntRange(1, 3).Draw(t, "groups")
			if rapid.Bool().Draw(t, "picky") {
				d.set(rapid.IntRange(0, retryLanes-1).Draw(t, "picky lane"), answerSpoilt, 0)
			}
			for range rapid.IntRange(1, 20).Draw(t, "times") {
				d.expect(lane, n)
				e.publishAll(lane, n)
				time.Sleep(300 * time.Millisecond)
				synctest.Wait()
				d.check(t)
			}
		},
		"answer": func(t *rapid.T) {
			after := time.Duration(rapid.IntRange(1, 8000).Draw(t, "after ms")) * time.Millisecond
			d.set(rapid.IntRange(0, retryLanes-1).Draw(t, "lane"), rapid.IntRange(0, answerKinds-1).Draw(t, "does"), after)
		},
		"mend":      func(t *rapid.T) { d.set(rapid.IntRange(0, retryLanes-1).Draw(t, "lane"), answerOK, 0) },
		"letters":   func(t *rapid.T) { e.letters.FailNext(rapid.IntRange(0, 4).Draw(t, "refused"), errDown) },
		"time":      func(t *rapid.T) { pass(t, time.Second) },
		"more time": func(t *rapid.T) { pass(t, 40*time.Second) },
		"":          func(t *rapid.T) { e.check(t); d.check(t) },
	}))
	for lane := range d.lanes {
		d.set(lane, answerOK, 0)
	}
	e.finish(t)
	d.check(t)
	d.judge(t, e, s)
}

// judge sees that each group is where it belongs, once.
func (d *debts) judge(t *rapid.T, e *engine, s *checker.Script) {
	places, ended := map[string]int{}, map[string]string{}
	for i := range d.lanes {
		maps.Copy(ended, d.lanes[i].ended)
	}
	for _, g := range s.Groups() {
		if places[idOf(g)]++; ended[idOf(g)] != "" {
			t.Fatalf("%s was flushed, and should be a dead letter: %s", idOf(g), ended[idOf(g)])
		}
	}
	for _, m := range e.letters.Messages() {
		var g protocol.LogGroup
		if err := g.Unmarshal(m.Value); err != nil {
			t.Fatal(err)
		}
		if reason, _ := m.Header(queue.HeaderReason); reason == "" || reason != ended[idOf(&g)] {
			t.Fatalf("%s is a dead letter: %q, and should be %q", idOf(&g), reason, ended[idOf(&g)])
		}
		places[idOf(&g)]++
	}
	for n := range e.sent {
		if places[fmt.Sprint(n)] != 1 {
			t.Fatalf("group %d ended %d times", n, places[fmt.Sprint(n)])
		}
	}
	for i := range d.lanes {
		if n := len(d.lanes[i].owes); n > 0 {
			t.Fatalf("lane %d owes %d batches", i, n)
		}
	}
}
