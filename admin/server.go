package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Listen binds addr. option is the name of the setting, for the error.
func Listen(ctx context.Context, option, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("couldn't listen on %s: the port is taken, perhaps by another flushline; set %s to another address, or to \"\" for none: %w", addr, option, err)
	default:
		return nil, fmt.Errorf("couldn't listen on %s: check %s: %w", addr, option, err)
	}
}

// NeedsToken says whether others than this machine can reach the listener, so
// that Control must not be served there without a token.
func NeedsToken(ln net.Listener) bool {
	tcp, ok := ln.Addr().(*net.TCPAddr)
	return !ok || !tcp.IP.IsLoopback()
}

// Serve answers on ln until ctx ends; return means that the listener and all
// connections are closed.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second, // pprof asks for longer by itself
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
	}
	stopped := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close() // a request that outlasts the grace is cut; it holds nothing
		}
	})
	err := srv.Serve(ln)
	if !unhook() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("couldn't serve on %s: %w", ln.Addr(), err)
}
