package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// depot is what is parked beside a source, for people.
type depot interface {
	// lanes is ordered by lane.
	lanes(ctx context.Context) ([]shelved, error)
	// byKey says that each entry of lanes is one lane. Else it is a part of what is
	// parked for a flusher entry, and its Lane has no key.
	byKey() bool
	// drop removes what is parked there, for good, and says how many records.
	drop(ctx context.Context, l *shelved) (int64, error)
	// move has what is parked there be delivered to another flusher entry, and says how
	// many records.
	move(ctx context.Context, l *shelved, to queue.Lane) (int64, error)
	close()
}

// shelved is what is parked in one place.
type shelved struct {
	queue.Backlog
	box int // the consumer's companion, where there are several
}

// parkedOptions say which parked records are meant.
type parkedOptions struct {
	config         string
	route, flusher string
	match          worker.Match

	asJSON bool
	to     string
	yes    bool
	giveUp time.Duration
}

func (o *parkedOptions) flags(p *program, c *cobra.Command) {
	configFlag(p, c, &o.config)
	f := c.Flags()
	f.StringVar(&o.route, "route", "", "only what is parked for this `ROUTE`")
	f.StringVar(&o.flusher, "flusher", "", "only what is parked for this flusher: `NAME`, or ROUTE/NAME")
	f.StringVar(&o.match.Project, "project", "", "only these projects (a name or a `GLOB`)")
	f.StringVar(&o.match.Logstore, "logstore", "", "only these logstores (a name or a `GLOB`)")
	f.StringVar(&o.match.Config, "config-name", "", "only these configs (a name or a `GLOB`)")
}

func newParked(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "parked",
		Short: "See, deliver, move or drop what is parked beside a source",
		Long: `With when_blocked: park, what waits for a dead destination is put on a companion
beside the source: on NATS a stream <stream>_<durable>_PARKED with a subject for each
lane, on Kafka a topic <topic>.<group>.parked.<route>.<flusher>. Workers deliver it by
themselves when the destination is back. These commands ask the broker and work beside
running workers; an embedded queue is asked while its worker runs.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newParkedLs(p), newParkedDrain(p), newParkedMove(p), newParkedDrop(p))
	return c
}

func newParkedLs(p *program) *cobra.Command {
	var o parkedOptions
	c := &cobra.Command{
		Use:   "ls",
		Short: "List what is parked: a line a lane",
		Long: `Lists what is parked as the broker counts it: a line a lane with how many records
wait, since when, and where. Kafka counts by partition, so there it is a line a
partition.

Exit codes: 0 listed; 64 usage or configuration; 69 the broker cannot be reached.`,
		Example: `  flushline parked ls -c flushline.yaml
  flushline parked ls -c flushline.yaml --flusher es --project 'pay*' --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.onDepot(c.Context(), &o, func(_ context.Context, _ *configs.Config, _ depot, found []shelved) error {
				return p.listParked(&o, found)
			})
		},
	}
	o.flags(p, c)
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON object a line")
	return c
}

// onDepot opens what is parked and has something done with what was chosen.
func (p *program) onDepot(ctx context.Context, o *parkedOptions, do func(context.Context, *configs.Config, depot, []shelved) error) error {
	ctx, stop := interruptible(ctx)
	defer stop()
	cfg, _, err := p.load(o.config)
	if err != nil {
		return err
	}
	s, err := brokerOf(cfg).depot(ctx, p.warnings())
	if err != nil {
		return atBroker(err, cfg.File)
	}
	defer s.close()
	found, err := o.choose(ctx, s)
	if err == nil {
		err = do(ctx, cfg, s, found)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !isCoded(err):
		return &coded{exitTryAgain, errors.New("interrupted")}
	}
	return atBroker(err, cfg.File)
}

// choose lists what is parked and was asked for.
func (o *parkedOptions) choose(ctx context.Context, s depot) ([]shelved, error) {
	if !s.byKey() && o.match != (worker.Match{}) && !o.keyed() {
		return nil, usage(errors.New("a partition on Kafka has records of many keys: choose with --route and --flusher"))
	}
	all, err := s.lanes(ctx)
	return slices.DeleteFunc(all, func(l shelved) bool {
		return !o.takes(l.Lane) && (s.byKey() || !o.takesEntry(l.Lane))
	}), err
}

// keyed says that keys can be chosen where they lie among others: by their names, and
// for what looks at each record.
func (o *parkedOptions) keyed() bool {
	return o.to != "" && !strings.ContainsAny(o.match.Project+o.match.Logstore+o.match.Config, "*?")
}

// takes says whether a lane was asked for.
func (o *parkedOptions) takes(l queue.Lane) bool {
	return o.takesEntry(l) && (o.match == worker.Match{} || o.match.Matches(l.Project, l.Logstore, l.Config))
}

func (o *parkedOptions) takesEntry(l queue.Lane) bool {
	return (o.route == "" || o.route == l.Route) && (o.flusher == "" || o.flusher == l.Flusher || o.flusher == l.Entry())
}

// parkedRow is a line of `parked ls --json`.
type parkedRow struct {
	Route    string    `json:"route"`
	Flusher  string    `json:"flusher"`
	Project  string    `json:"project,omitempty"`
	Logstore string    `json:"logstore,omitempty"`
	Config   string    `json:"config,omitempty"`
	Messages int64     `json:"messages"`
	Oldest   time.Time `json:"oldest,omitzero"`
	Place    string    `json:"place"`
}

func (p *program) listParked(o *parkedOptions, found []shelved) error {
	if o.asJSON {
		lines := json.NewEncoder(p.stdout)
		for i := range found {
			l := &found[i]
			if err := lines.Encode(parkedRow{l.Lane.Route, l.Lane.Flusher, l.Lane.Project, l.Lane.Logstore, l.Lane.Config, l.Messages, l.Oldest, l.Place}); err != nil {
				return fmt.Errorf("couldn't print: %w", err)
			}
		}
		return nil
	}
	if len(found) == 0 {
		fmt.Fprintln(p.stdout, "nothing is parked")
		return nil
	}
	t := &table{w: tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)}
	t.row("PARKED LANE", "FLUSHER", "MESSAGES", "OLDEST", "PLACE")
	now := time.Now()
	for i := range found {
		l := &found[i]
		t.row(keyOf(l.Lane), printable(l.Lane.Entry()), number(l.Messages), ago(now, l.Oldest), printable(l.Place))
	}
	t.line(fmt.Sprintf("%s in %s", countedRecords(total(found)), counted(len(found), "place")))
	return t.w.Flush()
}

func keyOf(l queue.Lane) string {
	if l.Project == "" && l.Logstore == "" && l.Config == "" {
		return "-"
	}
	return printable(l.Project + "/" + l.Logstore + "/" + l.Config)
}

func total(found []shelved) int64 {
	var n int64
	for i := range found {
		n += found[i].Messages
	}
	return n
}

func countedRecords(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return number(n) + " records"
}
