// Package steps counts what step machines do: tests in which package rapid draws one
// step after the other, and a naive model says what has to be true behind each of them.
//
//	count := steps.Count(t)
//	rapid.Check(t, func(t *rapid.T) {
//		...
//		t.Repeat(count.Of(map[string]func(*rapid.T){...}))
//	})
//
// The count is in the test's log, where `make machines` reads it: a machine that took
// no step has shown nothing.
package steps

import (
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// Counter is the count of one test. It may be used from any goroutine.
type Counter struct{ n atomic.Int64 }

// Count begins to count; the test says how far it came when it ends.
func Count(tb testing.TB) *Counter {
	tb.Helper()
	s := new(Counter)
	tb.Cleanup(func() { tb.Log(said(s.n.Load())) })
	return s
}

// Step counts one step of a machine that draws its steps in a loop of its own.
func (s *Counter) Step() { s.n.Add(1) }

// Of has each action counted when it was taken. One that was skipped is none, nor is
// the action "", which only looks.
func (s *Counter) Of(actions map[string]func(*rapid.T)) map[string]func(*rapid.T) {
	counted := make(map[string]func(*rapid.T), len(actions))
	for name, do := range actions {
		counted[name] = do
		if name != "" {
			counted[name] = func(t *rapid.T) {
				do(t)
				s.Step()
			}
		}
	}
	return counted
}

func said(n int64) string { return fmt.Sprintf("the machine took %d steps", n) }

var saying = regexp.MustCompile(`the machine took (\d+) steps`)

// Read is how many steps the tests took that wrote this output; 0: none said so.
func Read(output string) (steps int64) {
	for _, m := range saying.FindAllStringSubmatch(output, -1) {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err == nil { // else more than an int64: no test comes so far
			steps += n
		}
	}
	return steps
}
