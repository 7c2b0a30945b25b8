package queuetest

import (
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// LetterQueue is one fresh dead letter queue.
type LetterQueue interface {
	// Sink is the queue as another worker has it; done says that the worker has stopped.
	// Cleaning up is t.Cleanup's business, here and below.
	Sink() (s queue.Sink, done func(), err error)
	// Box is the queue as another command has it.
	Box() (queue.LetterBox, error)
	// Left is how much the queue holds of letters, in whatever unit.
	Left() (int64, error)
	// Remove deletes the queue, or takes its broker away for good.
	Remove() error
}

// LetterHarness says how a box of dead letters and its sink are tested.
type LetterHarness struct {
	// Open makes a queue; cleaning up is t.Cleanup's business.
	Open func(t *testing.T) LetterQueue

	// Cut is a size of value, of random bytes, at which the sink cuts a letter into
	// chunks, at least three; 0: it never cuts.
	Cut int

	// Patience bounds each call; 1m.
	Patience time.Duration
}

// RunLetterBox runs the suite of boxes, each test against a queue of its own. The test
// that calls it must not be parallel, as one of them measures memory.
func RunLetterBox(t *testing.T, h LetterHarness) {
	if h.Patience == 0 {
		h.Patience = time.Minute
	}
	for _, tt := range letterTests {
		t.Run(tt.name, func(t *testing.T) {
			if !tt.alone {
				t.Parallel()
			}
			tt.run(&letterBench{T: t, h: &h, q: h.Open(t)})
		})
	}
}

var letterTests = []struct {
	name  string
	alone bool
	run   func(*letterBench)
}{
	{"many letters are read in bounded memory", true, manyLetters},
	{"an empty queue has no letters", false, noLetters},
	{"a letter comes back as it was", false, letterComesBack},
	{"a letter that was cut comes whole", false, cutLetterComesWhole},
	{"a put that failed halfway is kept as damaged", false, halfwayIsDamaged},
	{"a letter of a later format is kept as damaged", false, laterFormatIsDamaged},
	{"visit's error ends reading", false, visitEnds},
	{"an ended context ends reading", false, contextEnds},
	{"letters that are put while reading are not lost", false, putWhileReading},
	{"a resolved letter is gone for every box", false, resolvedIsGone},
	{"letters are resolved while they are read", false, resolvedWhileReading},
	{"letters are resolved by many boxes at once", false, resolvedAtOnce},
	{"what was resolved in part can be resolved", false, resolvedInPart},
	{"nothing is freed that is open", false, openIsNotFreed},
	{"what is resolved is freed", false, resolvedIsFreed},
	{"a queue that is gone says so", false, goneSaysSo},
}
