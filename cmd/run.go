package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/worker"
)

func newRun(p *program) *cobra.Command {
	var config string
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the worker until it is told to stop",
		Long: `Consumes the source, routes, flushes and acknowledges. SIGTERM or SIGINT stops it:
no new messages, what is held is finished within drain.timeout, the rest goes back
to the queue. A second signal gives back at once, a third leaves without goodbye.

GOMEMLIMIT and GOGC are set to fit limits.in_flight and limits.work, unless the
environment sets them.

Exit codes: 0 stopped in order, also when something was given back; 64 usage or
configuration; 69 broker, companion or listener not usable at start; 70 a defect
of flushline; 75 the drain's deadline passed with a Flush unfinished; 130
interrupted a third time.`,
		Example: "  flushline run -c flushline.yaml",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return p.runWorker(c.Context(), config) },
	}
	configFlag(p, c, &config)
	return c
}

func (p *program) runWorker(ctx context.Context, path string) error {
	again := &reloader{path: path, kinds: p.kinds}
	cfg, report, err := again.first(func() (*configs.Config, *configs.Report, error) { return p.load(path) })
	if err != nil {
		return err
	}
	log, level := p.logger(cfg)
	again.log, again.level = log, level
	defer func() { _ = log.Sync() }() // a pipe that is gone takes no last line
	for i := range report.Problems {
		log.Warn(report.Line(&report.Problems[i]))
	}
	s := &service{cfg: cfg, log: log, again: again, gcPercent: boundMemory(p.env, memoryBudget(cfg))}
	return s.run(ctx)
}

func memoryBudget(cfg *configs.Config) int64 {
	budget := int64(cfg.Limits.InFlight + cfg.Limits.Work)
	if cfg.Source.Embedded != nil {
		budget += embeddedServer
	}
	return budget
}

// service is a worker with what has to live as long as it does.
type service struct {
	cfg   *configs.Config
	log   *zap.Logger
	stage stage
	again *reloader // nil: there is no file to take over again

	gcPercent int // see worker.Config.GCPercent

	// beside runs next to the worker, which stops when it returns; nil: nothing
	// does. Then the first signal calls endBeside and the second stops the worker.
	beside    guest
	endBeside func()
}

// guest is what a command does beside a worker.
type guest interface {
	prepare(*worker.Config)
	play(ctx context.Context, w *worker.Worker, q *queues, adminAddr string)
}

// run is the life of the process: everything long-lived starts here.
func (s *service) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	whole, end := context.WithCancel(context.WithoutCancel(ctx)) // outlives the stop
	defer end()
	s.stage.open(s.cfg, s.again)
	first, second := stop, s.stage.hurry
	if s.beside != nil {
		first, second = s.endBeside, stop
	}
	leave := steps(whole, first, second)
	if s.again != nil {
		onHangup(whole, func() { _, _ = s.again.reload("SIGHUP") }) // it has logged what came of it
	}

	adminAddr, waitListeners, err := s.listen(whole)
	if err != nil {
		return err
	}
	defer func() { end(); _ = waitListeners() }() // what broke was logged where it broke

	q, err := openQueues(ctx, s.cfg, s.log)
	if err != nil {
		if ctx.Err() != nil {
			s.log.Info("stopped before the source was joined")
			return nil
		}
		return err
	}
	defer q.close()
	w, err := worker.New(s.workerConfig(q))
	if err != nil {
		return usage(err)
	}
	s.stage.backlog.Store(q.backlog)
	s.stage.worker.Store(w)
	if s.again != nil {
		s.again.began(w, q.parked)
		go s.again.watch(whole)
	}
	s.log.Info("running", zap.String("config", s.cfg.File), zap.String("deployment", s.cfg.Source.Deployment()), zap.String("version", Version))
	played := make(chan struct{})
	go func() {
		defer close(played)
		if s.beside != nil {
			defer stop()
			s.beside.play(ctx, w, q, adminAddr)
		}
	}()
	err = s.consume(ctx, w, q, leave)
	stop()
	if !errors.Is(err, errInterrupted) {
		<-played
	}
	return err
}

func (s *service) listen(ctx context.Context) (adminAddr string, wait func() error, err error) {
	metrics, err := admin.Metrics(&s.stage, s.stage.config)
	if err != nil {
		return "", nil, err
	}
	token := s.cfg.Admin.Token.Reveal()
	l, err := listen(ctx, s.cfg.Admin.Listen, s.cfg.Metrics.Listen, token)
	if err != nil {
		return "", nil, err
	}
	if l.control != nil {
		adminAddr = l.control.Addr().String()
	}
	return adminAddr, l.serve(ctx, &s.stage, metrics, token, s.log), nil
}

func (s *service) workerConfig(q *queues) worker.Config {
	c := s.cfg.Worker()
	c.Version, c.Host, c.Logger, c.GCPercent = Version, hostName(), s.log, s.gcPercent
	c.Crash = crash(s.log, os.Exit)
	c.DeadLetter.Sink = q.letters
	if q.parked != nil {
		c.Parked = q.parked
	}
	if s.beside != nil {
		s.beside.prepare(&c)
	}
	return c
}

// consume runs the worker to its end, or to the third signal.
func (s *service) consume(ctx context.Context, w *worker.Worker, q *queues, leave <-chan error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- &coded{exitDefect, fmt.Errorf("this is a defect, please report it: %v\n%s", r, debug.Stack())}
			}
		}()
		done <- w.Run(ctx, q.source)
	}()
	select {
	case err := <-leave:
		return err
	case err := <-done:
		s.summary(w.Status())
		return ended(err, w.Status().Defects)
	}
}

