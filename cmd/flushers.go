package cmd

import (
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func newFlushers(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "flushers",
		Short: "List the kinds of flushers and describe them",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newFlushersLs(p), newFlushersDescribe(p), newFlushersDocs(p))
	return c
}

func newFlushersLs(p *program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the kinds: what their nil means, what is stored once however often it comes, what they were tested against",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return p.flushersLs(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (p *program) kindNames() []string {
	var names []string
	for _, k := range p.kinds.Kinds() {
		names = append(names, k.Name)
	}
	return names
}

func (p *program) flushersLs(asJSON bool) error {
	kinds := p.kinds.Kinds()
	if asJSON {
		views := make([]kindView, len(kinds))
		for i := range kinds {
			views[i] = outline(&kinds[i])
		}
		return printJSON(p.stdout, views)
	}
	t := &table{w: tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)}
	t.row("KIND", "DELIVERY", "IDEMPOTENCE", "TESTED AGAINST", "WHAT IT DOES")
	for i := range kinds {
		k := &kinds[i]
		what := k.Summary
		if !k.Available() {
			what = "(only on " + strings.Join(k.OS, ", ") + ") " + what
		}
		t.row(k.Name, k.Durability.String(), bounded(k.Idempotence.String(), k), orDash(k.TestedAgainst), what)
	}
	return t.w.Flush()
}
