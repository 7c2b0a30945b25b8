package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// childEnv makes the test binary a child: the first seed, how many, and how often each.
const childEnv = "FLUSHLINE_SIM_CHILD"

// What a child says.
const (
	sayBegin = "SIM BEGIN"
	sayEnd   = "SIM END"
)

const (
	perChild     = 10   // seeds of one child
	childTimeout = "4m" // then it says where it hangs
	mostFailures = 5    // then nobody begins another
)

// errand is a run of seeds for one child.
type errand struct {
	first    uint64
	n, times int
}

// children runs seeds in processes of their own, one a core, and gathers the outcomes.
// A child that dies is the failure of the seed it was at; another goes on behind it.
func (s *simulation) children(t *testing.T, first uint64, n, times int) []outcome {
	errands := make(chan errand, n)
	for done := 0; done < n; done += perChild {
		errands <- errand{first + uint64(done), min(perChild, n-done), times}
	}
	close(errands)
	var mu sync.Mutex
	var all []outcome
	failed := func() bool {
		mu.Lock()
		defer mu.Unlock()
		bad := 0
		for _, o := range all {
			if len(o.Broken) > 0 {
				bad++
			}
		}
		return bad >= mostFailures || bad > 0 && planted()
	}
	dir := scratch(t)
	var wg sync.WaitGroup
	for range max(1, runtime.NumCPU()) {
		wg.Go(func() {
			for e := range errands {
				for e.n > 0 && !failed() {
					got, rest := s.child(t, e, dir)
					mu.Lock()
					all = append(all, got...)
					mu.Unlock()
					e = rest
				}
			}
		})
	}
	wg.Wait()
	slices.SortFunc(all, func(a, b outcome) int { return int(a.Seed) - int(b.Seed) })
	return all
}

// scratch is where children keep the files of brokers: in memory where the system has a
// place for that. What a disk takes its time for is not what worlds are about, and a
// child that dies leaves nothing behind.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "flushline-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// child runs one child. rest is what it did not come to.
func (s *simulation) child(t *testing.T, e errand, dir string) (got []outcome, rest errand) {
	self, err := os.Executable()
	if err != nil {
		t.Error(err)
		return nil, errand{}
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+s.test+"$", "-test.timeout="+childTimeout)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, fmt.Sprintf("%s=%d %d %d", childEnv, e.first, e.n, e.times))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Error(err)
		return nil, errand{}
	}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return nil, errand{}
	}
	at, words := e.first, &trouble
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	var other []string
	for lines.Scan() {
		line := lines.Text()
		if text, is := strings.CutPrefix(line, sayEnd+" "); is {
			var o outcome
			if err := json.Unmarshal([]byte(text), &o); err != nil {
				t.Errorf("a child said %q: %v", text, err)
			}
			got = append(got, o)
		} else if text, is := strings.CutPrefix(line, sayBegin+" "); is {
			_, _ = fmt.Sscan(text, &at) // then it is the seed before
			other = nil
		} else if len(other) < 400 {
			other = append(other, line)
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	ran := len(got)
	switch {
	case ran == e.n*e.times && err == nil:
		return got, errand{}
	case (ran == e.n*e.times || planted()) && slices.ContainsFunc(got, func(o outcome) bool { return len(o.Broken) > 0 }):
		return got, errand{}
	}
	said := words.String()
	if len(said) > 20_000 {
		said = said[:20_000]
	}
	got = append(got, outcome{Seed: at, Broken: []string{fmt.Sprintf("the process ended: %v\n%s\n%s", err, strings.Join(other, "\n"), said)}})
	return got, errand{at + 1, e.n - int(at+1-e.first), e.times}
}
