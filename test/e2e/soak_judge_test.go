//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// say tells what happens, and when.
func (s *soak) say(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Logf("%s %6s %s", s.name, time.Since(s.begin).Round(time.Second), fmt.Sprintf(format, args...))
}

// stallsAfter is how long nothing may arrive at any healthy tenant.
const stallsAfter = time.Minute

// moves sees that healthy tenants get logs whatever happens, and says once a minute how
// far it has come.
func (s *soak) moves(t *testing.T) {
	t.Helper()
	now := time.Now()
	if n := s.x.well.logs.Load(); n != s.arrived {
		s.arrived, s.flowed = n, now
	}
	if away := now.Sub(s.flowed); away > stallsAfter {
		t.Errorf("nothing arrived at any healthy tenant for %s", away.Round(time.Second))
		s.flowed = now
		s.steady.keepProfiles(t, s.before["w1"])
	}
	if now.After(s.reports) {
		s.reports = now.Add(min(time.Minute, s.lasts/3))
		s.line(t, "so far")
	}
}

// line is the state in one line.
func (s *soak) line(t *testing.T, what string) {
	t.Helper()
	s.count()
	var faults int
	for _, n := range s.faults {
		faults += n
	}
	at, _ := s.steady.last()
	held := s.steady.held(t)
	s.say(t, "%s: %d groups tried, %d logs posted, %d faults (%d stops, %d kills, %d reloads, %d of the broker); w1 holds %d, has %.0f goroutines, %.0f descriptors, %.1f MiB",
		what, s.journal.Tried(), s.arrived, faults, s.faults[faultStop], s.faults[faultKill], s.faults[faultReload], s.faults[s.brokerKind(false)],
		held, at.goroutines, at.fds, at.rss)
}

// count takes over what destinations and workers have counted.
func (s *soak) count() {
	s.unsure = s.late()
	for _, m := range []*moody{s.x.hangs, s.x.flaps} {
		met, unsure := m.seen()
		for kind, n := range met {
			s.faults[kind] = n
		}
		s.unsure += unsure
	}
}

// late is how many logs were written by calls of Flush that had not returned in time.
func (s *soak) late() (logs int) {
	f, err := os.Open(s.x.late())
	if err != nil {
		return 0 // none yet
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		n, _ := strconv.Atoi(lines.Text()) // one that is being written is counted later
		logs += n
	}
	return logs
}

// reloaded waits until the steady worker has taken over every configuration.
func (s *soak) reloaded(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "w1 has taken over every configuration", func() bool {
		c := s.steady.status(t).Config
		if c.Failed != 0 {
			t.Fatalf("w1 refused %d configurations, the last one with %s", c.Failed, c.LastError)
		}
		s.faults[faultReload] = int(c.Reloads)
		return c.Reloads >= s.asked
	})
}

// judge reads all destinations.
func (s *soak) judge(t *testing.T) {
	t.Helper()
	s.count()
	book := s.book(t)
	for _, p := range s.x.places() {
		v := s.verdict(t, book, p.name, p.root, p.of)
		if !v.Kept() {
			t.Errorf("%s did not get what it should", p.name)
		}
		s.verdicts[p.name] = v
		s.logs += v.Confirmed
		s.twice += v.Duplicates
	}
	if bound := s.twiceAtMost(); s.twice > bound {
		t.Errorf("%d logs came twice, at most %d may", s.twice, bound)
	}
	s.report(t, s.verdicts)
	s.noDeadLetters(t)
	s.balanced(t)
	s.judged = true
}

// twiceAtMost is how many logs may have come twice: those of messages that no broker
// knew to have ended when a worker or the broker died, and those of a Flush whose
// result nobody knows.
func (s *soak) twiceAtMost() int { return 2*int(s.atRisk) + s.unsure }

// record adds what this queue's soak showed.
func (s *soak) record(r *proof.Run) {
	for kind, n := range s.faults {
		r.Fault(kind, n)
	}
	of := func(what string) string { return s.name + ": " + what }
	var lost, spurious, corrupt int
	for _, v := range s.verdicts {
		lost, spurious, corrupt = lost+v.Lost.Count, spurious+v.Spurious.Count, corrupt+v.Corrupt.Count
	}
	seen := s.scraper.Seen()
	load := s.end.Sub(s.begin)
	r.Value(of("load lasted"), load.Minutes(), "min")
	r.Value(of("logs confirmed by the broker"), float64(s.logs), "logs")
	r.AtMost(of("logs lost"), float64(lost), 0, "logs")
	r.AtMost(of("logs that nobody sent"), float64(spurious), 0, "logs")
	r.AtMost(of("corrupt logs"), float64(corrupt), 0, "logs")
	r.Value(of("messages that were not settled when a worker was killed or a broker came back, in all"), float64(s.atRisk), "")
	r.AtMost(of("logs that came twice"), float64(s.twice), float64(s.twiceAtMost()), "logs")
	r.AtLeast(of("equations that were checked"), float64(seen.Equations), 1, "")
	r.AtMost(of("snapshots that were wrong"), float64(seen.Broken.Count), 0, "")
	for _, w := range []struct {
		name, what string
		mib        float64
	}{{"w1", "the worker that lived through all of it", restMiB}, {"w2", "the last of the others, race detector on", restRaceMiB}} {
		before, after := s.before[w.name], s.after[w.name]
		r.AtMost(of(w.what+": goroutines at rest"), after.goroutines, before.goroutines+restGoroutines, "")
		r.AtMost(of(w.what+": descriptors at rest"), after.fds, before.fds+restFiles, "")
		r.AtMost(of(w.what+": resident at rest"), after.rss, before.rss+w.mib, "MiB")
	}
	s.recordGrowth(r, of, load)
}

// recordGrowth is resident memory under load, the first sixth left out: its peak and
// its slope.
func (s *soak) recordGrowth(r *proof.Run, of func(string) string, load time.Duration) {
	samples := s.steady.between(s.begin.Add(load/6), s.end)
	var peak float64
	for i := range samples {
		peak = max(peak, samples[i].rss)
	}
	r.AtMost(of("resident under load"), peak, soakMiB, "MiB")
	grows := "resident memory grows under load by"
	if load < slopeOf {
		r.Note("On %s the load lasted %.0f minutes: how resident memory grows is judged from %.0f minutes on.", s.name, load.Minutes(), slopeOf.Minutes())
		r.Value(of(grows), slope(samples), "MiB/h")
		return
	}
	r.AtMost(of(grows), slope(samples), slopeBound, "MiB/h")
}
