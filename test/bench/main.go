//go:build linux

// Command bench measures the promises of speed and memory: a worker against a raw
// loop that does nothing but the same pull requests, two-pass decode and
// acknowledgements. Both run as processes of their own against a server in a third
// one, in turn (A B A B), with the same GOGC and GOMEMLIMIT. What counts are the
// ratios of medians; the absolute figures say how noisy the machine was.
//
//	go run ./test/bench                  everything
//	go run ./test/bench -short           fewer messages and rounds
//	go run ./test/bench -only 1KB        cases whose name contains the text
//
// The exit code is 1 if a bound is exceeded.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

var profiles *string

func main() {
	if role := os.Getenv("FLUSHLINE_BENCH_ROLE"); role != "" {
		if err := runRole(role); err != nil {
			fmt.Fprintf(os.Stderr, "bench %s: %v\n", role, err)
			os.Exit(70)
		}
		return
	}
	short := flag.Bool("short", false, "fewer messages and rounds")
	only := flag.String("only", "", "run the cases whose name contains this")
	profiles = flag.String("profiles", "", "write a CPU profile of each process into this directory")
	flag.Parse()
	ok, err := bench(*short, *only)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(70)
	}
	if !ok {
		os.Exit(1)
	}
}

// benchCase prints what it found and says whether its bound was kept.
type benchCase struct {
	name string
	run  func(*benchServer) (bool, error)
}

// bench runs all cases and says whether every bound was kept.
func bench(short bool, only string) (bool, error) {
	srv, err := startServer()
	if err != nil {
		return false, err
	}
	defer srv.stop()
	cases := memoryCases(short)
	for _, c := range speedCases(short) {
		cases = append(cases, benchCase{c.name, c.run})
	}
	ok := true
	for _, c := range cases {
		if !strings.Contains(c.name, only) {
			continue
		}
		kept, err := c.run(srv)
		if err != nil {
			return false, fmt.Errorf("%s: %w", c.name, err)
		}
		ok = ok && kept
	}
	return ok, nil
}
