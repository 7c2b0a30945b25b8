package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// direct replays without the queue: a worker by the same configuration reads the letters
// and ends with the last of them. It parks nothing: it waits for its destinations.
func (r *letterReplay) direct(ctx context.Context, stop context.CancelCauseFunc) error {
	log, _ := r.p.logger(r.cfg)
	defer func() { _ = log.Sync() }() // a pipe that is gone takes no last line
	r.log = log
	r.tell.begin(r.p.stderr, "the flushers")
	gcPercent := boundMemory(r.p.env, int64(r.cfg.Limits.InFlight+r.cfg.Limits.Work))
	q := &queues{}
	defer q.close()
	if err := r.openAgain(ctx, q); err != nil {
		return err
	}
	source := &letterSource{box: r.box, rate: r.o.rate, tell: r.tell, each: func(ctx context.Context, visit func(*queue.Letter, queue.Message) error) error {
		return r.chosen(ctx, func(l *queue.Letter, _ *queue.Facts, m queue.Message) error { return visit(l, m) })
	}}
	q.source = source
	w, err := worker.New(r.workerConfig(q, gcPercent))
	if err != nil {
		return usage(err)
	}
	s := &service{cfg: r.cfg, log: log}
	s.stage.open(r.cfg, nil)
	s.stage.worker.Store(w)
	whole, end := context.WithCancel(context.WithoutCancel(ctx)) // outlives the stop
	defer end()
	leave := steps(whole, func() { stop(errors.New("interrupted")) }, s.stage.hurry)
	watched := make(chan struct{})
	go func() { defer close(watched); r.watch(whole, w, stop) }()
	err = s.consume(ctx, w, q, leave)
	end()
	<-watched
	r.tell.again = source.again.Load()
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if errors.Is(err, worker.ErrDrainDeadline) {
		err = ctx.Err()
	}
	return err
}

// openAgain opens where letters go that fail again: where letters go.
func (r *letterReplay) openAgain(ctx context.Context, q *queues) error {
	if r.cfg.DeadLetter.File != "" {
		return q.openFile(r.cfg.DeadLetter.File)
	}
	env := &jobEnv{p: r.p, opt: &jobOptions{}, cfg: r.cfg, log: r.log}
	q.closing(env.q.close)
	from, err := openPast(ctx, env)
	if err != nil {
		return err
	}
	q.letters, err = from.letters(ctx)
	return err
}

func (r *letterReplay) workerConfig(q *queues, gcPercent int) worker.Config {
	c := r.cfg.Worker()
	c.Version, c.Host, c.Logger, c.GCPercent = Version, hostName(), r.log, gcPercent
	c.Crash = crash(r.log, os.Exit)
	c.DeadLetter.Sink = comeBack{q.letters}
	for i := range c.Routes {
		c.Routes[i].Park = false
	}
	return c
}

// watch ends the worker when it dead-letters everything, or when a destination takes
// nothing for as long as --give-up allows.
func (r *letterReplay) watch(ctx context.Context, w *worker.Worker, stop context.CancelCauseFunc) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	told := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-look.C:
			st := w.Status()
			if len(st.Stopped) > 0 {
				g := &st.Stopped[0]
				stop(fmt.Errorf("%s %s became dead letters again in a row, with nothing delivered between (dead_letter.stop_after), the last for %s: mend the cause", number(int64(g.Count)), g.Scope, printable(g.Last)))
			}
			if why := hopeless(now, st, r.o.giveUp); why != "" {
				stop(fmt.Errorf("given up after %v: %s", r.o.giveUp, why))
			}
			if fields := stuck(st); len(fields) > 0 && now.Sub(told) >= tellEvery {
				told = now
				r.log.Info("waits", append([]zap.Field{zap.String("for", "a destination")}, fields...)...)
			}
		}
	}
}
