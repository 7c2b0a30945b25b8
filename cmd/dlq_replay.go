package cmd

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

// dlqReplayFlags are the flags of `dlq replay`.
type dlqReplayFlags struct {
	dlqOptions

	direct   bool
	to       string
	anyRoute bool
	rate     rate
	dryRun   bool
	yes      bool
	giveUp   time.Duration
}

func newDLQReplay(p *program) *cobra.Command {
	var o dlqReplayFlags
	c := &cobra.Command{
		Use:   "replay [LETTER...]",
		Short: "Deliver dead letters again, after their cause was mended",
		Long: `Puts dead letters back into the queue that they came from, or with --direct hands
them to the flushers of the configuration without it. Payload, original headers, message
key and ids stay as they were, and only the flusher that missed a letter gets it. A
letter is removed from the dead letters once the queue has confirmed it, or with --direct
once it was flushed: whatever ends the command, nothing is lost, what was under way may
come twice with the same ids, and the same command goes on where it ended.

A letter that fails again comes back as a dead letter that counts its replays; after 8
of them it is not replayed any more. These stay, with a line that says why: letters that
cannot be read or are of a later format, that belong to another deployment, whose route
or flusher the configuration does not have (--to-route and --any-route send them
elsewhere), and those that the queue does not take in one piece (--direct does not need
it).
` + filterHelp + `
On a terminal it asks first. SIGINT, SIGTERM and the end of the terminal end it between
two letters.

Exit codes: 0 all were replayed; 64 usage or configuration; 65 some stay, or with
--direct became dead letters again; 69 queue, box or broker not usable; 70 a defect of
flushline; 75 interrupted, or given up because a destination takes nothing; 130
interrupted a third time.`,
		Example: `  flushline dlq replay -c flushline.yaml --reason permanent --flusher shop/es --dry-run
  flushline dlq replay -c flushline.yaml --reason permanent --flusher shop/es --rate 500/s
  flushline dlq replay -c flushline.yaml --direct --route shop --max 100
  flushline dlq replay -c flushline.yaml --route old --to-route shop/es
  flushline dlq replay -c flushline.yaml LOGS_flushline_DLQ/17`,
		RunE: func(c *cobra.Command, names []string) error { return p.replayLetters(c.Context(), &o, names) },
	}
	o.flags(p, c)
	f := c.Flags()
	f.BoolVar(&o.direct, "direct", false, "hand the letters to the flushers, without the queue")
	f.StringVar(&o.to, "to-route", "", "deliver them to this flusher instead: `ROUTE/FLUSHER`")
	f.BoolVar(&o.anyRoute, "any-route", false, "deliver them to all flushers of the route that their key takes now")
	f.Var(&o.rate, "rate", "at most this much: 500/s is letters a second, 20MiB bytes a second")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would go where; change nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	f.DurationVar(&o.giveUp, "give-up", 0, "with --direct: end when a destination takes nothing for `LONG` (0: never)")
	c.MarkFlagsMutuallyExclusive("to-route", "any-route")
	return c
}

// letterReplay is one run of `dlq replay`.
type letterReplay struct {
	p    *program
	o    *dlqReplayFlags
	cfg  *configs.Config
	log  *zap.Logger
	box  queue.LetterBox
	plan resending
	tell *replayTold
}

func (p *program) replayLetters(ctx context.Context, o *dlqReplayFlags, names []string) error {
	if err := o.check(names); err != nil {
		return err
	}
	cfg, err := p.loadShown(o.config)
	if err != nil {
		return err
	}
	r := &letterReplay{p: p, o: o, cfg: cfg, log: p.warnings(), plan: resending{cfg: cfg, to: o.to, anyRoute: o.anyRoute}}
	if o.giveUp < 0 || o.giveUp > 0 && !o.direct {
		return usage(errors.New("--give-up is for --direct, and not negative"))
	}
	if err := r.plan.check(); err != nil {
		return err
	}
	if r.box, err = openBox(ctx, cfg, r.log); err != nil {
		return atBroker(err, cfg.File)
	}
	defer func() { _ = r.box.Close() }() // what it was told is durable
	if !o.yes && !o.dryRun && typedAt(p.stdin) {
		yes, err := p.agreed("Replay what was chosen of " + r.box.Describe() + "?")
		if err != nil || !yes {
			return err
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	signal.Ignore(syscall.SIGPIPE) // then writing says that nobody reads any more
	onHangup(ctx, func() { stop(errors.New("the terminal was closed")) })
	r.tell = &replayTold{out: p.stdout, gone: stop}
	deliver := r.intoQueue
	if o.direct && !o.dryRun {
		deliver = r.direct
	} else {
		var end context.CancelFunc
		ctx, end = interruptible(ctx)
		defer end()
	}
	err = deliver(ctx, stop)
	if err == nil && r.tell.replayed > 0 {
		r.tell.freed, err = r.box.Free(ctx)
	}
	return r.ended(ctx, err)
}

// chosen calls visit for each letter that is to be replayed, and with what it becomes.
// Those that stay are told, and are none of --max: else they would be in the way of the
// others for ever.
func (r *letterReplay) chosen(ctx context.Context, visit func(*queue.Letter, *queue.Facts, queue.Message) error) error {
	all, n := r.o.letterFilter, 0
	all.max = 0
	return all.each(ctx, r.box, func(l *queue.Letter, f *queue.Facts) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m, err := r.plan.message(l, f)
		if err != nil {
			r.tell.stays(l, err)
			return nil
		}
		if err := visit(l, f, m); err != nil {
			return err
		}
		if n++; n == r.o.max {
			return errEnough
		}
		return nil
	})
}

// intoQueue replays by way of the queue, or says what would be replayed.
func (r *letterReplay) intoQueue(ctx context.Context, _ context.CancelCauseFunc) error {
	if r.o.direct {
		r.tell.begin(r.p.stderr, "the flushers")
		return r.chosen(ctx, func(l *queue.Letter, _ *queue.Facts, m queue.Message) error {
			r.tell.goes(l, &m, "the flushers")
			return nil
		})
	}
	place, _ := brokerOf(r.cfg).describe()
	r.tell.begin(r.p.stderr, place)
	back, err := brokerOf(r.cfg).wayBack(ctx, r.log)
	if err != nil {
		return err
	}
	defer back.close()
	put := &putBack{box: r.box, back: back, rate: r.o.rate, dry: r.o.dryRun, tell: r.tell}
	if err := r.chosen(ctx, func(l *queue.Letter, f *queue.Facts, m queue.Message) error { return put.add(ctx, l, f, m) }); err != nil {
		return err
	}
	return put.flush(ctx)
}

// ended says what came of it, and with which exit code.
func (r *letterReplay) ended(ctx context.Context, err error) error {
	if errors.Is(err, errInterrupted) {
		return err // what still runs tells, too
	}
	if r.tell.show != nil {
		r.tell.line("%s", r.tell.summary(r.o.dryRun))
	}
	if r.tell.freed != "" {
		r.tell.line("%s", printable(r.tell.freed))
	}
	switch {
	case err == nil:
	case ctx.Err() != nil && !isCoded(err):
		why := "interrupted"
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			why = cause.Error()
		}
		return &coded{exitTryAgain, fmt.Errorf("%s: %s, the rest is kept; the same command goes on", why, r.tell.sofar())}
	default:
		return atBroker(err, r.cfg.File)
	}
	if r.tell.again > 0 {
		return &coded{exitIncomplete, fmt.Errorf("%s again", becameLetters(r.tell.again))}
	}
	if r.tell.stayed > 0 {
		return errStays(r.tell.stayed)
	}
	return r.o.unseen()
}
