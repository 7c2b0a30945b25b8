package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// visit asks everything a configuration names, prints a line for each answer and
// counts those that would keep a worker from working.
type visit struct {
	cfg      *configs.Config
	out      io.Writer
	patience time.Duration
	failed   int
}

func (v *visit) good(format string, args ...any) { fmt.Fprintf(v.out, "√ "+format+"\n", args...) }
func (v *visit) note(format string, args ...any) { fmt.Fprintf(v.out, "~ "+format+"\n", args...) }
func (v *visit) bad(format string, args ...any) {
	v.failed++
	fmt.Fprintf(v.out, "x "+format+"\n", args...)
}

// within gives what is asked until patience is over.
func (v *visit) within(ctx context.Context, ask func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, v.patience)
	defer cancel()
	ask(ctx)
}

// companion tells about a step of a plan that is a place for dead letters.
func (v *visit) companion(noun string, s *queue.Step) {
	switch {
	case s.What != "companion":
	case s.Action == queue.Create:
		v.note("%s %s is not there yet: `flushline setup -c %s` or the first `run` makes it", noun, s.Name, v.cfg.File)
	case s.Action == queue.Refuse:
		v.bad("%s %s: %s", noun, s.Name, named(s.Why, v.cfg.File))
	default:
		v.good("%s %s", noun, s.Name)
	}
}

// destinations starts one instance of each flusher entry, asks whether it is
// ready and stops it. Nothing is flushed.
func (v *visit) destinations(ctx context.Context) {
	for i := range v.cfg.Routes {
		r := &v.cfg.Routes[i]
		for j := range r.Flushers {
			e := &r.Flushers[j]
			name := r.Name + "/" + e.Name
			if err := v.destination(ctx, name, e, sampleKey(r.Match)); err != nil {
				v.bad("%s (%s): %v", name, e.Kind.Name, err)
				continue
			}
			v.good("%s (%s) is ready", name, e.Kind.Name)
		}
	}
}

func (v *visit) destination(ctx context.Context, name string, e *configs.Entry, key protocol.Key) error {
	ctx, cancel := context.WithTimeout(ctx, v.patience)
	defer cancel()
	f := e.New()
	said := &remarks{}
	err := within(ctx, "Init", func() error { return f.Init(&probeContext{ctx: ctx, key: key, log: zap.New(said)}) })
	for _, text := range said.taken() {
		v.note("%s: %s", name, text)
	}
	if err != nil {
		return err // an instance that was not Inited has nothing to stop
	}
	err = within(ctx, "IsReady", func() error { return awaitReady(ctx, f, key) })
	stopping, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), v.patience)
	defer cancelStop()
	return errors.Join(err, within(stopping, "Stop", f.Stop))
}

func awaitReady(ctx context.Context, f flushers.Flusher, key protocol.Key) error {
	for !f.IsReady(key.Project, key.Logstore, key.LogstoreKey()) {
		if !waitUntil(ctx, time.Now().Add(100*time.Millisecond)) {
			return errors.New("it says that it is not ready")
		}
	}
	return nil
}

// within gives a call of a flusher until ctx ends, and contains its panic. A
// call that hangs is left behind: the program ends soon.
func within(ctx context.Context, name string, call func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("panic: %v", r)
			}
		}()
		done <- call()
	}()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		err = errors.New("no answer in time")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// sampleKey is a key that a route matches.
func sampleKey(m configs.Match) protocol.Key {
	return fitKey(m, protocol.Key{Project: "sample", Logstore: "sample", Config: "sample"})
}

// probeContext is what an instance gets when it is only asked.
type probeContext struct {
	ctx    context.Context
	key    protocol.Key
	log    *zap.Logger
	shared flushers.Shared
}

var _ flushers.Context = (*probeContext)(nil)

func (c *probeContext) GetConfigName() string              { return c.key.Config }
func (c *probeContext) GetProject() string                 { return c.key.Project }
func (c *probeContext) GetLogstore() string                { return c.key.Logstore }
func (c *probeContext) GetRuntimeContext() context.Context { return c.ctx }
func (c *probeContext) Logger() *zap.Logger                { return c.log }
func (c *probeContext) Metrics() flushers.Metrics          { return uncounted{} }

func (c *probeContext) Shared(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	return c.shared.Get(key, open)
}

// uncounted is metrics that nobody reads.
type uncounted struct{}

func (uncounted) Counter(string, string) flushers.Counter { return uncounted{} }
func (uncounted) Gauge(string, string) flushers.Gauge     { return uncounted{} }
func (uncounted) Add(int64)                               {}
func (uncounted) Set(int64)                               {}
