//go:build unix

package cmd

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// onHangup calls f for each SIGHUP until ctx ends; those that come meanwhile are one.
func onHangup(ctx context.Context, f func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
				f()
			case <-ctx.Done():
				return
			}
		}
	}()
}
