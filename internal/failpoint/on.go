//go:build failpoint && unix

package failpoint

import (
	"cmp"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether this program has failpoints.
const Enabled = true

// Hit marks a step.
func Hit(p Point) {
	_ = Err(p) // a plan that lets it fail was refused
}

// Err marks a step that may fail.
func Err(p Point) error {
	s := chosen().of(p)
	if s == nil {
		return nil
	}
	return s.hit()
}

// set are the steps that the environment names.
type set struct {
	steps map[Point]*step
	log   *os.File
}

// step is a chosen point.
type step struct {
	plan
	set  *set
	hits atomic.Int64
}

var chosen = sync.OnceValue(func() *set {
	s, err := read(os.Getenv("FLUSHLINE_FAILPOINT"), os.Getenv("FLUSHLINE_FAILPOINT_LOG"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return s
})

func read(spec, log string) (*set, error) {
	plans, err := parse(spec)
	if err != nil || len(plans) == 0 {
		return nil, err
	}
	s := &set{steps: map[Point]*step{}}
	for _, p := range plans {
		s.steps[p.point] = &step{plan: p, set: s}
	}
	s.log, err = os.OpenFile(cmp.Or(log, os.DevNull), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("couldn't open FLUSHLINE_FAILPOINT_LOG: %w", err)
	}
	return s, nil
}

func (s *set) of(p Point) *step {
	if s == nil {
		return nil
	}
	return s.steps[p]
}

// note appends a line in one write: it is the kernel's before anything happens.
func (s *set) note(format string, args ...any) {
	if _, err := fmt.Fprintf(s.log, format, args...); err != nil {
		fmt.Fprintln(os.Stderr, "couldn't write FLUSHLINE_FAILPOINT_LOG:", err)
		os.Exit(2)
	}
}

func (s *step) hit() error {
	n := s.hits.Add(1)
	s.set.note("hit %s %d\n", s.point, n)
	if n < s.nth || n > s.nth && !s.on {
		return nil
	}
	s.set.note("fired %s %d %s\n", s.point, n, s.action)
	return s.act(n)
}

func (s *step) act(n int64) error {
	switch s.action {
	case actKill:
		raise(syscall.SIGKILL)
	case actTerm:
		raise(syscall.SIGTERM)
	case actStop:
		raise(syscall.SIGSTOP)
	case actPanic:
		panic(fmt.Sprintf("failpoint %s, hit %d", s.point, n))
	case actError:
		return fmt.Errorf("failpoint %s, hit %d", s.point, n)
	default:
		time.Sleep(s.pause)
	}
	return nil
}

// raise sends ourselves a signal. SIGKILL and SIGSTOP act before kill returns.
func raise(sig syscall.Signal) {
	if err := syscall.Kill(os.Getpid(), sig); err != nil {
		fmt.Fprintln(os.Stderr, "couldn't send a signal to ourselves:", err)
		os.Exit(2)
	}
}
