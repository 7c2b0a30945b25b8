package cmd

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

func newFlushersDescribe(p *program) *cobra.Command {
	var asYAML, asJSON bool
	c := &cobra.Command{
		Use:   "describe KIND",
		Short: "Describe a kind: what nil means, its options, trouble, iLogtail's keys",
		Long: `Describes a kind: what it takes for stored, every option with type, default and
meaning, what happens in trouble, and what becomes of the keys of iLogtail's flusher
of that name. --yaml prints a whole configuration that uses it.

Exit codes: 0 done; 64 no such kind on this system.`,
		Example: `  flushline flushers describe http
  flushline flushers describe http --yaml > flushline.yaml`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return p.kindNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return p.flushersDescribe(args[0], asYAML, asJSON) },
	}
	c.Flags().BoolVar(&asYAML, "yaml", false, "print a whole configuration that uses the kind")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.MarkFlagsMutuallyExclusive("yaml", "json")
	return c
}

func (p *program) flushersDescribe(name string, asYAML, asJSON bool) error {
	k := p.kinds.Find(configs.KindName(name))
	switch {
	case k == nil:
		hint := ""
		if near := option.Suggest(name, p.kindNames()); near != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
		}
		return usage(fmt.Errorf("there is no kind %q%s: `flushline flushers ls` lists them", name, hint))
	case k.New == nil:
		return usage(fmt.Errorf("%s runs on %s only; this is %s: its options are described there", name, systems(k), runtime.GOOS))
	case asJSON:
		return printJSON(p.stdout, view(k))
	case asYAML:
		fmt.Fprint(p.stdout, exampleOf(k))
		return nil
	}
	describe(p.stdout, k)
	return nil
}

func describe(w io.Writer, k *flushers.Kind) {
	f := k.New()
	fmt.Fprintf(w, "%s: %s\n\n", k.Name, k.Summary)
	fmt.Fprintf(w, "nil means %s%s\n", k.Durability, behindColon(k.Docs.Stored))
	fmt.Fprintf(w, "data that comes twice is stored %s; a Flush that failed left %s\n", repeats(k), leaves(k))
	fmt.Fprintf(w, "tested against %s; systems: %s\n", orDash(k.TestedAgainst), systems(k))
	describeFields(w, option.Fields(f), "")
	fmt.Fprintln(w, "\nEvery entry also takes:")
	describeFields(w, configs.EntryFields(), "")
	if len(k.Docs.Trouble) > 0 {
		fmt.Fprintln(w, "\nIn trouble:")
	}
	for _, t := range k.Docs.Trouble {
		fmt.Fprintf(w, "    %s: %s\n", t.When, t.Then)
	}
	describeForeign(w, k, option.ForeignKeys(f))
}

func behindColon(sentence string) string {
	if sentence == "" {
		return ""
	}
	return ": " + lower(sentence)
}

// lower makes a sentence the rest of one.
func lower(sentence string) string { return strings.ToLower(sentence[:1]) + sentence[1:] }

func describeForeign(w io.Writer, k *flushers.Kind, keys []option.ForeignKey) {
	if len(keys) == 0 && len(k.Docs.ILogtail) == 0 {
		return
	}
	fmt.Fprintf(w, "\nA block of iLogtail's flusher_%s loads as it stands, except:\n", k.Name)
	for _, text := range k.Docs.ILogtail {
		fmt.Fprintf(w, "    %s\n", text)
	}
	for i := range keys {
		fmt.Fprintf(w, "    %s: %s\n", keys[i].Name, becomes(&keys[i]))
	}
}

// becomes says what happens with a key of iLogtail.
func becomes(f *option.ForeignKey) string {
	what := "a warning"
	if f.Refuse {
		what = "an error"
	}
	var same []string
	for _, value := range f.Same {
		if value == "" {
			value = "empty"
		}
		same = append(same, value)
	}
	if len(same) > 0 {
		what = strings.Join(same, " or ") + " is accepted, else " + what
	}
	return what + ": " + f.Why
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

func facts(f *option.Field) string {
	out := []string{typeOf(f)}
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

func typeOf(f *option.Field) string {
	if f.Elem == nil {
		return f.Type
	}
	return f.Type + " of " + f.Elem.Type
}
