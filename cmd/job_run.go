package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/worker"
)

// jobKind is what differs between replay and backfill.
type jobKind interface {
	command() string
	asked() map[string]any // what a later start has to ask for as well
	open(ctx context.Context, env *jobEnv) (past, error)
	plan(ctx context.Context, from past) (*job.Plan, error)
	goOn(ctx context.Context, from past, planned job.Slices, say func(string)) error
}

// jobEnv is what a job is made of before it runs.
type jobEnv struct {
	p    *program
	opt  *jobOptions
	cfg  *configs.Config
	log  *zap.Logger
	kind jobKind
	q    queues // letters, and what has to be closed
}

// running is a job that has been planned and claimed.
type running struct {
	*jobEnv
	from     past
	manifest *job.Manifest
	slices   func(context.Context) job.Slices
	lease    job.Lease // nil: the job is not kept
	gate     *job.Gate
	dry      *census // nil: the job delivers
	source   *job.Source
	svc      service
	gaveUp   context.CancelCauseFunc
}

func (p *program) runJob(ctx context.Context, o *jobOptions, kind jobKind) error {
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return err
	}
	log, _ := p.logger(cfg)
	defer func() { _ = log.Sync() }() // a pipe that is gone takes no last line
	env := &jobEnv{p: p, opt: o, cfg: cfg, log: log, kind: kind}
	defer env.q.close()
	percent := boundMemory(p.env, o.budget(cfg))

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j := &running{jobEnv: env, gaveUp: stop}
	j.svc.stage.open(cfg, nil)
	leave := steps(context.WithoutCancel(ctx), func() { stop(errStopped) }, func() { j.svc.stage.hurry() })

	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- &coded{exitDefect, fmt.Errorf("this is a defect, please report it: %v\n%s", r, debug.Stack())}
			}
		}()
		done <- j.whole(ctx, percent)
	}()
	select {
	case err := <-leave:
		return err
	case err := <-done:
		return err
	}
}

var errStopped = errors.New("interrupted: what was delivered is kept, start it again and it goes on")

// whole is the job from its plan to its report.
func (j *running) whole(ctx context.Context, percent int) error {
	if err := j.begin(ctx); err != nil {
		if ctx.Err() != nil && !isCoded(err) {
			return &coded{exitTryAgain, context.Cause(ctx)}
		}
		return atBroker(err, j.cfg.File)
	}
	if j.lease != nil {
		defer j.release()
	}
	j.gate = job.NewGate(j.opt.rate.groups, j.opt.rate.bytes, j.groupsOf())
	var err error
	j.source, err = job.New(job.Config{
		Name: j.kind.command(), Manifest: j.manifest, Slices: j.slices, Input: j.from.input(),
		Shard: j.opt.index, Lease: j.lease, Open: j.opt.open, Gate: j.gate, Log: j.log,
	})
	if err != nil {
		return unavailable(err)
	}
	if j.source.Done() {
		return j.tell("this job has finished already: nothing was done")
	}
	w, err := worker.New(j.workerConfig(percent))
	if err != nil {
		return usage(err)
	}
	err = j.deliver(ctx, w)
	return j.ending(ctx, w, err)
}

func isCoded(err error) bool {
	var c *coded
	return errors.As(err, &c)
}

// begin opens what is read, makes or finds the plan, and claims the shard.
func (j *running) begin(ctx context.Context) error {
	var err error
	if j.from, err = j.kind.open(ctx, j.jobEnv); err != nil {
		return err
	}
	if j.opt.dryRun {
		j.dry = newCensus()
	} else if err := j.openLetters(ctx); err != nil {
		return err
	}
	if j.opt.toQueue != "" {
		if err := j.openRequeue(ctx); err != nil {
			return err
		}
	}
	return j.planned(ctx)
}

func (j *running) openLetters(ctx context.Context) error {
	switch {
	case j.cfg.DeadLetter.File != "":
		return j.q.openFile(j.cfg.DeadLetter.File)
	case j.cfg.DeadLetter.None:
		return nil
	}
	letters, err := j.from.letters(ctx)
	j.q.letters = letters
	return err
}

