// Command reliability makes docs/RELIABILITY.md of what runs of the tests showed, and
// of nothing else. make keeps runs in bin/proof (package internal/proof); those that
// the document shows are committed in docs/reliability.
//
//	go run ./test/reliability keep bin/proof [NAME...]   takes runs over and writes the document
//	go run ./test/reliability write                      writes the document again
//	go run ./test/reliability check                      ends with 1 if it is not what would be written
//	go run ./test/reliability summary bin/proof          prints a line for each run, and how many faults happened
//
// summary ends with 1 if a run failed or there is none.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/flushline/flushline/internal/proof"
)

const (
	kept     = "docs/reliability"
	document = "docs/RELIABILITY.md"
)

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	switch {
	case len(args) >= 2 && args[0] == "keep":
		if err := keep(args[1], args[2:]); err != nil {
			return err
		}
		return write()
	case len(args) == 1 && args[0] == "write":
		return write()
	case len(args) == 1 && args[0] == "check":
		return check()
	case len(args) == 2 && args[0] == "summary":
		runs, err := proof.Load(args[1])
		if err != nil {
			return err
		}
		return summarise(out, runs)
	}
	return errors.New("use: reliability keep DIR [NAME...] | write | check | summary DIR")
}

// keep copies the named runs, or all, to where they are committed.
func keep(dir string, names []string) error {
	runs, err := proof.Load(dir)
	if err != nil {
		return err
	}
	found := map[string]bool{}
	for _, r := range runs {
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		found[r.Name] = true
		b, err := os.ReadFile(filepath.Join(dir, r.Name+".json"))
		if err != nil {
			return fmt.Errorf("couldn't keep the run %s: %w", r.Name, err)
		}
		if err := os.MkdirAll(kept, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(kept, r.Name+".json"), b, 0o644); err != nil {
			return fmt.Errorf("couldn't keep the run %s: %w", r.Name, err)
		}
	}
	for _, name := range names {
		if !found[name] {
			return fmt.Errorf("%s has no run %s: run it first, by make", dir, name)
		}
	}
	return nil
}

func write() error {
	page, err := render()
	if err != nil {
		return err
	}
	return os.WriteFile(document, page, 0o644)
}

func check() error {
	page, err := render()
	if err != nil {
		return err
	}
	now, err := os.ReadFile(document)
	if err != nil {
		return err
	}
	if !bytes.Equal(page, now) {
		return fmt.Errorf("%s is not what its runs make: `go run ./test/reliability write` mends it", document)
	}
	return nil
}

func render() ([]byte, error) {
	runs, err := proof.Load(kept)
	if err != nil {
		return nil, err
	}
	return page(runs)
}
