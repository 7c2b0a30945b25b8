package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/internal/steps"
)

// result is what a machine came to.
type result struct {
	stepMachine
	sequences int
	steps     int64
	took      time.Duration
	failed    string // what the test printed
}

// take runs the machine.
func (r *result) take(ctx context.Context, times int) {
	start := time.Now()
	cmd := exec.CommandContext(ctx, "go", "test", "-count", strconv.Itoa(r.runs*times), "-v", "-timeout", "0", "-run", "^"+r.test+"$", "./"+r.pkg,
		"-rapid.checks", strconv.Itoa(r.checks))
	out, err := cmd.CombinedOutput()
	r.took = time.Since(start)
	r.judge(string(out), err != nil)
}

var passed = regexp.MustCompile(`\[rapid\] OK, passed (\d+) tests`)

// judge reads what the test printed.
func (r *result) judge(out string, failed bool) {
	r.steps = steps.Read(out)
	for _, m := range passed.FindAllStringSubmatch(out, -1) {
		n, _ := strconv.Atoi(m[1]) // as the expression says, it is one
		r.sequences += n
	}
	if failed || r.steps == 0 { // also one that was not found, or skipped
		r.failed = out
	}
}

// report prints what each machine did, and is an error if one failed.
func report(w io.Writer, results []result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MACHINE\tTEST\tSEQUENCES\tSTEPS\tSECONDS")
	var all int64
	failed := 0
	for _, r := range results {
		all += r.steps
		verdict := strconv.FormatInt(r.steps, 10)
		if r.failed != "" {
			failed++
			verdict = "FAILED"
		}
		fmt.Fprintf(table, "%s\t%s %s\t%d\t%s\t%.1f\n", r.name, r.pkg, r.test, r.sequences, verdict, r.took.Seconds())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.failed != "" {
			fmt.Fprintf(w, "\n%s (%s %s) failed, or took no step:\n%s", r.name, r.pkg, r.test, r.failed)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d machines failed", failed, len(results))
	}
	fmt.Fprintf(w, "%d machines, %d steps\n", len(results), all)
	return nil
}

// keep writes the run down.
func keep(run *proof.Run, results []result, failed bool) error {
	failures := 0
	for _, r := range results {
		if r.failed != "" {
			failures++
		}
		run.AtLeast(fmt.Sprintf("steps of the machine of %s (%s %s)", r.name, r.pkg, r.test), float64(r.steps), 1, "")
	}
	run.AtMost("machines that disagreed with their model", float64(failures), 0, "")
	return run.Keep(failed)
}
