// Command program is flushline with a destination that tests hold in their hand: it
// dies, is slow and recovers as they say, and notes what it was given and when.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"slices"

	"github.com/flushline/flushline/cmd"
)

func main() {
	dir := os.Getenv("FLUSHLINE_ISOLATION_DIR")
	h, err := open(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	go h.follow()
	stop, err := profile()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	code := cmd.Main(h.kind())
	stop()
	if err := h.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 70
	}
	os.Exit(code)
}

// profile writes where `run` spends its CPU time into the file that
// FLUSHLINE_ISOLATION_PROFILE names, until stop is called.
func profile() (stop func(), err error) {
	name := os.Getenv("FLUSHLINE_ISOLATION_PROFILE")
	if name == "" || !slices.Contains(os.Args, "run") {
		return func() {}, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}, nil
}
