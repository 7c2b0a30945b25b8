package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/worker"
)

const (
	lagEvery  = 500 * time.Millisecond
	lookEvery = time.Second
)

// watch looks after a running job until ctx ends: it shows how far it is, holds it
// back while the live workers are behind, and gives up on a dead destination.
func (j *running) watch(ctx context.Context, w *worker.Worker, y *yielding) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	lag := time.NewTicker(lagEvery)
	defer lag.Stop()
	show := j.newMeter()
	defer show.close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-lag.C:
			y.again(ctx)
		case now := <-look.C:
			st := w.Status()
			show.show(now, st, j.source.Report())
			if why := hopeless(now, st, j.opt.giveUp); why != "" {
				j.gaveUp(fmt.Errorf("given up after %v: %s; what was delivered is kept, start it again and it goes on", j.opt.giveUp, why))
			}
		}
	}
}

// yielding holds a job back while the live deployment is behind.
type yielding struct {
	j      *running
	live   rangePast // nil: the job was not asked to
	closed bool
	failed bool
}

// yields looks for the first time: before anything is delivered.
func (j *running) yields(ctx context.Context) *yielding {
	y := &yielding{j: j}
	if j.opt.pauseLag > 0 {
		y.live, _ = j.from.(rangePast)
	}
	y.again(ctx)
	return y
}

func (y *yielding) again(ctx context.Context) {
	if y.live != nil {
		y.look(ctx, y.live)
	}
}

func (y *yielding) look(ctx context.Context, live rangePast) {
	n, err := live.lag(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil && !y.failed:
		y.failed = true
		y.j.log.Warn("the live workers' lag is not known; the job stays as it is until it is", zap.Error(err))
	case err == nil:
		y.failed = false
		y.set(n)
	}
}

func (y *yielding) set(n int64) {
	most := y.j.opt.pauseLag
	switch {
	case n > most && !y.closed:
		y.closed = true
		y.j.gate.Close(fmt.Sprintf("the live workers have %s messages to do, more than %s (--pause-when-lag-above)", number(n), number(most)))
		y.j.log.Info("held back for the live workers", zap.Int64("lag", n), zap.Int64("above", most))
	case n <= most && y.closed:
		y.closed = false
		y.j.gate.Open()
		y.j.log.Info("goes on: the live workers have caught up", zap.Int64("lag", n))
	}
}

// hopeless says which lane has taken nothing for as long as --give-up allows.
func hopeless(now time.Time, st *worker.Status, giveUp time.Duration) string {
	if giveUp <= 0 {
		return ""
	}
	for i := range st.Lanes {
		l := &st.Lanes[i]
		if blocked(l.State) && !l.Oldest.IsZero() && now.Sub(l.Oldest) > giveUp {
			return laneName(l) + " is " + l.State + ": " + l.Why
		}
	}
	return ""
}

func laneName(l *worker.LaneStatus) string {
	return strings.Join([]string{l.Route, l.Flusher}, "/") + " " + strings.Join([]string{l.Project, l.Logstore, l.Config}, "/")
}

// meter shows how far a job is: a bar on a terminal, elsewhere a log line every ten
// seconds.
type meter struct {
	j       *running
	bar     *progress // nil: no terminal
	total   int64
	last    time.Time
	before  int64 // done when last told
	shown   int64
	started time.Time
	first   int64 // done at the start
}

func (j *running) newMeter() *meter {
	now := time.Now()
	r := j.source.Report()
	m := &meter{j: j, last: now, started: now}
	m.total = planned(&r)
	m.first = done(&r)
	m.before = m.first
	if isTerminal(j.p.stderr) && !j.opt.asJSON {
		unit := "messages"
		if r.Planned.Positions == 0 {
			unit = "B"
		}
		m.bar = newProgress(j.p.stderr, j.kind.command(), m.total, unit)
	}
	return m
}

// planned and done are positions, or bytes of files as stored.
func planned(r *job.Report) int64 {
	if r.Planned.Positions > 0 {
		return r.Planned.Positions
	}
	return r.Planned.Bytes
}

func done(r *job.Report) int64 {
	if r.Planned.Positions > 0 {
		n := r.Messages
		for _, p := range r.Passed {
			n += p
		}
		return n
	}
	n := r.Stored
	for i := range r.Reading {
		n += r.Reading[i].Consumed
	}
	return n
}

func (m *meter) show(now time.Time, st *worker.Status, r job.Report) {
	at := done(&r)
	if m.bar != nil {
		m.bar.add(int(at-m.shown), 0)
		m.shown = at
		return
	}
	took := now.Sub(m.last)
	if took < tellEvery {
		return
	}
	fields := []zap.Field{
		zap.Int64("messages", r.Messages), zap.Int64("slices", r.Slices), zap.Int64("of", r.Planned.Slices),
		zap.Int64("per_second", int64(float64(at-m.before)/took.Seconds())),
	}
	if m.total > 0 {
		fields = append(fields, zap.Int64("percent", 100*at/m.total))
	}
	if rate := float64(at-m.first) / now.Sub(m.started).Seconds(); rate > 0 && m.total > at {
		fields = append(fields, zap.Duration("left", time.Duration(float64(m.total-at)/rate*float64(time.Second)).Round(time.Second)))
	}
	m.last, m.before = now, at
	m.j.log.Info("progress", append(fields, stuck(st)...)...)
}

// stuck is what holds the job up, if anything does.
func stuck(st *worker.Status) []zap.Field {
	for i := range st.Lanes {
		if l := &st.Lanes[i]; blocked(l.State) {
			return []zap.Field{zap.String("blocked", laneName(l)+" is "+l.State), zap.String("why", l.Why)}
		}
	}
	for i := range st.Strands {
		if s := &st.Strands[i]; s.Why != "" {
			return []zap.Field{zap.String("waits", s.Name), zap.String("why", s.Why)}
		}
	}
	return nil
}

func (m *meter) close() {
	if m.bar != nil {
		m.bar.close()
	}
}
