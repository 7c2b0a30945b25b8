//go:build unix

package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/flushline/flushline/internal/proof"
)

// shortKills is what runs a part of the series.
const shortKills = "make faults"

// killTotal is how many kills there have to be, and the command that repeats them:
// FLUSHLINE_KILLS, as `make kills` has it, or one of the two sizes.
func killTotal(t *testing.T, short int) (total int, command string) {
	t.Helper()
	if s := os.Getenv("FLUSHLINE_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("FLUSHLINE_KILLS=%s: write how many kills there have to be", s)
		}
		return n, fmt.Sprintf("make kills KILLS=%d", n)
	}
	return size(short, 1000), size(shortKills, "make kills KILLS=1000")
}

// As many kills as in the short form, and asked for, are of all series.
func TestKillsThatWereAskedForAreNotTheShortForm(t *testing.T) {
	t.Setenv("FLUSHLINE_KILLS", "20")
	if total, command := killTotal(t, 20); total != 20 || command == shortKills {
		t.Errorf("FLUSHLINE_KILLS=20 makes %d kills, as %q does", total, command)
	}
}

// killSum is what a number of kills did.
type killSum struct {
	kills      int
	met        int // that had messages in hand
	confirmed  int // logs, with each destination once
	lost       int
	duplicates int // messages
	bound      int // of duplicates
}

func (s *killSum) add(o killSum) {
	s.kills += o.kills
	s.met += o.met
	s.confirmed += o.confirmed
	s.lost += o.lost
	s.duplicates += o.duplicates
	s.bound += o.bound
}

// killSums are those of parts that run side by side.
type killSums struct {
	mu    sync.Mutex
	whole killSum
	parts map[string]killSum
}

func (k *killSums) add(t *testing.T, part string, s killSum) {
	t.Helper()
	t.Logf("%s: %d kills, %d of them with messages in hand: %d lost of %d, %d came twice, at most %d may", part, s.kills, s.met, s.lost, s.confirmed, s.duplicates, s.bound)
	if s.duplicates > s.bound {
		t.Errorf("%s: %d messages came twice, at most %d may", part, s.duplicates, s.bound)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.parts == nil {
		k.parts = map[string]killSum{}
	}
	sum := k.parts[part]
	sum.add(s)
	k.parts[part] = sum
	k.whole.add(s)
}

// judge adds the figures of all parts to a run.
func (k *killSums) judge(t *testing.T, run *proof.Run, least int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, part := range slices.Sorted(maps.Keys(k.parts)) {
		s := k.parts[part]
		run.Fault("SIGKILL "+part, s.kills)
		run.AtMost(part+": came twice", float64(s.duplicates), float64(s.bound), "messages")
	}
	w := &k.whole
	run.AtLeast("kills", float64(w.kills), float64(least), "")
	run.AtMost("lost", float64(w.lost), 0, "logs")
	run.Value("confirmed, with each destination once", float64(w.confirmed), "logs")
	run.Value("came twice after a kill, in the mean", float64(w.duplicates)/float64(max(w.kills, 1)), "messages")
	if w.kills < least {
		t.Errorf("%d kills, there have to be %d", w.kills, least)
	}
}
