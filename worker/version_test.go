package worker

import (
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// A reload wakes the lanes that wait. One that decided to wait just before, and
// begins to only after, must not sleep through it.
func TestALaneThatIsOutdatedWaitsForNothing(t *testing.T) {
	t.Parallel()
	entry := Entry{Name: "x", New: func() flushers.Flusher { return nil }}
	w, err := New(Config{Routes: []Route{{Name: "a", Flushers: []Entry{entry}}}})
	if err != nil {
		t.Fatal(err)
	}
	e := w.table.Load().routes[0].entries[0]
	l := newLane(w, e, protocol.Key{Project: "p", Logstore: "l", Config: "c"}, time.Now())
	due := func() time.Duration {
		e.wheel = newWheel(func([]waiter) {})
		defer e.wheel.wakeAll()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.waitLocked(backingOff, "for the test", time.Second)
		return time.Duration(e.wheel.due) * wheelTick
	}
	if d := due(); d < time.Second {
		t.Errorf("a wait of a second lasts %s", d)
	}
	e.newest.Store(&version{entry})
	if d := due(); d > 2*wheelTick {
		t.Errorf("the wait of an outdated lane lasts %s", d)
	}
}
