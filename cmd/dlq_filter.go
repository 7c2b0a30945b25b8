package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/worker"
)

// letterFilter says which dead letters a command is about: those for which everything
// that was given is true.
type letterFilter struct {
	reasons        []string
	text           string
	route, flusher string
	match          worker.Match
	since, until   moment
	names          []queue.Place // of the arguments
	max            int           // 0: all

	damaged bool // only those that cannot be read; a flag of some commands

	// skip, if set, gets those that were asked for and cannot be read, in place of the
	// visitor of each. They are none of max.
	skip func(*queue.Letter) error

	seen  map[queue.Place]bool
	never *queue.MissingError // what each was to read does not exist: nobody has ever put a letter
}

// letterReasons are the classes that a worker writes.
var letterReasons = []string{
	worker.ReasonUndecodable, worker.ReasonNoKey, worker.ReasonNoRoute, worker.ReasonPermanent,
	"poison", "hangs", worker.ReasonTooLarge, worker.ReasonUnknownTarget,
}

const filterHelp = `
Letters are chosen by flags, which all have to be true, and by their names as ` + "`dlq ls`" + `
prints them. Reasons: undecodable, no_key, no_route, permanent, poison, hangs, too_large,
unknown_target.
`

func (f *letterFilter) flags(c *cobra.Command) {
	fs := c.Flags()
	fs.StringSliceVar(&f.reasons, "reason", nil, "only letters of this `CLASS`; may be given several times")
	fs.StringVar(&f.text, "error", "", "only letters whose error contains `TEXT`")
	fs.StringVar(&f.route, "route", "", "only letters of this `ROUTE`")
	fs.StringVar(&f.flusher, "flusher", "", "only letters of this flusher: `NAME`, or ROUTE/NAME")
	fs.StringVar(&f.match.Project, "project", "", "only these projects (a name or a `GLOB`)")
	fs.StringVar(&f.match.Logstore, "logstore", "", "only these logstores (a name or a `GLOB`)")
	fs.StringVar(&f.match.Config, "config-name", "", "only these configs (a name or a `GLOB`)")
	fs.Var(&f.since, "since", "only letters stored at this `TIME` or later: RFC 3339, today, or how long ago (30m)")
	fs.Var(&f.until, "until", "only letters stored before this `TIME`")
	fs.IntVar(&f.max, "max", 0, "at most `N` letters, the oldest first (0: all)")
	_ = c.RegisterFlagCompletionFunc("reason", cobra.FixedCompletions(letterReasons, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

// damagedFlag is for commands that have to do with letters that cannot be read.
func (f *letterFilter) damagedFlag(c *cobra.Command) {
	c.Flags().BoolVar(&f.damaged, "damaged", false, "only letters that cannot be read")
}

// check takes the names and refuses what cannot be meant.
func (f *letterFilter) check(names []string) error {
	for _, r := range f.reasons {
		if !slices.Contains(letterReasons, r) {
			hint := ""
			if near := option.Suggest(r, letterReasons); near != "" {
				hint = fmt.Sprintf(" (did you mean %s?)", near)
			}
			return usage(fmt.Errorf("--reason %q is no class of dead letters%s: they are %s", r, hint, strings.Join(letterReasons, ", ")))
		}
	}
	switch {
	case f.max < 0:
		return usage(errors.New("--max must not be negative"))
	case !f.since.at.IsZero() && !f.until.at.IsZero() && !f.since.at.Before(f.until.at):
		return usage(fmt.Errorf("--since %s is not before --until %s: no letter is between them", f.since.text, f.until.text))
	}
	f.seen = map[queue.Place]bool{}
	for _, name := range names {
		at, err := queue.ParsePlace(name)
		if err != nil {
			return usage(err)
		}
		f.names = append(f.names, at)
	}
	return nil
}

// everything says that nothing was given that would leave a letter out. --max is no
// choice: it only says how many.
func (f *letterFilter) everything() bool {
	return len(f.reasons) == 0 && f.text == "" && f.route == "" && f.flusher == "" && f.match == (worker.Match{}) &&
		f.since.at.IsZero() && f.until.at.IsZero() && len(f.names) == 0 && !f.damaged
}

// takes says whether a letter was asked for; facts are its own.
func (f *letterFilter) takes(l *queue.Letter, facts *queue.Facts) bool {
	lane := &facts.Lane
	return (len(f.names) == 0 || slices.Contains(f.names, l.Places[0])) &&
		(!f.damaged || l.Damage != nil) &&
		(len(f.reasons) == 0 || slices.Contains(f.reasons, facts.Reason)) &&
		strings.Contains(facts.Error, f.text) &&
		(f.route == "" || f.route == lane.Route) &&
		(f.flusher == "" || f.flusher == lane.Flusher || lane.Flusher != "" && f.flusher == lane.Entry()) &&
		(f.match == worker.Match{} || f.match.Matches(lane.Project, lane.Logstore, lane.Config)) &&
		(f.since.at.IsZero() || !l.Time.Before(f.since.at)) &&
		(f.until.at.IsZero() || l.Time.Before(f.until.at))
}

// errEnough ends the reading of a box when what was asked for was seen.
var errEnough = errors.New("enough letters")

// each calls visit for each letter that was asked for. A box that was never made has none.
func (f *letterFilter) each(ctx context.Context, box queue.LetterBox, visit func(*queue.Letter, *queue.Facts) error) error {
	n := 0
	err := box.Letters(ctx, func(l *queue.Letter) error {
		facts := factsOf(l)
		if !f.takes(l, &facts) {
			return nil
		}
		if len(f.names) > 0 {
			f.seen[l.Places[0]] = true
		}
		visit := visit
		if f.skip != nil && l.Damage != nil {
			visit = func(l *queue.Letter, _ *queue.Facts) error { return f.skip(l) }
		} else {
			n++
		}
		if err := visit(l, &facts); err != nil {
			return err
		}
		if f.max > 0 && n == f.max || len(f.names) > 0 && len(f.absent()) == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || errors.As(err, &f.never) {
		return nil
	}
	return err
}

// absent are the names that each did not come across.
func (f *letterFilter) absent() []queue.Place {
	return slices.DeleteFunc(slices.Clone(f.names), func(p queue.Place) bool { return f.seen[p] })
}

// unseen is an error that says which letters were named and are not there.
func (f *letterFilter) unseen() error {
	absent := f.absent()
	if len(absent) == 0 || f.max > 0 && len(f.seen) >= f.max {
		return nil
	}
	names := make([]string, len(absent))
	for i, p := range absent {
		names[i] = p.String()
	}
	return &coded{exitIncomplete, fmt.Errorf("there is no such letter that is open: %s; `flushline dlq ls` names them, those that were replayed or purged are gone", strings.Join(names, ", "))}
}

// factsOf reads a letter's headers. The key of one that never had a lane is that of its
// producer.
func factsOf(l *queue.Letter) queue.Facts {
	f := l.Facts()
	for _, part := range []struct {
		field  *string
		header string
	}{
		{&f.Lane.Project, protocol.HeaderProject},
		{&f.Lane.Logstore, protocol.HeaderLogstore},
		{&f.Lane.Config, protocol.HeaderConfig},
	} {
		if *part.field == "" {
			*part.field, _ = l.Header(part.header)
		}
	}
	return f
}

// moment is --since and --until: a time as `replay` takes it, or how long ago.
type moment struct {
	at   time.Time // zero: not given
	text string
}

func (m *moment) Type() string   { return "TIME" }
func (m *moment) String() string { return m.text }

func (m *moment) Set(s string) error {
	text := s
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		text = "-" + s // no letter is of the future
	}
	b, err := job.ParseBound(text, time.Now())
	if err != nil || b.Time.IsZero() {
		return fmt.Errorf("%q is no time: write 2026-01-31T15:04:05Z, today, yesterday, or how long ago it is, such as 90m or 36h", s)
	}
	*m = moment{b.Time, s}
	return nil
}
