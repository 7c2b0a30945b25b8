package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/internal/proof"
)

// trial is one defect before one of its checks.
type trial struct {
	defect mutant.Defect
	check  mutant.Check
	result result
}

// tests is the test binary of a package.
type tests struct {
	binary string
	dir    string // where they run: that of the package
	flags  []string
}

// build compiles the tests of the packages that trials name.
func build(ctx context.Context, dir string, trials []trial) (map[string]*tests, error) {
	all := map[string]*tests{}
	for _, t := range trials {
		pkg := t.check.Package
		if all[pkg] != nil {
			continue
		}
		b := &tests{binary: filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")), dir: pkg}
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "mutant", "-o", b.binary, "./"+pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("couldn't build the tests of %s: %w\n%s", pkg, err, out)
		}
		imports, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.TestImports}} {{.XTestImports}}", "./"+pkg).Output()
		if err != nil {
			return nil, fmt.Errorf("couldn't list what the tests of %s import: %w", pkg, err)
		}
		if strings.Contains(string(imports), "pgregory.net/rapid") { // what it fails on is no news to be kept
			b.flags = []string{"-rapid.nofailfile", "-rapid.shrinktime=1s"}
		}
		all[pkg] = b
	}
	return all, nil
}

// sound runs every check while nothing is planted: one that fails then, or does not
// run, catches nothing.
func sound(ctx context.Context, all map[string]*tests, trials []trial, timeout time.Duration) error {
	var once []mutant.Check
	seen := map[mutant.Check]bool{}
	for _, t := range trials {
		if !seen[t.check] {
			seen[t.check] = true
			once = append(once, t.check)
		}
	}
	errs := make([]error, len(once))
	inTurn(len(once), 2, func(i int) {
		c := once[i]
		switch r := all[c.Package].try(ctx, c.Run, "", timeout); {
		case r.caught, r.hung:
			errs[i] = fmt.Errorf("%s %s fails while nothing is planted: %s %s", c.Package, c.Run, r.test, r.message)
		case r.ran == 0 || r.skipped > 0:
			errs[i] = fmt.Errorf("%s %s: %d tests ran and %d were skipped", c.Package, c.Run, r.ran, r.skipped)
		}
	})
	return errors.Join(errs...)
}

// try runs tests with a defect, or without one.
func (b *tests) try(ctx context.Context, run, name string, timeout time.Duration) result {
	args := append([]string{
		"-test.run", "^(" + strings.ReplaceAll(run, "/", ")$/^(") + ")$", "-test.v", "-test.failfast", "-test.timeout", timeout.String(),
	}, b.flags...)
	ctx, cancel := context.WithTimeout(ctx, timeout+5*time.Second) // it may say itself where it hangs
	defer cancel()
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Dir, cmd.WaitDelay = b.dir, time.Second
	cmd.Env = append(os.Environ(), "FLUSHLINE_MUTANT="+name, proof.DirEnv+"=") // what a defect makes of a run is no proof
	start := time.Now()
	out, err := cmd.CombinedOutput()
	r := read(string(out), err != nil)
	r.took = time.Since(start)
	return r
}

// inTurn calls f for 0 to n-1, some at a time.
func inTurn(n, atATime int, f func(i int)) {
	var all sync.WaitGroup
	room := make(chan struct{}, atATime)
	for i := range n {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			f(i)
		})
	}
	all.Wait()
}
