package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func newParkedDrain(p *program) *cobra.Command {
	var o parkedOptions
	c := &cobra.Command{
		Use:   "drain",
		Short: "Deliver what is parked now, once, and end",
		Long: `Runs a worker that reads nothing but parked records: it delivers those that are
parked when it begins, by the routes and flushers of the configuration, and ends when
they are gone. Live workers may run; they share the work. Where the destination takes
nothing the records stay parked, and after --give-up without any progress the command
ends and says what was answered.

Exit codes: 0 all was delivered, or nothing is parked; 64 usage or configuration; 65
some became dead letters, or belong to flushers that the configuration does not have;
69 broker or companion not usable; 70 a defect of flushline; 75 interrupted, or given
up because a destination takes nothing: what is left stays parked; 130 interrupted a
third time.`,
		Example: `  flushline parked drain -c flushline.yaml
  flushline parked drain -c flushline.yaml --flusher shop/es --give-up 5m`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.giveUp <= 0 {
				return usage(errors.New("--give-up must be above zero"))
			}
			return p.drainParked(c.Context(), &o)
		},
	}
	o.flags(p, c)
	c.Flags().DurationVar(&o.giveUp, "give-up", time.Minute, "end when nothing was delivered for `LONG`")
	return c
}

func (p *program) drainParked(ctx context.Context, o *parkedOptions) error {
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return err
	}
	log, _ := p.logger(cfg)
	defer func() { _ = log.Sync() }() // a pipe that is gone takes no last line
	d := &drain{p: p, o: o, cfg: cfg, log: log, gcPercent: boundMemory(p.env, int64(cfg.Limits.InFlight+cfg.Limits.Work))}
	return d.run(ctx)
}

// drain is one run of `parked drain`.
type drain struct {
	p         *program
	o         *parkedOptions
	cfg       *configs.Config
	log       *zap.Logger
	gcPercent int
}

func (d *drain) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	whole, end := context.WithCancel(context.WithoutCancel(ctx)) // outlives the stop
	defer end()
	s := &service{cfg: d.cfg, log: d.log}
	leave := steps(whole, stop, s.stage.hurry)

	place, err := brokerOf(d.cfg).depot(ctx, d.log)
	if err != nil {
		return atBroker(err, d.cfg.File)
	}
	defer place.close()
	found, err := d.o.choose(ctx, place)
	if err != nil {
		return atBroker(err, d.cfg.File)
	}
	ours, foreign := d.divide(found)
	if len(ours) == 0 {
		return d.tell(0, 0, nil, foreign, nil)
	}
	q := &queues{}
	defer q.close()
	if err := d.open(ctx, q); err != nil {
		return atBroker(err, d.cfg.File)
	}
	w, err := worker.New(d.workerConfig(q))
	if err != nil {
		return usage(err)
	}
	s.stage.worker.Store(w)
	watch := &drainWatch{
		begun: total(ours), giveUp: d.o.giveUp, status: w.Status,
		left: func(ctx context.Context) (int64, error) {
			now, err := d.o.choose(ctx, place)
			mine, _ := d.divide(now)
			return total(mine), err
		},
	}
	q.source = watch
	err = s.consume(ctx, w, q, leave)
	if err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		return err
	}
	return d.tell(watch.begun, watch.remain, w.Status(), foreign, watch.why())
}

func (d *drain) open(ctx context.Context, q *queues) error {
	if err := brokerOf(d.cfg).beside(ctx, q, d.log); err != nil {
		return err
	}
	if _, err := q.parked.begin(ctx); err != nil {
		return err
	}
	if d.cfg.DeadLetter.File != "" {
		return q.openFile(d.cfg.DeadLetter.File)
	}
	return nil
}

// divide parts what is parked for flushers that the configuration has from the rest.
func (d *drain) divide(found []shelved) (ours, foreign []shelved) {
	entries := d.cfg.Entries()
	for i := range found {
		l := found[i]
		known := slices.ContainsFunc(entries, func(e queue.Lane) bool { return e.Entry() == l.Lane.Entry() })
		if known {
			ours = append(ours, l)
		} else {
			foreign = append(foreign, l)
		}
	}
	return ours, foreign
}

// workerConfig is the configuration's worker, of which every route parks: what a
// destination does not take stays where it is.
func (d *drain) workerConfig(q *queues) worker.Config {
	c := d.cfg.Worker()
	c.Version, c.Host, c.Logger, c.GCPercent = Version, hostName(), d.log, d.gcPercent
	c.Crash = crash(d.log, os.Exit)
	c.DeadLetter.Sink = q.letters
	c.Parked = &chosenParked{q.parked, d.o.takes}
	for i := range c.Routes {
		if r := &c.Routes[i]; !r.Strict {
			r.Park, r.ParkAfter = true, min(max(r.ParkAfter, time.Second), 10*time.Second)
		}
	}
	return c
}

// tell prints what came of it, and says it with the exit code.
func (d *drain) tell(begun, left int64, st *worker.Status, foreign []shelved, refused error) error {
	out := d.p.stdout
	var dead int64
	if st != nil {
		var flushed int64
		for i := range st.Sources {
			c := &st.Sources[i].Counts
			flushed += c.Flushed
			for _, n := range c.DeadLettered {
				dead += n
			}
		}
		fmt.Fprintf(out, "drained %s of %s: %s flushed and %s dead letters here, %s left\n",
			number(max(begun-left, 0)), countedRecords(begun), number(flushed), number(dead), number(left))
	} else if len(foreign) == 0 {
		fmt.Fprintln(out, "nothing is parked")
	}
	for i := range foreign {
		l := &foreign[i]
		fmt.Fprintf(out, "%s for %s stay in %s: %s has no such flusher; `flushline parked move` gives them to another\n",
			countedRecords(l.Messages), printable(l.Lane.Entry()), printable(l.Place), d.cfg.File)
	}
	switch {
	case refused != nil:
		return &coded{exitTryAgain, refused}
	case dead > 0:
		return &coded{exitIncomplete, fmt.Errorf("%s became dead letters", countedRecords(dead))}
	case len(foreign) > 0:
		return &coded{exitIncomplete, errors.New("what is parked for flushers that are not there cannot be delivered")}
	}
	return nil
}

// refusals are the lanes that took nothing, and why.
func refusals(st *worker.Status) string {
	var all []string
	for i := range st.Lanes {
		if l := &st.Lanes[i]; blocked(l.State) || l.Park != nil && l.Park.Phase == worker.ParkBlocked {
			all = append(all, printable(fmt.Sprintf("%s/%s %s/%s/%s: %s: %s", l.Route, l.Flusher, l.Project, l.Logstore, l.Config, l.State, l.Why)))
		}
	}
	const most = 5
	if rest := len(all) - most; rest > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more lanes", rest))
	}
	return strings.Join(all, "\n  ")
}
