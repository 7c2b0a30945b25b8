package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

type dlqPurgeOptions struct {
	dlqOptions
	all, dryRun, yes bool
}

func newDLQPurge(p *program) *cobra.Command {
	var o dlqPurgeOptions
	c := &cobra.Command{
		Use:   "purge [NAME...]",
		Short: "Remove dead letters, unseen to and for good",
		Long: `Removes dead letters: nothing delivers them again, so export what may still be needed.
It wants a choice, or --all; asks first on a terminal, and wants --yes elsewhere.
Letters that cannot be read are left unless --damaged asks for them, and only them.

It gives the space of all resolved letters back, replayed ones included, as far as the
queue can, and says what it could not: Kafka keeps everything behind the oldest letter
that is open.
` + filterHelp + `
Exit codes: 0 purged, or the question was answered with no; 64 usage or configuration;
65 a named letter is not there; 69 the letters cannot be read or removed; 75
interrupted: what was purged until then is gone.`,
		Example: `  flushline dlq purge -c flushline.yaml --reason undecodable --until 168h --dry-run
  flushline dlq purge -c flushline.yaml --project test --yes
  flushline dlq purge -c flushline.yaml LOGS_flushline_DLQ/17 LOGS_flushline_DLQ/18 --yes
  flushline dlq purge -c flushline.yaml --damaged --yes`,
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			switch {
			case o.everything() && !o.all:
				return usage(errors.New("which letters? choose them by flags or names, or give --all; --dry-run shows what would go"))
			case o.all && !o.everything():
				return usage(errors.New("--all leaves no choice: give either --all or what chooses letters"))
			}
			return p.onLetters(c.Context(), o.config, func(ctx context.Context, cfg *configs.Config, box queue.LetterBox) error {
				return p.purgeLetters(ctx, &o, cfg, box)
			})
		},
	}
	o.flags(p, c)
	o.damagedFlag(c)
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "every letter that can be read")
	f.BoolVar(&o.dryRun, "dry-run", false, "list what would be purged, and purge nothing")
	f.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	c.MarkFlagsMutuallyExclusive("dry-run", "yes")
	return c
}

func (p *program) purgeLetters(ctx context.Context, o *dlqPurgeOptions, cfg *configs.Config, box queue.LetterBox) error {
	g := &purge{program: p, o: o, box: box}
	if !o.damaged {
		o.skip = g.spare
	}
	switch {
	case o.dryRun:
		return g.preview(ctx, cfg)
	case o.yes:
		return g.run(ctx, func(*queue.Letter) bool { return true })
	case !typedAt(p.stdin):
		return usage(errors.New("this removes letters for good: give --yes, or see with --dry-run what would go"))
	}
	return g.ask(ctx)
}

// purge is one run of `dlq purge`.
type purge struct {
	*program
	o   *dlqPurgeOptions
	box queue.LetterBox

	batch  []*queue.Letter // without their payloads
	of     letterSum       // of batch
	sum    letterSum       // of what is resolved
	spared map[queue.Place]bool

	arriving int64 // chunks of so many may still come
}

// purgeBatch is how many letters are resolved at once.
const purgeBatch = 500

// spare leaves a letter that cannot be read.
func (g *purge) spare(l *queue.Letter) error {
	if g.spared == nil {
		g.spared = map[queue.Place]bool{}
	}
	g.spared[l.Places[0]] = true
	return nil
}

func (g *purge) preview(ctx context.Context, cfg *configs.Config) error {
	list := newLetterList(g.program, newLetterView(cfg))
	err := g.o.each(ctx, g.box, list.add)
	err = errors.Join(err, list.end(&g.o.letterFilter, g.box))
	if err == nil {
		g.saySpared()
		_, err = fmt.Fprintf(g.stdout, "nothing was purged: give --yes instead of --dry-run to purge %s\n", countedLetters(list.sum.letters))
	}
	return errors.Join(err, g.o.unseen())
}

// ask counts, and purges exactly what was counted: letters that come meanwhile stay.
func (g *purge) ask(ctx context.Context) error {
	var sum letterSum
	newest := map[string]int64{}
	if err := g.o.each(ctx, g.box, func(l *queue.Letter, _ *queue.Facts) error {
		sum.add(l)
		newest[l.Places[0].Part] = max(newest[l.Places[0].Part], l.Places[0].Position)
		return nil
	}); err != nil {
		return err
	}
	if sum.letters == 0 {
		return g.run(ctx, func(*queue.Letter) bool { return false })
	}
	yes, err := g.agreed(fmt.Sprintf("Remove %s from %s for good?", sum.String(), printable(g.box.Describe())))
	if err != nil {
		return err
	}
	if !yes {
		fmt.Fprintln(g.stdout, "nothing was purged")
		return nil
	}
	then := g.spared
	return g.run(ctx, func(l *queue.Letter) bool {
		last, known := newest[l.Places[0].Part]
		return known && l.Places[0].Position <= last && !then[l.Places[0]]
	})
}

// run resolves what was asked for and meant, and gives its space back.
func (g *purge) run(ctx context.Context, meant func(*queue.Letter) bool) error {
	g.spared = nil
	err := g.o.each(ctx, g.box, func(l *queue.Letter, _ *queue.Facts) error {
		switch {
		case !meant(l):
			return nil
		case l.Arriving(time.Now()):
			g.arriving++
			return nil
		}
		return g.add(ctx, l)
	})
	if err == nil {
		err = g.resolve(ctx)
	}
	freed := ""
	if err == nil && g.o.never == nil {
		freed, err = g.box.Free(ctx)
	}
	fmt.Fprintf(g.stdout, "purged %s from %s\n", g.sum.String(), printable(g.box.Describe()))
	g.saySpared()
	if freed != "" {
		fmt.Fprintln(g.stdout, printable(freed))
	}
	return errors.Join(err, g.o.unseen())
}

func (g *purge) saySpared() {
	if g.arriving > 0 {
		fmt.Fprintf(g.stdout, "%s may still be on the way: chunks of them are younger than %s\n", countedLetters(g.arriving), span(queue.ArrivalBound))
	}
	if n := len(g.spared); n > 0 {
		fmt.Fprintf(g.stdout, "%s cannot be read and stay: `flushline dlq ls --damaged` shows them, --damaged purges them\n", countedLetters(int64(n)))
	}
}

func (g *purge) add(ctx context.Context, l *queue.Letter) error {
	g.of.add(l)
	l.Value = nil
	if g.batch = append(g.batch, l); len(g.batch) < purgeBatch {
		return nil
	}
	return g.resolve(ctx)
}

func (g *purge) resolve(ctx context.Context) error {
	if len(g.batch) == 0 {
		return nil
	}
	if err := g.box.Resolve(ctx, g.batch); err != nil {
		return err
	}
	g.sum.letters += g.of.letters
	g.sum.bytes += g.of.bytes
	g.sum.damaged += g.of.damaged
	g.batch, g.of = nil, letterSum{}
	return nil
}
