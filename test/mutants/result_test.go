package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/internal/proof"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		out    string
		failed bool
		want   result
	}{
		"passed": {
			out:  "=== RUN   TestA\n    a_test.go:1: a log\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n--- SKIP: TestB (0.00s)\nPASS\n",
			want: result{ran: 2, skipped: 1},
		},
		"failed": {
			out:    "=== RUN   TestA\n    seed.go:27: FLUSHLINE_SEED=1\n    a_test.go:1: lost 3\n    a_test.go:2: more\n--- FAIL: TestA (0.00s)\nFAIL\n",
			failed: true, want: result{caught: true, test: "TestA", message: "lost 3", ran: 1},
		},
		"failed below": {
			out:    "=== RUN   TestA\n=== RUN   TestA/x\n    a_test.go:1: lost 3\n--- FAIL: TestA (0.00s)\n    --- FAIL: TestA/x (0.00s)\nFAIL\n",
			failed: true, want: result{caught: true, test: "TestA/x", message: "lost 3", ran: 2},
		},
		"failed before a crash": {
			out:    "=== RUN   TestA\n    a_test.go:1: lost 3\n--- FAIL: TestA (0.00s)\npanic: deadlock\n\ngoroutine 1 [running]:\n",
			failed: true, want: result{caught: true, test: "TestA", message: "lost 3", ran: 1},
		},
		"crashed": {
			out:    "=== RUN   TestA\npanic: nil\n\ngoroutine 1 [running]:\n",
			failed: true, want: result{caught: true, test: "TestA", message: "nil"},
		},
		"said nothing in time": {
			out:    "=== RUN   TestA\npanic: test timed out after 1m0s\n\trunning tests:\n",
			failed: true, want: result{hung: true, test: "TestA", message: "test timed out after 1m0s"},
		},
		"killed": {out: "=== RUN   TestA\n", failed: true, want: result{hung: true, test: "TestA"}},
	} {
		if got := read(c.out, c.failed); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestReportFailsForASurvivor(t *testing.T) {
	t.Parallel()
	trials := []trial{{
		defect: mutant.Defect{Name: "a"}, check: mutant.Check{Package: "p", Run: "TestA"},
		result: result{caught: true, test: "TestA", message: "lost 3"},
	}}
	var out bytes.Buffer
	if err := report(&out, trials, time.Second); err != nil || !strings.Contains(out.String(), "lost 3") {
		t.Errorf("%v\n%s", err, &out)
	}
	for _, r := range []result{{ran: 1}, {hung: true, test: "TestA"}} {
		out.Reset()
		trials[0].result = r
		if err := report(&out, trials, time.Second); err == nil || !strings.Contains(out.String(), "NOT CAUGHT") {
			t.Errorf("%+v: %v\n%s", r, err, &out)
		}
	}
}

func TestASurvivorIsInTheFigures(t *testing.T) {
	t.Parallel()
	var trials []trial
	for i := range leastMutants {
		trials = append(trials, trial{
			defect: mutant.Defect{Name: fmt.Sprint(i)}, check: mutant.Check{Package: "p", Run: "TestA"},
			result: result{caught: true, test: "TestA", took: time.Second},
		})
	}
	kept := func(trials []trial) bool {
		run := proof.Begin("mutants", "", "")
		figures(run, trials, time.Minute)
		if len(run.Notes) != len(trials) || run.Faults["planted defect"] != len(trials) {
			t.Errorf("%d notes, faults %v of %d trials", len(run.Notes), run.Faults, len(trials))
		}
		return !slices.ContainsFunc(run.Figures, func(f proof.Figure) bool { return !f.Kept() })
	}
	if !kept(trials) {
		t.Error("all caught is beyond a bound")
	}
	if kept(trials[1:]) {
		t.Error("too few defects are enough")
	}
	trials[3].result.took = 2 * time.Minute
	if kept(trials) {
		t.Error("a check of two minutes is quick enough")
	}
	trials[3].result = result{}
	if kept(trials) {
		t.Error("a survivor is within its bounds")
	}
}
