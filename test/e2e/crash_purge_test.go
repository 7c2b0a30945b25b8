//go:build unix

package e2e

import (
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

const (
	purgedStore   = "store00"
	purgedLetters = crashLetters / 10 // each of ten logstores has as many
)

// crashPurge runs a cell of `dlq purge`: the letters of one logstore are purged by a
// process that meets the fault. They do not come back, and the others are all there: they
// are replayed.
func crashPurge(t *testing.T, c *crashCell) {
	x := &replayed{crashCell: c, deadLetter: "stop_after: 1000000"}
	x.rig, x.kafka = boundedRig(t, c.queue)
	x.config = x.rig.config(t, "w1", crashWindow)
	x.appendConfig(t)
	x.fill(t)

	args := []string{"dlq", "purge", "-c", x.config, "--logstore", purgedStore, "--yes"}
	cmd := c.command(t, args...)
	p, out := child.Start(t, "purge", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	c.fired(t, 1)
	fault := time.Now()
	first := &process{p, "purge", cmd}
	if c.action == stop {
		<-time.After(2 * time.Second)
		first.signal(syscall.SIGCONT)
	}
	select {
	case <-first.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the purge has not ended a minute after %s", c.action)
	}
	// All but the note is done: one that is told to end may have written it.
	if code := first.ExitCode(); code != map[string]int{kill: -1}[c.action] && (c.action != term || code != 75) {
		t.Errorf("the purge ended with %d after %s:\n%s", code, c.action, first.Log())
	}
	if left := x.replay(t, args...); !strings.Contains(left, "purged 0 letters") {
		t.Errorf("behind a purge: %s", left)
	}
	c.row.Recovery = time.Since(fault).Seconds()
	x.replay(t, "dlq", "replay", "-c", x.config, "--direct")
	x.replay(t, "dlq", "purge", "-c", x.config, "--logstore", purgedStore, "--yes") // gives the space back
	c.row.Settled = time.Since(fault).Seconds()

	others := func(k protocol.Key) bool { return k.Logstore != purgedStore }
	slow := x.verdict(t, x.book(t), "slow (http)", x.slow.dir, others)
	c.row.Confirmed, c.row.Lost, c.row.Duplicates = keptAll(t, map[string]*ledger.Verdict{"slow (http)": slow})
	if c.row.Confirmed != crashLetters-purgedLetters || c.row.Duplicates > 0 {
		t.Errorf("%d logs confirmed, %d came twice; want %d, once", c.row.Confirmed, c.row.Duplicates, crashLetters-purgedLetters)
	}
	if n := x.slow.logs.Load(); n != crashLetters-purgedLetters {
		t.Errorf("%d logs arrived: %d of what was purged", n, n-crashLetters+purgedLetters)
	}
}
