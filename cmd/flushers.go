package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

func newFlushers(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "flushers",
		Short: "List the kinds of flushers and describe their options",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newFlushersLs(p), newFlushersDescribe(p))
	return c
}

func newFlushersLs(p *program) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the kinds: what their nil means, what a repeated Flush does, what they were tested against",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return p.flushersLs(asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newFlushersDescribe(p *program) *cobra.Command {
	var asYAML, asJSON bool
	c := &cobra.Command{
		Use:   "describe KIND",
		Short: "Describe a kind's options",
		Long: `Describes every option of a kind: type, default, meaning. --yaml prints a block to
paste below "flushers:" in which the defaults are commented out.

Exit codes: 0 done; 64 no such kind.`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return p.kindNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return p.flushersDescribe(args[0], asYAML, asJSON) },
	}
	c.Flags().BoolVar(&asYAML, "yaml", false, "print a block to paste into a configuration")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("yaml", "json")
	return c
}

// kindView is a kind as JSON shows it.
type kindView struct {
	Name          string      `json:"name"`
	Summary       string      `json:"summary"`
	Durability    string      `json:"durability"`
	Idempotence   string      `json:"idempotence"`
	Atomic        bool        `json:"atomic"`
	TestedAgainst string      `json:"tested_against,omitempty"`
	OS            []string    `json:"os,omitempty"`
	Options       []fieldView `json:"options,omitempty"`
}

// fieldView is an option as JSON shows it.
type fieldView struct {
	Name     string      `json:"name"`
	Type     string      `json:"type"`
	Of       string      `json:"of,omitempty"` // of a list or map: the type of its values
	Default  string      `json:"default,omitempty"`
	Help     string      `json:"help"`
	Example  string      `json:"example,omitempty"`
	Min      string      `json:"min,omitempty"`
	Max      string      `json:"max,omitempty"`
	Enum     []string    `json:"enum,omitempty"`
	Aliases  []string    `json:"aliases,omitempty"`
	Required bool        `json:"required,omitempty"`
	Fields   []fieldView `json:"fields,omitempty"`
}

func viewFields(fields []option.Field) []fieldView {
	var out []fieldView
	for i := range fields {
		f := &fields[i]
		if f.Hidden {
			continue
		}
		v := fieldView{
			Name: f.Name, Type: f.Type, Default: f.Default, Help: f.Help, Example: f.Example, Min: f.Min, Max: f.Max,
			Enum: f.Enum, Aliases: f.Aliases, Required: f.Required, Fields: viewFields(below(f)),
		}
		if f.Elem != nil {
			v.Of = f.Elem.Type
		}
		out = append(out, v)
	}
	return out
}

func view(k *flushers.Kind) kindView {
	return kindView{
		Name: k.Name, Summary: k.Summary, Durability: k.Durability.String(), Idempotence: k.Idempotence.String(),
		Atomic: k.Atomic, TestedAgainst: k.TestedAgainst, OS: k.OS,
	}
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
			views[i] = view(&kinds[i])
		}
		return printJSON(p.stdout, views)
	}
	t := &table{w: tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)}
	t.row("TYPE", "NIL MEANS", "A FLUSH TWICE STORES", "TESTED AGAINST", "")
	for i := range kinds {
		k := &kinds[i]
		note := k.Summary
		if !k.Available() {
			note = "(only on " + strings.Join(k.OS, ", ") + ") " + note
		}
		t.row(k.Name, k.Durability.String(), repeats(k.Idempotence), orDash(k.TestedAgainst), note)
	}
	return t.w.Flush()
}

// repeats says what the destination holds when data comes twice.
func repeats(i flushers.Idempotence) string {
	switch i {
	case flushers.SameCall:
		return "once, if the call is identical"
	case flushers.PerGroup:
		return "each group once"
	case flushers.PerLog:
		return "each log once"
	}
	return "twice"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (p *program) flushersDescribe(name string, asYAML, asJSON bool) error {
	k := p.kinds.Find(name)
	if k == nil {
		hint := ""
		if near := option.Suggest(name, p.kindNames()); near != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
		}
		return usage(fmt.Errorf("there is no kind %q%s: `flushline flushers ls` lists them", name, hint))
	}
	fields := option.Fields(k.New())
	switch {
	case asJSON:
		v := view(k)
		v.Options = viewFields(fields)
		return printJSON(p.stdout, v)
	case asYAML:
		fmt.Fprintf(p.stdout, "# %s\n- type: %s\n", k.Summary, k.Name)
		yamlFields(p.stdout, fields, "  ")
		return nil
	}
	fmt.Fprintf(p.stdout, "%s: %s\n\n", k.Name, k.Summary)
	fmt.Fprintf(p.stdout, "nil means %s; data that comes twice is stored %s; tested against %s\n",
		k.Durability, repeats(k.Idempotence), orDash(k.TestedAgainst))
	describeFields(p.stdout, fields, "")
	fmt.Fprintln(p.stdout, "\nEvery entry also takes:")
	describeFields(p.stdout, configs.EntryFields(), "")
	return nil
}

// describeFields writes one paragraph an option; those of a block are indented
// below it.
func describeFields(w io.Writer, fields []option.Field, indent string) {
	for i := range fields {
		f := &fields[i]
		if f.Hidden {
			continue
		}
		fmt.Fprintf(w, "\n%s%s  %s\n%s    %s\n", indent, f.Name, facts(f), indent, f.Help)
		if f.Example != "" {
			fmt.Fprintf(w, "%s    example: %s\n", indent, f.Example)
		}
		describeFields(w, below(f), indent+"    ")
	}
}

func below(f *option.Field) []option.Field {
	if f.Elem != nil && len(f.Fields) == 0 {
		return f.Elem.Fields
	}
	return f.Fields
}

func facts(f *option.Field) string {
	out := []string{f.Type}
	if f.Elem != nil {
		out[0] += " of " + f.Elem.Type
	}
	if len(f.Enum) > 0 {
		out = append(out, strings.Join(f.Enum, " | "))
	}
	for _, fact := range []struct{ name, value string }{{"default ", f.Default}, {"at least ", f.Min}, {"at most ", f.Max}} {
		if fact.value != "" {
			out = append(out, fact.name+fact.value)
		}
	}
	if f.Required {
		out = append(out, "required")
	}
	if len(f.Aliases) > 0 {
		out = append(out, "also "+strings.Join(f.Aliases, ", "))
	}
	return "(" + strings.Join(out, "; ") + ")"
}

// yamlFields writes required options with their example, all others commented
// out with their default, so that a pasted block says what it changes.
func yamlFields(w io.Writer, fields []option.Field, indent string) {
	for i := range fields {
		f := &fields[i]
		if f.Hidden {
			continue
		}
		fmt.Fprintf(w, "%s# %s\n", indent, f.Help)
		value := f.Default
		if value == "" {
			value = f.Example
		}
		mark := "# "
		if f.Required {
			mark = ""
		}
		fmt.Fprintln(w, strings.TrimRight(indent+mark+f.Name+": "+value, " "))
		if inner := below(f); len(inner) > 0 {
			yamlFields(w, inner, indent+mark+"  ")
		}
	}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
