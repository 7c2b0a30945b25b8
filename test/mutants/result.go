package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// result is what a run of tests came to.
type result struct {
	caught       bool
	hung         bool   // no test said that something is wrong, only that the time is over
	test         string // the innermost that failed
	message      string // the first line of what it said
	ran, skipped int
	took         time.Duration
}

var (
	outcome = regexp.MustCompile(`^ *--- (PASS|FAIL|SKIP): (\S+)`)
	running = regexp.MustCompile(`^=== (?:RUN|CONT|NAME) +(\S+)`)
	said    = regexp.MustCompile(`^ +(\S+\.go):\d+: (.*)`)
	crashed = regexp.MustCompile(`^(?:panic|fatal error): (.*)`)
)

// noise are lines that say nothing of a failure: a log's, and what a test says of its
// own process, whose words follow.
var noise = regexp.MustCompile(`^(logger|seed)\.go |exit status \d+$`)

// read finds out from the output of tests (-test.v) how they ended. A test that was
// running when the process crashed has failed; one that only was too slow has not.
func read(out string, failed bool) result {
	var r result
	lines := map[string][]string{} // what each test said
	now, crash := "", ""
	var failures []string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\r\n")
		if m := outcome.FindStringSubmatch(line); m != nil {
			switch m[1] {
			case "FAIL":
				failures = append(failures, m[2])
			case "SKIP":
				r.skipped++
			}
			r.ran++
			now = m[2]
		} else if m := running.FindStringSubmatch(line); m != nil {
			now = m[1]
		} else if m := said.FindStringSubmatch(line); m != nil && !noise.MatchString(m[1]+" "+m[2]) {
			lines[now] = append(lines[now], m[2])
		} else if m := crashed.FindStringSubmatch(line); m != nil && crash == "" {
			crash = m[1]
			if len(failures) == 0 {
				failures = append(failures, now)
			}
		}
	}
	if !failed {
		return r
	}
	if strings.HasPrefix(crash, "test timed out") || len(failures) == 0 {
		r.hung = true
		r.test, r.message = now, crash
		return r
	}
	r.caught = true
	for _, name := range failures {
		if r.test == "" || strings.HasPrefix(name, r.test+"/") {
			r.test = name
		}
	}
	for _, name := range append([]string{r.test}, failures...) {
		if said := lines[name]; r.message == "" && len(said) > 0 {
			r.message = said[0]
		}
	}
	if r.message == "" {
		r.message = crash
	}
	return r
}

// mostWords bounds what the table shows of a message, in bytes.
const mostWords = 110

// report prints what was caught, and is an error if something was not.
func report(w io.Writer, trials []trial, took time.Duration) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "MUTANT\tCAUGHT BY\tSECONDS\tIT SAID")
	survived := 0
	for _, t := range trials {
		by := t.check.Package + " " + t.result.test
		switch {
		case t.result.hung:
			by = "NOT CAUGHT: nothing said so before the time was over: " + by
			survived++
		case !t.result.caught:
			by = "NOT CAUGHT by " + t.check.Package + " " + t.check.Run
			survived++
		}
		words := strings.Join(strings.Fields(t.result.message), " ")
		if len(words) > mostWords {
			words = strings.ToValidUTF8(words[:mostWords], "") + "..."
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f\t%s\n", t.defect.Name, by, t.result.took.Seconds(), words)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if survived > 0 {
		return fmt.Errorf("%d of %d checks did not catch what was planted", survived, len(trials))
	}
	names := map[string]bool{}
	for _, t := range trials {
		names[t.defect.Name] = true
	}
	fmt.Fprintf(w, "%d mutants, %d checks: all caught (%.0f s)\n", len(names), len(trials), took.Seconds())
	return nil
}