// crash ends the process after a panic outside of Run's own goroutine: at once, as
// nothing can be trusted any more.
func crash(log *zap.Logger, exit func(int)) func(any, []byte) {
	return func(v any, stack []byte) {
		log.Error("this is a defect, please report it", zap.Any("panic", v), zap.ByteString("stack", stack))
		_ = log.Sync() // there is nobody left to tell
		exit(exitDefect)
	}
}

// ended maps what Run returned to an exit code.
func ended(err error, defects int64) error {
	var c *coded
	switch {
	case errors.As(err, &c):
		return err
	case errors.Is(err, worker.ErrDrainDeadline):
		return &coded{exitTryAgain, err}
	case err != nil:
		return unavailable(err)
	case defects > 0:
		return &coded{exitDefect, fmt.Errorf("%d messages were settled twice: this is a defect, please report it", defects)}
	}
	return nil
}

// summary is the last line of the log: what became of everything.
func (s *service) summary(st *worker.Status) {
	for i := range st.Sources {
		src := &st.Sources[i]
		fields := []zap.Field{
			zap.String("source", src.Name), zap.Duration("after", st.Now.Sub(st.Started).Round(time.Millisecond)),
			zap.Int64("messages", src.Messages), zap.Int64("acknowledged", src.Acknowledged), zap.Int64("given_back", src.Released),
			zap.Int64("parts", src.Counts.Received), zap.Int64("flushed", src.Counts.Flushed),
		}
		if src.Counts.Parked > 0 {
			fields = append(fields, zap.Int64("parked", src.Counts.Parked))
		}
		for _, c := range []struct {
			name string
			by   map[string]int64
		}{{"dead_lettered", src.Counts.DeadLettered}, {"skipped", src.Counts.Skipped}, {"released", src.Counts.Released}} {
			if len(c.by) > 0 {
				fields = append(fields, zap.Any(c.name, c.by))
			}
		}
		s.log.Info("stopped", fields...)
	}
}

// stage is the worker for those who ask before there is one: probes and status
// answer while the broker is still being reached.
type stage struct {
	worker  atomic.Pointer[worker.Worker]
	backlog atomic.Pointer[parkedBacklog] // nil: nothing can be parked
	early   worker.Status
	started time.Time
	fixed   worker.ConfigStatus // without again
	cfg     *configs.Config     // as fixed
	again   *reloader           // nil: there is none
}

var (
	_ admin.Worker         = (*stage)(nil)
	_ prometheus.Collector = (*stage)(nil)
)

func (s *stage) open(cfg *configs.Config, again *reloader) {
	s.started, s.again, s.cfg = time.Now(), again, cfg
	s.fixed = worker.ConfigStatus{File: cfg.File, Hash: cfg.Hash, Loaded: s.started}
	s.early = worker.Status{
		Version: Version, Deployment: cfg.Source.Deployment(), Host: hostName(), State: "starting", Started: s.started,
	}
}

// Status implements admin.Worker.
func (s *stage) Status() *worker.Status {
	config := s.config()
	if w := s.worker.Load(); w != nil {
		st := w.Status()
		st.Config = &config
		if b := s.backlog.Load(); b != nil {
			if known := b.look(time.Now()); known != nil {
				st.Companions = []worker.CompanionStatus{*known}
			}
		}
		placed(st, s.inUse())
		return st
	}
	st := s.early
	st.Now, st.Config = time.Now(), &config
	return &st
}

// inUse is the configuration that the worker runs by.
func (s *stage) inUse() *configs.Config {
	if s.again == nil {
		return s.cfg
	}
	return s.again.inUse()
}

func (s *stage) config() worker.ConfigStatus {
	if s.again == nil {
		return s.fixed
	}
	return s.again.status()
}

// Reload implements admin.Worker.
func (s *stage) Reload() (*worker.Changes, error) {
	if s.again == nil {
		return nil, errors.New("nothing was changed: this worker does not run by a file")
	}
	return s.again.reload("POST /reload")
}

// Pause implements worker.Control.
func (s *stage) Pause(t worker.Target) error {
	if w := s.worker.Load(); w != nil {
		return w.Pause(t)
	}
	return admin.ErrNotNow
}

// Unpause implements worker.Control.
func (s *stage) Unpause(t worker.Target) (bool, error) {
	if w := s.worker.Load(); w != nil {
		return w.Unpause(t)
	}
	return false, admin.ErrNotNow
}

// Tap implements worker.Control.
func (s *stage) Tap(r worker.TapRequest) (*worker.Tap, error) {
	if w := s.worker.Load(); w != nil {
		return w.Tap(r)
	}
	return nil, admin.ErrNotNow
}

// Resume implements admin.Worker.
func (s *stage) Resume() []string {
	if w := s.worker.Load(); w != nil {
		return w.Resume()
	}
	return nil
}

func (s *stage) hurry() {
	if w := s.worker.Load(); w != nil {
		w.Hurry()
	}
}

// Describe announces nothing: what there is to collect is known only later.
func (s *stage) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (s *stage) Collect(out chan<- prometheus.Metric) {
	if w := s.worker.Load(); w != nil {
		w.Collector().Collect(out)
	}
	if b := s.backlog.Load(); b != nil {
		b.collect(out)
	}
}
