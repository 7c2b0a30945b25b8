//go:build linux

// Command bench measures the promises of speed and memory: a worker against a raw
// loop that does nothing but the same pull requests, two-pass decode and
// acknowledgements. Both run as processes of their own against a server in a third
// one, in turn (A B A B), with the same GOGC and GOMEMLIMIT. What counts are the
// ratios of medians; the absolute figures say how noisy the machine was. What needs
// no broker ("payload", "formats": JSON in and out against encoding/json) runs in this process.
//
//	go run ./test/bench                  everything
//	go run ./test/bench -short           fewer messages and rounds
//	go run ./test/bench -only 1KB        cases whose name contains the text ("kafka", "jobs backfill")
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
	run  func() (bool, error)
}

// suite is the cases of one queue, with the broker they need.
type suite struct {
	name  string
	start func(short bool) (cases []benchCase, stop func(), err error)
}

// bench runs all cases and says whether every bound was kept.
func bench(short bool, only string) (bool, error) {
	ok := true
	for _, s := range []suite{{"nats", natsSuite}, {"kafka", kafkaSuite}, {"payload", payloadSuite}, {"formats", formatsSuite}, {"reload", reloadSuite}, {"jobs", jobsSuite}, {"search", searchSuite}} {
		kept, err := s.bench(short, only)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		ok = ok && kept
	}
	return ok, nil
}

// bench starts the broker only if a case is wanted.
func (s suite) bench(short bool, only string) (bool, error) {
	cases, stop, err := s.start(short)
	if err != nil {
		return false, err
	}
	defer stop()
	ok := true
	for _, c := range cases {
		if name := s.name + " " + c.name; !strings.Contains(name, only) {
			continue
		} else if kept, err := c.run(); err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		} else {
			ok = ok && kept
		}
	}
	return ok, nil
}

// natsSuite is what is measured on a nats-server.
func natsSuite(short bool) ([]benchCase, func(), error) {
	srv := &benchServer{}
	cases := memoryCases(srv, short)
	for _, c := range speedCases(short) {
		cases = append(cases, benchCase{c.name, func() (bool, error) { return c.run(srv) }})
	}
	cases = append(cases, fanoutCases(srv, short)...)
	cases = append(cases, commitCases(srv, short)...)
	cases = append(cases, forwardCases(srv, short)...)
	cases = append(cases, poisonCases(srv, short)...)
	cases = append(cases, httpCases(srv, short)...)
	return cases, srv.stop, nil
}
