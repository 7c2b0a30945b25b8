package cmd

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errInterrupted ends a stop that took somebody too long.
var errInterrupted = &coded{exitInterrupted, errors.New("interrupted: what was held goes back to the queue when the broker notices")}

// steps turns signals into the three steps of a stop: finish what is held within
// the drain, give it back at once, leave. stop ends the program's context; hurry
// skips the drain; the channel returned gets an error at the third signal.
func steps(ctx context.Context, stop, hurry func()) <-chan error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	leave := make(chan error, 1)
	go func() {
		defer signal.Stop(signals)
		for _, step := range []func(){stop, hurry, func() { leave <- errInterrupted }} {
			select {
			case <-signals:
				step()
			case <-ctx.Done():
				return
			}
		}
	}()
	return leave
}
