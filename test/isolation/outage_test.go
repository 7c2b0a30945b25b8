//go:build linux

package isolation

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/worker"
)

// faster is how many times more a destination takes than its lane is offered.
const faster = 4

// A destination that is dead costs its own lane and no other: ten lanes share a consumer
// on NATS, and all partitions on Kafka. What was parked comes in the end.
func TestOutageOnNATS(t *testing.T)  { testOutage(t, startNATS(t)) }
func TestOutageOnKafka(t *testing.T) { testOutage(t, startKafka(t)) }

// trial is one run about outages on one queue.
type trial struct {
	*rig
	load *load
	lane float64 // offered to each lane, groups a second

	quiet  []*window            // while all are well
	beside map[string][]*window // by what was not
	drains []drain
}

// What is not well beside the others.
const (
	oneDead  = "1 of 10 dead"
	fiveDead = "5 of 10 dead"
	oneSlow  = "1 of 10 at half its input's speed"
)

var one, five = []int{0}, []int{0, 1, 2, 3, 4}

func testOutage(t *testing.T, q queued) {
	record := proof.Begin(size("isolation-", "isolation-long-")+q.name(), "A destination that is dead or slow costs its own lane and no other; what is parked comes back beside live traffic, and nothing is lost.", command)
	var routes strings.Builder
	for i := range lanes {
		fmt.Fprintf(&routes, "\n  - {name: r%d, match: {logstore: %s}, when_blocked: park, flushers: [{name: f, type: switched}]}", i, storeName(i))
	}
	x := &trial{rig: start(t, q, lanes, routes.String()), load: newLoad(q, lanes), beside: map[string][]*window{}}
	most := x.maximum(t)
	x.lane = most / 2 / lanes
	t.Logf("%.0f groups a second are the most; offered are %.0f", most, most/2)
	x.mood(t, x.well(), five...)
	x.load.begin(most / 2)
	for range rounds {
		x.step(t, "one dead", func(t *testing.T) { x.dead(t, oneDead, one) })
		x.step(t, "five dead", func(t *testing.T) { x.dead(t, fiveDead, five) })
		x.step(t, "one slow", x.slow)
	}
	if t.Failed() || len(x.quiet) == 0 {
		return
	}
	x.control(t)
	x.load.end(t)
	x.book.drained(t, x.load, 10*time.Minute)
	x.stop(t)
	record.Value("groups a second at most", most, "")
	x.judge(t, record)
	show(t, record)
}

// step is a test of its own, so that -run can choose it. All are well before it.
func (x *trial) step(t *testing.T, name string, run func(*testing.T)) {
	t.Helper()
	if t.Failed() {
		return
	}
	t.Run(name, func(t *testing.T) {
		x.control(t)
		run(t)
	})
}

func (x *trial) well() string { return fmt.Sprint(faster * x.lane) }

func all(int) bool { return true }

// maximum is how many groups a second come when as many are offered as are taken.
func (x *trial) maximum(t *testing.T) float64 {
	t.Helper()
	x.load.begin(math.Inf(1))
	x.book.follow(t, time.Minute, "groups flow", func(note) {}, func() bool { return x.book.total() > 10_000 })
	w := x.over(t, control, all)
	x.load.end(t)
	x.book.drained(t, x.load, 5*time.Minute)
	return w.rate(all)
}

func (x *trial) control(t *testing.T) {
	t.Helper()
	x.calm(t)
	w := x.over(t, control, beside(five))
	t.Logf("all well: %s", w)
	x.quiet = append(x.quiet, w)
}

// calm waits until what is published comes within half a second.
func (x *trial) calm(t *testing.T) {
	t.Helper()
	x.book.follow(t, 2*time.Minute, "all comes soon", func(note) {}, func() bool {
		for s := range lanes {
			if float64(int(x.load.counts[s].Load())-x.book.came[s]) > x.lane/2 {
				return false
			}
		}
		return true
	})
}

// beside says of a store that it is none of these.
func beside(these []int) func(int) bool {
	return func(store int) bool { return !slices.Contains(these, store) }
}

// dead has the destinations of these stores dead for as long as an outage lasts, and
// looks at how what was parked comes afterwards.
func (x *trial) dead(t *testing.T, what string, stores []int) {
	t.Helper()
	x.mood(t, "dead", stores...)
	w := x.over(t, outage, beside(stores))
	t.Logf("%s: %s", what, w)
	x.beside[what] = append(x.beside[what], w)
	x.parks(t, worker.ParkBlocked, len(stores))
	x.drain(t, stores)
}

// slow has a destination take half of what comes.
func (x *trial) slow(t *testing.T) {
	t.Helper()
	x.mood(t, fmt.Sprint(x.lane/2), one...)
	w := x.over(t, outage, beside(one))
	t.Logf("%s: %s", oneSlow, w)
	x.beside[oneSlow] = append(x.beside[oneSlow], w)
	x.mood(t, x.well(), one...)
	x.calm(t)
}

// parks fails unless so many lanes do.
func (x *trial) parks(t *testing.T, phase string, n int) {
	t.Helper()
	found := 0
	s := x.status(t)
	for i := range s.Lanes {
		if p := s.Lanes[i].Park; p != nil && p.Phase == phase {
			found++
		}
	}
	if found < n {
		t.Errorf("%d lanes are %s, want %d", found, phase, n)
	}
}
