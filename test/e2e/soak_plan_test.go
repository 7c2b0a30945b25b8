//go:build linux

package e2e

import (
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/worker"
)

// The kinds of faults.
const (
	faultStop    = "worker stopped by SIGTERM"
	faultKill    = "worker killed by SIGKILL"
	faultReload  = "configuration taken over under load"
	faultHang    = "destination that stopped answering for a while"
	faultStuck   = "Flush that did not return and was abandoned"
	faultUnready = "IsReady that was false for a while"
	faultNATS    = "nats-server restarted or killed"
	faultKafka   = "Kafka's broker restarted or killed"
)

var soakKinds = []string{
	faultStop, faultKill, faultReload, faultHang, faultStuck, faultUnready, faultNATS, faultKafka,
	unavailable, tooMany, cutOff, noAnswer,
}

// kinds are those of this soak's queue.
func (s *soak) kinds() []string {
	var kinds []string
	for _, k := range soakKinds {
		if k != s.brokerKind(true) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

func (s *soak) brokerKind(other bool) string {
	if (s.name == "nats") != other {
		return faultNATS
	}
	return faultKafka
}

// event comes again and again, at random times around its period.
type event struct {
	every time.Duration
	next  time.Time
	do    func(t *testing.T) bool // false: not now, but soon
}

// delayed ends something.
type delayed struct {
	at time.Time
	do func(t *testing.T)
}

// plan says what happens how often. A short soak has all of it, in quick succession.
func (s *soak) plan() {
	often := s.lasts < 5*time.Minute
	add := func(quick, every time.Duration, do func(*testing.T) bool) {
		if often {
			every = quick
		}
		s.events = append(s.events, &event{every, s.begin.Add(s.between(every/4, every)), do})
	}
	add(15*time.Second, time.Minute, s.stopSecond)
	add(25*time.Second, 5*time.Minute, s.killSecond)
	add(8*time.Second, 30*time.Second, s.reload)
	add(25*time.Second, 8*time.Minute, s.breakBroker)
	lasts := func() time.Duration { return s.between(20*time.Second, time.Minute) }
	if often {
		lasts = func() time.Duration { return s.between(12*time.Second, 15*time.Second) }
	}
	add(12*time.Second, 2*time.Minute, func(t *testing.T) bool { return s.hang(t, lasts()) })
	add(12*time.Second, 2*time.Minute, func(t *testing.T) bool { return s.stick(t, lasts()) })
	add(5*time.Second, 10*time.Second, s.unready)
}

// between is a random time.
func (s *soak) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.rng.Int64N(int64(most-least)))
}

// then has something done after a time.
func (s *soak) then(after time.Duration, do func(*testing.T)) {
	s.later = append(s.later, delayed{time.Now().Add(after), do})
}

// step lets happen what is due.
func (s *soak) step(t *testing.T) {
	t.Helper()
	s.look(t)
	now := time.Now()
	for i := len(s.later) - 1; i >= 0; i-- {
		if d := s.later[i]; now.After(d.at) {
			s.later = append(s.later[:i], s.later[i+1:]...)
			d.do(t)
		}
	}
	for _, e := range s.events {
		if now.After(e.next) && e.do(t) {
			e.next = time.Now().Add(s.between(e.every/2, e.every*3/2))
		}
	}
	s.moves(t)
}

// reload gives both workers another configuration; those that are not told find it by
// themselves.
func (s *soak) reload(t *testing.T) bool {
	t.Helper()
	s.faults[faultReload] = int(s.steady.status(t).Config.Reloads)
	s.x.version++
	s.file(t, "w1")
	s.file(t, "w2")
	s.asked++
	told := s.rng.IntN(2) == 0
	if told {
		s.steady.signal(syscall.SIGHUP)
		if s.second.up() {
			s.second.signal(syscall.SIGHUP)
		}
	}
	s.say(t, "configuration %d, workers are told: %t", s.x.version, told)
	return true
}

// hang has one destination answer nothing for a while.
func (s *soak) hang(t *testing.T, lasts time.Duration) bool {
	t.Helper()
	if s.hanging {
		return false
	}
	s.say(t, "a destination hangs for %s", lasts.Round(time.Second))
	met, _ := s.x.hangs.seen()
	s.hanging = true
	s.x.hangs.hang(true)
	s.then(lasts, func(*testing.T) {
		if now, _ := s.x.hangs.seen(); now[noAnswer] > met[noAnswer] {
			s.faults[faultHang]++
		}
		s.hanging = false
		s.x.hangs.hang(false)
	})
	return true
}

// stick has one flusher not return from Flush for a while.
func (s *soak) stick(t *testing.T, lasts time.Duration) bool {
	t.Helper()
	if s.sticking {
		return false
	}
	s.say(t, "Flush of one flusher does not return for %s", lasts.Round(time.Second))
	s.sticking = true
	open(t, s.x.hang())
	s.then(lasts, func(t *testing.T) {
		if now, is := s.steady.last(); is && now.stuck > 0 {
			s.faults[faultStuck] += int(now.stuck)
		}
		s.sticking = false
		gone(t, s.x.hang())
	})
	return true
}

// unready has one flusher say so for a moment.
func (s *soak) unready(t *testing.T) bool {
	t.Helper()
	if s.waiting {
		return false
	}
	s.waiting = true
	gone(t, s.x.gate(tenantUnready))
	s.then(s.between(2*time.Second, 4*time.Second), func(t *testing.T) {
		lanes := s.steady.status(t).Lanes
		for i := range lanes {
			if l := &lanes[i]; l.Project == tenantUnready && l.State == worker.LaneUnready {
				s.faults[faultUnready]++
				break
			}
		}
		s.waiting = false
		open(t, s.x.gate(tenantUnready))
	})
	return true
}

// breakBroker stops or kills the broker and starts it again.
func (s *soak) breakBroker(t *testing.T) bool {
	t.Helper()
	how, do := "is stopped", s.queue.halt
	if s.rng.IntN(2) == 0 {
		how, do = "is killed", s.queue.crash
	}
	away := s.between(0, 2*time.Second)
	s.say(t, "the broker %s, and is away for %s", how, away.Round(time.Millisecond))
	do(t)
	<-time.After(away)
	s.queue.start(t)
	s.mark(t, "the broker is back")
	s.atRisk += s.queue.unsettled(t)
	s.faults[s.brokerKind(false)]++
	return true
}
