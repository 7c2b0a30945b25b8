//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/faultproxy"
)

// netPayloadsChanged shows where the promise ends: NATS in plain text has no checksum,
// so a letter of a log that is changed on its way is flushed as it came. It stays with
// that log: nothing else is lost, made up or dead-lettered for it.
func netPayloadsChanged(t *testing.T, n *netRun) {
	p := n.place("nats in plain text")
	p.beforeNATS(t, startBroker(t, false))
	w, stop := p.starts(t)
	p.flows(t)
	p.proxy.Set(faultproxy.ToClient, faultproxy.Fault{Change: spoilLetters(20)})
	changed := func() int { return int(p.proxy.Met(faultproxy.ToClient).Changed) }
	eventually(t, time.Minute, "twenty letters are changed", func() bool { return changed() == 20 })
	p.proxy.Heal()
	p.flowsAgain(t, "letters are whole again", time.Minute)
	stop()
	p.broker.drained(t, time.Minute)
	w.status(t)
	w.terminate(t)
	corrupt := 0
	for name, v := range p.verdicts(t) {
		if v.Corrupt.Count != v.Lost.Count || v.Spurious.Count != 0 || v.Duplicates != 0 {
			t.Errorf("%s has more than changed logs wrong", name)
		}
		if name != "both (file)" { // has what "both (http)" has
			corrupt += v.Corrupt.Count
		}
	}
	p.noDeadLetters(t)
	p.balanced(t)
	if corrupt != changed() {
		t.Errorf("%d letters were changed, and %d logs are wrong", changed(), corrupt)
	}
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.all.run.Fault(p.name+": letters of logs changed", changed())
	p.all.run.Note("NATS in plain text has no checksum: %d logs with a letter changed on its way were flushed as they came, and nothing else was wrong. Over TLS none is.", corrupt)
}

// spoilLetters changes the middle one of eighty letters in a row, once in a piece: no
// head of a message and no field but the filler is as long.
func spoilLetters(most int) func([]byte) int {
	const row = 80
	return func(piece []byte) int {
		letters := 0
		for i, c := range piece {
			if letters++; c < 'a' || c > 'z' {
				letters = 0
			}
			if letters == row && most > 0 {
				piece[i-row/2] ^= 1 // '`' is no letter, and as good
				most--
				return 1
			}
		}
		return 0
	}
}
