// Command machines runs the step machines of the module with many more sequences of
// steps than `go test` does:
//
//	go run ./test/machines [-times 1] [-run REGEXP]
//
// A step machine is a test in which package rapid draws one step after the other and a
// naive model says what has to be true behind each. -times multiplies the usual number
// of sequences. A sequence that fails is printed, the shortest that could be found, and
// kept below testdata/rapid of its package, where it is tried first from then on. The
// exit code is 1 if a machine failed or took no step.
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
	"sync"

	"github.com/flushline/flushline/internal/proof"
)

func main() {
	times := flag.Int("times", 1, "how many times the usual number of sequences")
	only := flag.String("run", "", "run only the machines whose names match")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *times); err != nil {
		fmt.Fprintln(os.Stderr, "machines:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, times int) error {
	match, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("couldn't read -run: %w", err)
	}
	if times < 1 {
		return errors.New("-times has to be at least 1")
	}
	var results []result
	for _, m := range machines {
		if match.MatchString(m.name) {
			results = append(results, result{stepMachine: m})
		}
	}
	if len(results) == 0 {
		return fmt.Errorf("no machine matches %q", only)
	}
	command := "make machines"
	if times > 1 {
		command += fmt.Sprintf(" TIMES=%d", times)
	}
	kept := proof.Begin("machines", "What decides about acknowledgement, ownership, memory and retries is compared with naive models, step by step.", command)
	var all sync.WaitGroup
	room := make(chan struct{}, runtime.NumCPU())
	for i := range results {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			results[i].take(ctx, times)
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	err = report(os.Stdout, results)
	if only == "" { // else it is not the run of that name
		err = errors.Join(err, keep(kept, results, err != nil))
	}
	return err
}
