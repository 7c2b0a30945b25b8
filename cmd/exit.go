package cmd

import (
	"errors"
	"fmt"
	"io"
)

// Exit codes, as in sysexits.h where it has a word for them. docs/DESIGN.md says
// when each is used; a dead destination is none of them, except in
// `check --connect`.
const (
	exitDone        = 0
	exitFailed      = 1   // an operation that is none of the below failed
	exitUsage       = 64  // the command line or the configuration
	exitIncomplete  = 65  // a job ended and not everything arrived
	exitUnavailable = 69  // broker, companion, destination or worker not usable at start
	exitDefect      = 70  // an error in this program
	exitInterrupted = 130 // interrupted again while stopping
	exitTryAgain    = 75  // the drain's deadline passed with a Flush unfinished, or a job was interrupted or gave up
)

const exitHelp = `
Exit codes: 0 done; 64 usage or configuration; 65 not everything arrived; 69
broker, companion, destination or worker not usable; 70 a defect of flushline; 75
the drain's deadline passed with a Flush unfinished, or a job or publish was
interrupted or gave up: start it again;
130 interrupted again while stopping; 1 anything else.`

// coded is an error that knows its exit code. One without text was already shown.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *coded) Unwrap() error { return e.err }

func usage(err error) error       { return &coded{exitUsage, err} }
func unavailable(err error) error { return &coded{exitUnavailable, err} }

// shown ends the program with a code when what went wrong stands on the screen
// already.
func shown(code int) error { return &coded{code: code} }

// report prints an error once, for people, and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var c *coded
	if !errors.As(err, &c) {
		fmt.Fprintln(stderr, "flushline:", err)
		return exitFailed
	}
	if c.err != nil {
		fmt.Fprintln(stderr, "flushline:", err)
	}
	return c.code
}