// release lets the next process have the shard; whoever waits for it waits no
// longer than for one that died.
func (j *running) release() {
	ctx, cancel := context.WithTimeout(context.Background(), releasePatience)
	defer cancel()
	if err := j.lease.Release(ctx); err != nil && !errors.Is(err, job.ErrLost) {
		j.log.Warn("the shard could not be released: the next start waits until the lease ends", zap.Error(err))
	}
}

const releasePatience = 5 * time.Second

// workerConfig is the configuration's worker, with what the flags change.
func (j *running) workerConfig(percent int) worker.Config {
	c := j.cfg.Worker()
	c.Version, c.Host, c.Logger, c.GCPercent = Version, hostName(), j.log, percent
	c.Crash = crash(j.log, os.Exit)
	c.Only = j.opt.only()
	c.DeadLetter.Sink = j.q.letters
	for i := range c.Routes {
		c.Routes[i].Park = false // a job waits for its destinations
	}
	switch {
	case j.dry != nil:
		c.Routes = j.dry.routes(c.Routes)
		c.DeadLetter.Sink = j.dry
	case j.q.into != nil:
		c.Routes = requeueRoutes(j.q.into, c.Routes)
	}
	return c
}

// groupsOf counts for --rate N/s; what cannot be read counts as one.
func (j *running) groupsOf() func(*queue.Message) int {
	defaults := j.cfg.Worker().Payload
	limits := &protocol.Limits{Decompressed: int64(j.cfg.Limits.Decompressed)}
	return func(m *queue.Message) int {
		p, err := defaults.Of(m)
		if err != nil {
			return 1
		}
		_, groups, err := p.Scan(limits, nil)
		if err != nil {
			return 1
		}
		return max(len(groups), 1)
	}
}

// deliver runs the worker, and what watches it, until the range has ended.
func (j *running) deliver(ctx context.Context, w *worker.Worker) error {
	j.svc.stage.worker.Store(w)
	beside, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	wait, err := j.serve(beside)
	if err != nil {
		return err
	}
	defer func() { end(); _ = wait() }() // what broke was logged where it broke
	y := j.yields(ctx)
	watched := make(chan struct{})
	go func() { defer close(watched); j.watch(beside, w, y) }()
	j.log.Info("job begins", zap.String("job", j.opt.name), zap.String("range", j.manifest.Range), zap.Int("shard", j.opt.index), zap.Int("of", j.opt.of))
	err = w.Run(ctx, j.source)
	end()
	<-watched
	return err
}

// serve answers at --listen, as a worker does at admin.listen.
func (j *running) serve(ctx context.Context) (wait func() error, err error) {
	cfg := *j.cfg
	cfg.Admin.Listen, cfg.Metrics.Listen = j.opt.listen, ""
	j.svc.cfg, j.svc.log = &cfg, j.log
	_, wait, err = j.svc.listen(ctx)
	return wait, err
}

// ending maps how the worker ended to what is printed and to the exit code.
func (j *running) ending(ctx context.Context, w *worker.Worker, err error) error {
	var changed *job.ChangedError
	var undone *job.GivenBackError
	defects := w.Status().Defects
	switch {
	case errors.As(err, &changed):
		j.tellSoFar()
		return &coded{exitIncomplete, fmt.Errorf("the job cannot go on: %w", err)}
	case errors.As(err, &undone):
		j.tellSoFar()
		return &coded{exitIncomplete, fmt.Errorf("%w; with dead_letter: none they have no place: write {} or {file: DIR}, or mend what they name, and start the job again", err)}
	case errors.Is(err, job.ErrLost):
		j.tellSoFar()
		return &coded{exitTryAgain, fmt.Errorf("stopped: %w", err)}
	case err != nil && !errors.Is(err, worker.ErrDrainDeadline):
		return ended(err, defects)
	case defects > 0:
		return ended(nil, defects)
	case !j.source.Report().Finished:
		j.tellSoFar()
		return &coded{exitTryAgain, context.Cause(ctx)}
	}
	return j.tell("")
}

// tellSoFar reports on a job that ended for another reason, which is the command's
// error.
func (j *running) tellSoFar() {
	if err := j.tell(""); err != nil {
		j.log.Error("the report is not whole", zap.Error(err))
	}
}
