package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

func newParkedMove(p *program) *cobra.Command {
	var o parkedOptions
	c := &cobra.Command{
		Use:   "move",
		Short: "Have what is parked for one flusher be delivered to another",
		Long: `Moves parked records toward another flusher of the configuration: after a route or
a flusher was renamed or removed, or when a destination never comes back. Each record
is stored for the new flusher before it is removed from the old one, so that a move
that is interrupted loses nothing; do it again, and at most what was under way is
there twice. On NATS what live workers deliver meanwhile to the old flusher may
come twice, too: move what they do not serve. On Kafka the workers have to be stopped
first, and a key is given by its names.

Exit codes: 0 moved; 64 usage or configuration; 69 the broker cannot be reached, or
not everything could be moved; 75 interrupted.`,
		Example: `  flushline parked move -c flushline.yaml --route old --to shop/es
  flushline parked move -c flushline.yaml --flusher shop/es --project test --to shop/archive`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.onDepot(c.Context(), &o, func(ctx context.Context, cfg *configs.Config, s depot, found []shelved) error {
				return p.moveParked(ctx, &o, cfg, s, found)
			})
		},
	}
	o.flags(p, c)
	c.Flags().StringVar(&o.to, "to", "", "the flusher that gets them: `ROUTE/FLUSHER`")
	_ = c.MarkFlagRequired("to") // fails only for a flag that is not there
	return c
}

func (p *program) moveParked(ctx context.Context, o *parkedOptions, cfg *configs.Config, s depot, found []shelved) error {
	var to queue.Lane
	entries := cfg.Entries()
	i := slices.IndexFunc(entries, func(l queue.Lane) bool { return l.Entry() == o.to })
	if i < 0 {
		var names []string
		for _, l := range entries {
			names = append(names, l.Entry())
		}
		return usage(fmt.Errorf("--to %q: %s has no such flusher, so nobody would ever deliver them: it has %s", o.to, cfg.File, strings.Join(names, ", ")))
	}
	to = entries[i]
	found = slices.DeleteFunc(found, func(l shelved) bool { return l.Lane.Entry() == to.Entry() })
	if !s.byKey() {
		found = o.byEntry(found)
	}
	return p.eachPlace(found, "moved", "to "+to.Entry(), func(l *shelved) (int64, error) { return s.move(ctx, l, to) })
}

// byEntry makes one of all partitions of an entry, narrowed down to the chosen key.
func (o *parkedOptions) byEntry(found []shelved) []shelved {
	var all []shelved
	for i := range found {
		l := found[i].Lane
		if slices.ContainsFunc(all, func(s shelved) bool { return s.Lane.Entry() == l.Entry() }) {
			continue
		}
		l.Project, l.Logstore, l.Config = o.match.Project, o.match.Logstore, o.match.Config
		all = append(all, shelved{Backlog: queue.Backlog{Lane: l, Place: "what is parked for " + l.Entry()}})
	}
	return all
}

// eachPlace does something with what is parked, place by place, prints what came of
// each, and goes on after a failure.
func (p *program) eachPlace(found []shelved, done, where string, do func(*shelved) (int64, error)) error {
	var errs []error
	var sum int64
	for i := range found {
		l := &found[i]
		n, err := do(l)
		sum += n
		if n > 0 || err == nil {
			fmt.Fprintf(p.stdout, "%s\n", strings.TrimSpace(fmt.Sprintf("%s %s of %s %s", done, countedRecords(n), printable(l.Place), where)))
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	fmt.Fprintf(p.stdout, "%s %s\n", done, countedRecords(sum))
	return errors.Join(errs...)
}

func newParkedDrop(p *program) *cobra.Command {
	var o parkedOptions
	c := &cobra.Command{
		Use:   "drop",
		Short: "Delete what is parked, undelivered and for good",
		Long: `Deletes parked records and says how many. They were acknowledged at the source
when they were parked: nothing delivers them again. It asks first on a terminal, and
wants --yes elsewhere.

Exit codes: 0 dropped, or the question was answered with no; 64 usage or
configuration; 69 the broker cannot be reached, or not everything could be dropped;
75 interrupted.`,
		Example: `  flushline parked drop -c flushline.yaml --route debug --yes`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.onDepot(c.Context(), &o, func(ctx context.Context, _ *configs.Config, s depot, found []shelved) error {
				return p.dropParked(ctx, &o, s, found)
			})
		},
	}
	o.flags(p, c)
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return c
}

func (p *program) dropParked(ctx context.Context, o *parkedOptions, s depot, found []shelved) error {
	if len(found) == 0 {
		fmt.Fprintln(p.stdout, "nothing is parked")
		return nil
	}
	what := fmt.Sprintf("%s in %s", countedRecords(total(found)), counted(len(found), "place"))
	switch {
	case o.yes:
	case !typedAt(p.stdin):
		return usage(fmt.Errorf("this deletes %s for good: give --yes", what))
	default:
		if err := p.listParked(o, found); err != nil {
			return err
		}
		if yes, err := p.agreed(fmt.Sprintf("Delete %s for good?", what)); err != nil {
			return err
		} else if !yes {
			fmt.Fprintln(p.stdout, "nothing was dropped")
			return nil
		}
	}
	return p.eachPlace(found, "dropped", "", func(l *shelved) (int64, error) { return s.drop(ctx, l) })
}

// agreed asks a person. Anything but yes is no.
func (p *program) agreed(question string) (bool, error) {
	fmt.Fprintf(p.stdout, "%s Type yes: ", question)
	answer, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("couldn't read the answer: %w", err)
	}
	return strings.TrimSpace(answer) == "yes", nil
}

// typedAt says whether a person types what r reads.
func typedAt(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
