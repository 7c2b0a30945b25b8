package javaserver

import (
	"errors"
	"os"
)

// A process cannot be asked to end here: a stop is a kill.
func interrupt(p *os.Process) error { return p.Kill() }

func suspend(*os.Process) error {
	return errors.New("couldn't freeze a server: Windows has no SIGSTOP")
}
func resume(*os.Process) error { return nil }
