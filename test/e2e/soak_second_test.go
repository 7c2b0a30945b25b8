//go:build linux

package e2e

import (
	"syscall"
	"testing"
	"time"
)

// second is the worker that does not live long.
type second struct {
	*watched           // nil: none runs
	told     time.Time // to stop; zero: it was not
	may      bool      // not end cleanly: some call hung while it stopped
}

// soakStop is what a stop may take beside the drain: five seconds each for the last
// commit, for SetUrgent and for Stop of a flusher that hangs, and as much for a machine
// that has other things to do.
const soakStop = 20 * time.Second

// up says that it runs and is to go on.
func (x *second) up() bool { return x.watched != nil && x.told.IsZero() }

func (s *soak) startSecond(t *testing.T) {
	t.Helper()
	s.second.watched = watch(t, s.pod(t, "program", "w2", s.file(t, "w2")))
	s.second.told, s.second.may = time.Time{}, false
}

func (s *soak) stopSecond(t *testing.T) bool {
	t.Helper()
	if !s.second.up() {
		return false
	}
	s.say(t, "w2 is told to stop")
	s.second.signal(syscall.SIGTERM)
	s.second.told = time.Now()
	return true
}

func (s *soak) killSecond(t *testing.T) bool {
	t.Helper()
	if !s.second.up() {
		return false
	}
	held := s.second.held(t)
	if held == 0 {
		return false // nothing would be shown
	}
	s.second.kill()
	open := s.queue.unsettled(t)
	s.say(t, "w2 was killed: it held %d messages, and %d were not settled", held, open)
	s.atRisk += open
	s.faults[faultKill]++
	s.second.watched = nil
	return true
}

// look starts the second worker again when it has ended, and judges how it did.
func (s *soak) look(t *testing.T) {
	t.Helper()
	if !s.steady.running() {
		t.Fatalf("w1 ended by itself with code %d", s.steady.ExitCode())
	}
	x := s.second
	switch {
	case x.watched == nil:
		s.startSecond(t)
	case !x.running():
		s.ended(t)
		s.startSecond(t)
	case x.up():
	default:
		x.may = x.may || s.hanging || s.sticking
		if time.Since(x.told) > s.drain+soakStop {
			x.signal(syscall.SIGQUIT) // its goroutines are its last words
			<-x.Ended()
			t.Fatalf("w2 did not end within %s of SIGTERM", s.drain+soakStop)
		}
	}
}

// ended holds a worker that has ended to what it was told.
func (s *soak) ended(t *testing.T) {
	t.Helper()
	const tryAgain = 75 // the drain passed with a Flush unfinished
	x, code := s.second, s.second.ExitCode()
	may := x.may || s.hanging || s.sticking
	if x.told.IsZero() || code != 0 && !(code == tryAgain && may) {
		t.Fatalf("w2 ended with code %d; it was told to: %t, a call hung meanwhile: %t", code, !x.told.IsZero(), may)
	}
	s.say(t, "w2 has stopped after %s with code %d", x.lasted().Sub(x.told).Round(100*time.Millisecond), code)
	s.faults[faultStop]++
}
