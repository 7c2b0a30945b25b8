package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// runner fuzzes targets one after the other.
type runner struct {
	work  string // for binaries
	cache string
	each  time.Duration
	keep  int64
	out   io.Writer

	binaries map[string]string // by package
	execs    int               // of all targets
	failures int               // targets that failed
}

// all runs every target, also behind one that failed, and names those that did.
func (r *runner) all(ctx context.Context, targets []target) error {
	begin := time.Now()
	r.binaries = map[string]string{}
	for _, t := range targets {
		if err := r.compile(ctx, t); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.out, "%d targets of %d packages compiled in %.0f s; %s for each\n",
		len(targets), len(r.binaries), time.Since(begin).Seconds(), r.each.Round(100*time.Millisecond))
	var failed error
	for _, t := range targets {
		n, err := r.one(ctx, t)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.execs += n
		if err == nil && r.keep > 0 {
			err = r.keepFound(t)
		}
		if err != nil {
			r.failures++
		}
		failed = errors.Join(failed, err)
	}
	fmt.Fprintf(r.out, "%d targets, %d executions\n", len(targets), r.execs)
	return failed
}

// compile makes the package's test binary, with what tells the fuzzer about
// coverage.
func (r *runner) compile(ctx context.Context, t target) error {
	if r.binaries[t.pkg] != "" {
		return nil
	}
	binary := filepath.Join(r.work, fmt.Sprintf("%d.test", len(r.binaries)))
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz=.", "-o", binary, t.pkg)
	cmd.Dir = t.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("couldn't compile the tests of %s: %w\n%s", t.pkg, err, out)
	}
	r.binaries[t.pkg] = binary
	return nil
}

var (
	// counted is a line of progress: inputs that were there before, then found ones.
	counted = regexp.MustCompile(`(?:execs|gathering baseline coverage): (\d+)`)
	// late is all that Go's fuzzer says when its own deadline meets it at the wrong
	// moment (golang.org/issue/75804); a failing input is always named.
	late = regexp.MustCompile(`(?m)^--- FAIL: \w+ \([0-9.]+s\)\n\s+context deadline exceeded\n`)
)

// one fuzzes a target for its time.
func (r *runner) one(ctx context.Context, t target) (execs int, err error) {
	cmd := exec.CommandContext(ctx, r.binaries[t.pkg],
		"-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+r.each.String(), "-test.fuzzminimizetime=5s",
		"-test.fuzzcachedir="+r.cacheOf(t), "-test.timeout=0")
	cmd.Dir = t.dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	for _, m := range counted.FindAllSubmatch(out.Bytes(), -1) {
		_, _ = fmt.Sscan(string(m[1]), &execs) // the last is the sum
	}
	switch {
	case err == nil:
	case ctx.Err() == nil && late.Match(out.Bytes()) && !strings.Contains(out.String(), "Failing input"):
		err = nil
	default:
		fmt.Fprintf(r.out, "%s\n", out.Bytes())
		return execs, fmt.Errorf("%s failed: %w", t, err)
	}
	if execs == 0 && err == nil {
		fmt.Fprintf(r.out, "%s\n", out.Bytes())
		return 0, fmt.Errorf("%s was not executed once within %s", t, r.each)
	}
	fmt.Fprintf(r.out, "%-70s %9d executions\n", t, execs)
	return execs, nil
}

func (r *runner) cacheOf(t target) string { return filepath.Join(r.cache, filepath.FromSlash(t.pkg)) }
