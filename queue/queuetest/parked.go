package queuetest

import (
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// ParkedQueue is one fresh source with what two deployments of it park, nothing yet.
type ParkedQueue interface {
	// Open is the companion of the first or the second deployment as another worker has
	// it, prepared for the route shop and the flusher es. Cleaning up is t.Cleanup's
	// business.
	Open(second bool) (queue.Parked, error)
	// Deployment is the name of the first or the second deployment.
	Deployment(second bool) string
	// Place is the strand that the records come from, as x-flushline-source has it:
	// "kafka logs[0]".
	Place() string
}

// ParkedHarness says how a companion of parked records is tested.
type ParkedHarness struct {
	// Open makes a queue; cleaning up is t.Cleanup's business.
	Open func(t *testing.T) ParkedQueue

	// ByPartition says that Lanes counts by partition and knows no keys, as on Kafka.
	ByPartition bool

	// Large is the value size of the largest record to try; 3 MiB.
	Large int

	// Patience bounds each wait; 1m.
	Patience time.Duration
}

// RunParked runs the suite of companions, each test against a queue of its own.
func RunParked(t *testing.T, h ParkedHarness) {
	if h.Large == 0 {
		h.Large = 3 << 20
	}
	if h.Patience == 0 {
		h.Patience = time.Minute
	}
	for _, tt := range parkedTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(&parkedBench{T: t, h: &h, q: h.Open(t)})
		})
	}
}

var parkedTests = []struct {
	name string
	run  func(*parkedBench)
}{
	{"what was put is there for another worker, as it was", putIsDurable},
	{"a record that is put again is another one with the same origin", putTwiceIsServedTwice},
	{"puts come from many goroutines", putsSideBySide},
	{"a large record comes whole", largeRecord},
	{"a shut gate lets nothing out", shutLetsNothingOut},
	{"records of an unknown lane stay until it is known", unknownStays},
	{"a probing gate lets out one record at a time", probeIsOneAtATime},
	{"an open gate lets out all", openLetsOutAll},
	{"a deferred record stays and does not come at once", deferredStays},
	{"what was handed out and not settled comes again", unsettledComesAgain},
	{"an acknowledged record never comes again", acknowledgedIsGone},
	{"two deployments do not touch each other's records", deploymentsAreApart},
	{"the backlog says what is parked, and since when", backlogSaysWhatIsParked},
	{"a hint never blocks", hintNeverBlocks},
	{"a stop ends the strands with its cause", stopEndsParkedStrands},
	{"a companion never takes more than the budget", parkedBudget},
}
