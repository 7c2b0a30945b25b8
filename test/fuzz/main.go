// Command fuzz runs every fuzz target of the module, one after the other, each for
// its share of the time:
//
//	go run ./test/fuzz [-time 2m] [-least 3s] [-run REGEXP] [-cache DIR] [-keep BYTES]
//
// Targets are found by their declaration, so a new one takes part by being there.
// Compiling is not counted. The first target that fails ends the run with 1 once all
// others had their turn; Go has written its input below testdata/fuzz by then, where
// it is a test from that moment on.
//
// Without -cache each run begins with what is committed below testdata/fuzz and
// f.Add, so that two runs on one commit do the same. With it, inputs that reached new
// code are kept in that directory from run to run. -keep copies the smallest of them,
// at most so many bytes for each target, below testdata/fuzz, to be committed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// everything matches every target: only such a run is kept.
const everything = "."

func run(ctx context.Context, args []string) (err error) {
	f := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	total := f.Duration("time", 2*time.Minute, "for all targets together")
	least := f.Duration("least", 3*time.Second, "for each target, whatever -time says")
	only := f.String("run", everything, "targets to run, as PACKAGE.NAME")
	cache := f.String("cache", "", "directory of inputs found by earlier runs; empty: none")
	keep := f.Int64("keep", 0, "bytes of found inputs to copy below testdata/fuzz, for each target")
	if err := f.Parse(args); err != nil {
		return err
	}
	match, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("couldn't read -run: %w", err)
	}
	targets, err := find(ctx, ".", match)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no fuzz target matches %q", *only)
	}
	work, err := os.MkdirTemp("", "fuzz-")
	if err != nil {
		return fmt.Errorf("couldn't make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	found := *cache // before this run
	if found == "" {
		*cache = work + "/cache"
	}
	r := &runner{work: work, cache: *cache, each: max(*least, *total/time.Duration(len(targets))), keep: *keep, out: os.Stdout}
	kept := proof.Begin("fuzz", "What reads bytes from outside neither fails nor breaks its rules, whatever the bytes are.", command(*total, *least, found != ""))
	err = r.all(ctx, targets)
	if ctx.Err() == nil && *only == everything { // else it is not the run of that name
		r.figures(kept, len(targets))
		err = errors.Join(err, kept.Keep(err != nil))
	}
	return err
}
