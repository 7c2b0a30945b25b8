package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"go.uber.org/zap"

	"github.com/flushline/flushline/admin"
)

// listeners are bound before the worker starts, so that a taken port ends the
// start and not the worker.
type listeners struct {
	control net.Listener // nil: none
	public  net.Listener // nil: none
}

// listen binds both; an empty address switches a listener off.
func listen(ctx context.Context, controlAddr, publicAddr, token string) (l *listeners, err error) {
	l = &listeners{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if controlAddr != "" {
		if l.control, err = admin.Listen(ctx, "admin.listen", controlAddr); err != nil {
			return l, unavailable(err)
		}
		if admin.NeedsToken(l.control) && token == "" {
			return l, usage(fmt.Errorf("admin.listen %s can be reached from other machines: set admin.token, or listen on %s", controlAddr, defaultAdmin))
		}
	}
	if publicAddr != "" {
		if l.public, err = admin.Listen(ctx, "metrics.listen", publicAddr); err != nil {
			return l, unavailable(err)
		}
	}
	return l, nil
}

func (l *listeners) close() {
	for _, ln := range []net.Listener{l.control, l.public} {
		if ln != nil {
			_ = ln.Close() // bound and never served
		}
	}
}

// serve answers until ctx ends. A listener that breaks is logged: the worker
// flushes on, and probes notice.
func (l *listeners) serve(ctx context.Context, w admin.Worker, metrics http.Handler, token string, log *zap.Logger) (wait func() error) {
	var done []chan error
	start := func(name string, ln net.Listener, h http.Handler) {
		if ln == nil {
			return
		}
		log.Info("listening", zap.String("for", name), zap.String("address", ln.Addr().String()))
		ended := make(chan error, 1)
		done = append(done, ended)
		go func() {
			err := admin.Serve(ctx, ln, h)
			if err != nil {
				log.Error("a listener ended; the worker goes on without it", zap.String("for", name), zap.Error(err))
			}
			ended <- err
		}()
	}
	start("admin", l.control, admin.Control(w, metrics, token))
	start("metrics", l.public, admin.Public(w, metrics))
	return func() error {
		var errs []error
		for _, ended := range done {
			errs = append(errs, <-ended)
		}
		return errors.Join(errs...)
	}
}
