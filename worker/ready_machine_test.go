package worker_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// Lanes have gates that open and close: nothing is flushed through a closed one,
// what waits is flushed soon after its gate opened whatever the others do, and a lane
// is asked as often as DESIGN says, and only while something waits.
func TestTheReadyGate(t *testing.T) { step(t, readyGate) }

// What IsReady does.
const (
	gateOpen   = iota
	gateClosed // false
	gatePanics
	gateSlow // true after more than a second, which counts as false
	gateKinds
)

const (
	gateLanes  = 4
	slowAnswer = 1200 * time.Millisecond
	// lag is what a wait may take beyond its time: lanes on a wheel wake together.
	lag = 110 * time.Millisecond
)

// gate is one lane and its model.
type gate struct {
	does    int
	since   time.Time // when it began to, or when something began to wait, whichever is later
	waiting map[string]bool
	asked   time.Time // last
	slow    bool      // its last answer was: the next question waits for it
	refused int       // in a row
}

type gates struct {
	mu    sync.Mutex
	lanes [gateLanes]gate
	wrong []string
}

func (g *gates) blame(format string, args ...any) {
	g.wrong = append(g.wrong, fmt.Sprintf(format, args...))
}

func laneOf(k protocol.Key) (n int) {
	_, _ = fmt.Sscanf(k.Logstore, "ls%d", &n) // the machine named it
	return n
}

// interval is how long a lane waits after it was refused so often in a row.
func interval(refused int) time.Duration {
	d := 100 * time.Millisecond
	for range refused - 1 {
		d = min(d*3/2, 500*time.Millisecond)
	}
	return d
}

// ask is IsReady.
func (g *gates) ask(k protocol.Key) bool {
	g.mu.Lock()
	lane, l := laneOf(k), &g.lanes[laneOf(k)]
	now, does := time.Now(), l.does
	if len(l.waiting) == 0 {
		g.blame("lane %d was asked with nothing to flush", lane)
	}
	if l.refused > 0 {
		gap, want := now.Sub(l.asked), interval(l.refused)
		most := want*11/10 + lag
		if l.slow {
			most += slowAnswer
		}
		if gap < want*9/10 || gap > most {
			g.blame("lane %d was asked %v after it was refused %d times, want about %v", lane, gap, l.refused, want)
		}
	}
	l.asked, l.slow = now, does == gateSlow
	if does == gateOpen {
		l.refused = 0
	} else {
		l.refused++
	}
	g.mu.Unlock()
	switch does {
	case gatePanics:
		panic("the gate is broken")
	case gateSlow:
		time.Sleep(slowAnswer)
	}
	return does != gateClosed
}

// flush is Flush: whoever comes has passed the gate.
func (g *gates) flush(_ context.Context, c *checker.Call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	lane := laneOf(c.Key)
	l := &g.lanes[lane]
	if l.does != gateOpen || !l.asked.Equal(time.Now()) {
		g.blame("lane %d was flushed through a gate that is %d, asked %v ago", lane, l.does, time.Since(l.asked))
	}
	for _, gr := range c.Groups {
		id := idOf(gr)
		if !l.waiting[id] {
			g.blame("%s was flushed twice, or by another lane", id)
		}
		delete(l.waiting, id)
	}
	return nil
}

// expect has the lane wait with a group.
func (g *gates) expect(lane int, id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &g.lanes[lane]
	if len(l.waiting) == 0 {
		l.since = time.Now()
	}
	l.waiting[id] = true
}

func (g *gates) set(lane, does int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &g.lanes[lane]
	if l.does != does {
		l.does, l.since = does, time.Now()
	}
}

// check says what is wrong, also that what waits behind an open gate waits too long.
func (g *gates) check(t *rapid.T) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.wrong) > 0 {
		t.Fatalf("%q", g.wrong)
	}
	for i := range g.lanes {
		l := &g.lanes[i]
		most := 550*time.Millisecond + lag
		if l.slow {
			most += slowAnswer
		}
		if open := time.Since(l.since); l.does == gateOpen && open > most && len(l.waiting) > 0 {
			t.Fatalf("lane %d has been ready for %v and %d groups still wait", i, open, len(l.waiting))
		}
	}
}

func readyGate(t *rapid.T, count *steps.Counter) {
	g := &gates{}
	for i := range g.lanes {
		g.lanes[i].waiting = map[string]bool{}
	}
	s := checker.New()
	s.Concurrent = rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "concurrent")
	s.ReadyWhen(g.ask)
	s.Do(-1, g.flush)
	cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
	q := memory.New(memory.Config{Strands: gateLanes})
	e := begin(t, q, q, cfg)
	t.Repeat(count.Of(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			lane := rapid.IntRange(0, gateLanes-1).Draw(t, "lane")
			for range rapid.IntRange(1, 5).Draw(t, "groups") {
				g.expect(lane, fmt.Sprint(e.sent))
				e.publish(lane)
			}
			synctest.Wait()
		},
		"gate": func(t *rapid.T) {
			g.set(rapid.IntRange(0, gateLanes-1).Draw(t, "lane"), rapid.IntRange(0, gateKinds-1).Draw(t, "does"))
		},
		"open": func(t *rapid.T) { g.set(rapid.IntRange(0, gateLanes-1).Draw(t, "lane"), gateOpen) },
		"time": func(t *rapid.T) { pass(t, time.Second) },
		"more time": func(t *rapid.T) {
			pass(t, 5*time.Second)
		},
		"": func(t *rapid.T) { e.check(t); g.check(t) },
	}))
	for lane := range g.lanes {
		g.set(lane, gateOpen)
	}
	e.finish(t)
	g.check(t)
	if v := s.Violations(); len(v) > 0 {
		t.Fatalf("the contract was broken: %q", v)
	}
}
