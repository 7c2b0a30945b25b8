package job

import (
	"sync"
	"time"

	"github.com/flushline/flushline/queue"
)

// Gate holds reading back: at a rate, or for as long as somebody says. One gate
// serves all slices of a process. Its methods may be called from any goroutine.
//
// A rate is a debt: what is handed out at once has to be waited for before more is.
type Gate struct {
	groups, bytes float64 // a second; 0: no limit
	count         func(*queue.Message) int

	mu      sync.Mutex
	why     string // not empty: closed
	changed chan struct{}
	next    time.Time // nothing is handed out before
}

// portion is how much of its rate a gate lets through at a time, and how much of
// the time that nobody used may be caught up with.
const portion = 100 * time.Millisecond

// NewGate makes an open gate. groups and bytes are per second; 0: no limit. count
// says how many groups a message holds; it is called only with a limit of groups.
func NewGate(groups, bytes float64, count func(*queue.Message) int) *Gate {
	return &Gate{groups: groups, bytes: bytes, count: count, changed: make(chan struct{})}
}

// Close holds reading back from now on; why is shown by the strands' status.
func (g *Gate) Close(why string) {
	if why == "" {
		why = "held back"
	}
	g.set(why)
}

// Open lets it go on.
func (g *Gate) Open() { g.set("") }

func (g *Gate) set(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = why
	close(g.changed)
	g.changed = make(chan struct{})
}

// hold is why and until when nothing may be handed out.
type hold struct {
	why     string          // empty: only the rate
	changed <-chan struct{} // closed when the gate was opened or shut
	after   time.Duration   // 0: not a question of time
}

// shut says that a gate is closed; nil: it is not.
func (g *Gate) shut() *hold {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why == "" {
		return nil
	}
	return &hold{why: g.why, changed: g.changed}
}

// limited says that messages have to be weighed.
func (g *Gate) limited() bool { return g != nil && (g.groups > 0 || g.bytes > 0) }

// weigh is the time that a message takes at the gate's rate.
func (g *Gate) weigh(m *queue.Message) time.Duration {
	var seconds float64
	if g.bytes > 0 {
		seconds = float64(len(m.Value)) / g.bytes
	}
	if g.groups > 0 {
		seconds = max(seconds, float64(g.count(m))/g.groups)
	}
	return time.Duration(seconds * float64(time.Second))
}

// pass lets through the first of messages whose weights are given, one at least, or
// says what to wait for.
func (g *Gate) pass(weight func(i int) time.Duration, n int) (int, *hold) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.why != "" {
		return 0, &hold{why: g.why, changed: g.changed}
	}
	if now.Before(g.next) {
		return 0, &hold{changed: g.changed, after: g.next.Sub(now)}
	}
	var debt time.Duration
	passed := 0
	for passed < n && (passed == 0 || debt < portion) {
		debt += weight(passed)
		passed++
	}
	if since := now.Add(-portion); g.next.Before(since) {
		g.next = since
	}
	g.next = g.next.Add(debt)
	return passed, nil
}
