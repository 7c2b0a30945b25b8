package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/worker"
)

func newReload(p *program) *cobra.Command {
	var a adminOptions
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have a running worker take over its configuration file",
		Long: `A running worker takes over routes, removed, reload, log.level, drain.timeout (not
with Kafka) and dead_letter.stop_after of the file it was started with. It does so
by itself when the file changes, or one that it takes values from, unless reload.watch
is false; SIGHUP asks for it too. This command asks and says what came of it.

Unchanged flushers notice nothing. A changed one finishes its running call, then the
new one begins and what waited is tried at once. One that is gone and still holds
something needs ` + "`removed: drain`, `dead_letter` or `park`" + ` in the file.

Exit codes: 0 taken over; 64 the file was refused and nothing was changed; 69 no
worker answered, or it is starting or stopping.`,
		Example: "  flushline reload -c flushline.yaml",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return p.reload(c.Context(), &a) },
	}
	a.flags(p, c)
	return c
}

func (p *program) reload(ctx context.Context, a *adminOptions) error {
	target, err := a.open(p)
	if err != nil {
		return err
	}
	var got worker.Changes
	if err := target.post(ctx, "/reload", &got); err != nil {
		return err
	}
	printChanges(p.stdout, &got)
	return nil
}

func printChanges(w io.Writer, c *worker.Changes) {
	for _, group := range []struct {
		word  string
		names []string
	}{{"added", c.Added}, {"changed", c.Changed}, {"removed", c.Removed}, {"rerouted", c.Rerouted}} {
		for _, name := range group.names {
			fmt.Fprintln(w, group.word, printable(name))
		}
	}
	fmt.Fprintln(w, "unchanged flushers:", len(c.Unchanged))
}

// targetOptions name what is paused, or tapped.
type targetOptions struct{ worker.Target }

func (o *targetOptions) flags(c *cobra.Command) {
	o.laneFlags(c)
	c.Flags().StringVar(&o.Strand, "strand", "", "a strand, by its name in `flushline status --strands`")
}

func (o *targetOptions) laneFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Route, "route", "", "a route")
	f.StringVar(&o.Flusher, "flusher", "", "a flusher of the route")
	f.StringVar(&o.Project, "project", "", "with --logstore, --config-name and a flusher: a lane")
	f.StringVar(&o.Logstore, "logstore", "", "see --project")
	f.StringVar(&o.Config, "config-name", "", "see --project")
}

func (o *targetOptions) query() string {
	q := o.values()
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (o *targetOptions) values() url.Values {
	q := url.Values{}
	for name, value := range admin.TargetParameters(&o.Target) {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	return q
}

func newPause(p *program) *cobra.Command {
	var a adminOptions
	var o targetOptions
	c := &cobra.Command{
		Use:   "pause",
		Short: "Hold back a route, a flusher, a lane or a strand",
		Long: `Lanes that are paused keep what they hold and flush nothing, until ` + "`flushline resume`" + ` of
the same; the others go on for as long as the strand's window has room. A strand that
is paused is not fetched. Nothing is redelivered and nothing is lost. A pause lasts at
most as long as the process; status shows it with the command that ends it.

Exit codes: 0 paused; 64 usage, or there is no such thing; 69 no worker answered.`,
		Example: `  flushline pause --route shop
  flushline pause --route shop --flusher es
  flushline pause --route shop --flusher es --project shop --logstore app --config-name cart
  flushline pause --strand "logs[3]"`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.pause(c.Context(), &a, &o) },
	}
	a.flags(p, c)
	o.flags(c)
	return c
}

func (p *program) pause(ctx context.Context, a *adminOptions, o *targetOptions) error {
	target, err := a.open(p)
	if err != nil {
		return err
	}
	var got admin.Paused
	if err := target.post(ctx, "/pause"+o.query(), &got); err != nil {
		return err
	}
	for _, name := range got.Paused {
		fmt.Fprintln(p.stdout, "paused", printable(name))
	}
	return nil
}

func newResume(p *program) *cobra.Command {
	var a adminOptions
	var o targetOptions
	c := &cobra.Command{
		Use:   "resume",
		Short: "Let go on what stopped because it dead-lettered everything, or what was paused",
		Long: `A lane, flusher or source that dead-letters everything it gets stops by itself
(limit: dead_letter.stop_after). Mend the cause first: look at the last error in
` + "`flushline status`" + `. Then this command lets it go on.

With a route, flusher, lane or strand it ends the pause of just that.

Exit codes: 0 done, also when nothing had stopped; 64 usage or configuration;
69 no worker answered.`,
		Example: `  flushline resume
  flushline resume --route shop`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return p.resume(c.Context(), &a, &o) },
	}
	a.flags(p, c)
	o.flags(c)
	return c
}

func (p *program) resume(ctx context.Context, a *adminOptions, o *targetOptions) error {
	target, err := a.open(p)
	if err != nil {
		return err
	}
	var got admin.Resumed
	if err := target.post(ctx, "/resume"+o.query(), &got); err != nil {
		return err
	}
	switch {
	case len(got.Resumed) == 0 && o.query() != "":
		fmt.Fprintln(p.stdout, "it was not paused")
	case len(got.Resumed) == 0:
		fmt.Fprintln(p.stdout, "nothing had stopped")
	}
	for _, name := range got.Resumed {
		fmt.Fprintln(p.stdout, "resumed", printable(name))
	}
	return nil
}

// post asks for a change and reads the answer.
func (a *adminClient) post(ctx context.Context, path string, answer any) error {
	body, err := a.call(ctx, http.MethodPost, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("couldn't read the answer of %s: %w", a.base, err)
	}
	return nil
}
