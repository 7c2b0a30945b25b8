// Command mutants plants each defect of internal/mutant and runs the checks that have
// to catch it.
//
//	go run ./test/mutants [-run REGEXP] [-timeout 60s]
//
// It builds the tests once with the build tag, sees that every check passes while
// nothing is planted, and then runs each check once for each defect that it has to
// catch, two at a time. It prints which test caught what, and with which words. The
// exit code is 1 if a check that fails without a defect, or does not run, or one that
// catches nothing was among them.
//
// A run of all of them is kept (package internal/proof).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/internal/proof"
)

func main() {
	only := flag.String("run", everything, "plant only the defects whose names match")
	timeout := flag.Duration("timeout", time.Minute, "how long a check may take to catch a defect")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// everything matches every defect: only such a run is kept.
const everything = "."

func run(ctx context.Context, only string, timeout time.Duration) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	var trials []trial
	for _, d := range mutant.List() {
		if !match.MatchString(d.Name) {
			continue
		}
		for _, c := range d.Checks {
			trials = append(trials, trial{defect: d, check: c})
		}
	}
	if len(trials) == 0 {
		return fmt.Errorf("no defect matches %q", only)
	}
	kept := proof.Begin("mutants", "Defects that are planted on purpose, one at a time, are caught.", "make mutants")
	dir, err := os.MkdirTemp("", "flushline-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // of the system's place for such things
	start := time.Now()
	tests, err := build(ctx, dir, trials)
	if err != nil {
		return err
	}
	fmt.Printf("built the tests of %d packages in %.0f s\n", len(tests), time.Since(start).Seconds())
	start = time.Now()
	if err := sound(ctx, tests, trials, timeout); err != nil {
		return err
	}
	fmt.Printf("all checks pass while nothing is planted (%.0f s)\n", time.Since(start).Seconds())
	start = time.Now()
	inTurn(len(trials), runtime.NumCPU(), func(i int) {
		trials[i].result = tests[trials[i].check.Package].try(ctx, trials[i].check.Run, trials[i].defect.Name, timeout)
	})
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	err = report(os.Stdout, trials, time.Since(start))
	if only == everything {
		figures(kept, trials, timeout)
		err = errors.Join(err, kept.Keep(err != nil))
	}
	return err
}
