package cmd

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// pageMark is the first line of every page that is made here: only such pages are
// replaced or removed.
const pageMark = "<!-- Made from the kind's own fields and texts by `make docs`: change those. -->\n"

// kindPage is the page of a kind, in Markdown.
func kindPage(k *flushers.Kind) string {
	f := k.New()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n# %s\n\n%s\n\n", pageMark, k.Name, k.Summary)
	pageTable(&b, []string{"", ""}, [][]string{
		{"nil from Flush means", k.Durability.String() + behindColon(k.Docs.Stored)},
		{"data that comes twice is stored", repeats(k)},
		{"a Flush that failed left", leaves(k)},
		{"tested against", orDash(k.TestedAgainst)},
		{"systems", systems(k)},
	})
	b.WriteString("\n## Options\n\nBeside those of [every entry](README.md#options-of-every-entry).\n\n")
	pageOptions(&b, option.Fields(f))
	fmt.Fprintf(&b, "\n## The shortest entry\n\n```yaml\n%s```\n", entryYAML(k, false))
	fmt.Fprintf(&b, "\n## A whole configuration\n\n```yaml\n%s```\n", exampleOf(k))
	for _, n := range k.Docs.Notes {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", n.Title, n.Text)
	}
	if len(k.Docs.Trouble) > 0 {
		b.WriteString("\n## In trouble\n\n")
		var rows [][]string
		for _, t := range k.Docs.Trouble {
			rows = append(rows, []string{t.When, t.Then})
		}
		pageTable(&b, []string{"when", "then"}, rows)
	}
	pageForeign(&b, k, f)
	return b.String()
}

func pageOptions(b *strings.Builder, fields []option.Field) {
	rows := optionRows(nil, "", fields)
	if len(rows) == 0 {
		b.WriteString("None.\n")
		return
	}
	pageTable(b, []string{"option", "type", "default", "limits", "meaning", "also accepted as"}, rows)
}

// optionRows are the rows of all options, those of blocks with their path.
func optionRows(rows [][]string, path string, fields []option.Field) [][]string {
	for i := range fields {
		f := &fields[i]
		if f.Hidden {
			continue
		}
		inner := below(f)
		value := code(f.Default)
		if f.Required {
			value = "required"
		}
		rows = append(rows, []string{code(path + f.Name), typeOf(f), value, limits(f), f.Help, codes(f.Aliases)})
		dot := "."
		if f.Elem != nil {
			dot = "[]."
		}
		rows = optionRows(rows, path+f.Name+dot, inner)
	}
	return rows
}

func limits(f *option.Field) string {
	var out []string
	if len(f.Enum) > 0 {
		out = append(out, codes(f.Enum))
	}
	if f.Min != "" {
		out = append(out, "at least "+f.Min)
	}
	if f.Max != "" {
		out = append(out, "at most "+f.Max)
	}
	return strings.Join(out, "; ")
}

func pageForeign(b *strings.Builder, k *flushers.Kind, f flushers.Flusher) {
	keys := option.ForeignKeys(f)
	if len(keys) == 0 && len(k.Docs.ILogtail) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## From iLogtail\n\nA [block of `flusher_%s`](README.md#blocks-of-ilogtail) loads as it stands, but:\n\n", k.Name)
	for _, text := range k.Docs.ILogtail {
		fmt.Fprintf(b, "- %s\n", text)
	}
	b.WriteString("\nParameters with the name of an option are that option. Of the others:\n\n")
	pageTable(b, []string{"parameter", "here"}, append(acceptedRows(nil, "", option.Fields(f)), foreignRows(keys)...))
}

// acceptedRows are the parameters of iLogtail that are options under another name.
func acceptedRows(rows [][]string, path string, fields []option.Field) [][]string {
	for i := range fields {
		for _, alias := range fields[i].Aliases {
			rows = append(rows, []string{code(path + alias), "accepted, as " + code(path+fields[i].Name)})
		}
		rows = acceptedRows(rows, path+fields[i].Name+".", below(&fields[i]))
	}
	return rows
}

func foreignRows(keys []option.ForeignKey) (rows [][]string) {
	for i := range keys {
		rows = append(rows, []string{code(keys[i].Name), becomes(&keys[i])})
	}
	return rows
}

// kindIndex is the page that lists the kinds.
func kindIndex(kinds []flushers.Kind) string {
	var b strings.Builder
	b.WriteString(pageMark + "\n# Flushers\n\nThe kinds of destinations: what stands as `type` in a flusher entry.\n" +
		"`flushline flushers ls` and `flushline flushers describe KIND` print the same.\n\n")
	var rows [][]string
	for i := range kinds {
		k := &kinds[i]
		rows = append(rows, []string{
			fmt.Sprintf("[%s](%s.md)", k.Name, k.Name), k.Summary, k.Durability.String(),
			repeats(k), orDash(k.TestedAgainst), systems(k),
		})
	}
	pageTable(&b, []string{"kind", "what it does", "nil means", "data that comes twice is stored", "tested against", "systems"}, rows)
	b.WriteString("\n## Options of every entry\n\n")
	pageOptions(&b, configs.EntryFields())
	b.WriteString(aboutILogtail)
	pageTable(&b, []string{"parameter", "here"}, append(acceptedRows(nil, "", configs.EntryFields()), foreignRows(configs.EntryForeignKeys())...))
	return b.String()
}

const aboutILogtail = `
## Blocks of iLogtail

A block of a flusher that both have can be pasted below ` + "`flushers`" + `, as it stands in a YAML file
(` + "`Type: flusher_http`" + ` and parameters beside it) or as the Go side reads it
(` + "`{\"type\": \"flusher_http\", \"detail\": {...}}`" + `). The page of each kind says what becomes of every parameter.

- Keys are compared without regard to case and underscores: ` + "`MaxIdleConns`, `max_idle_conns`" + ` and
  ` + "`maxIdleConns`" + ` are one.
- A duration is a text such as ` + "`60s`" + `. A bare number, which iLogtail takes for nanoseconds whatever was meant,
  is an error that converts it.
- ` + "`%{content.x}` and `%{tag.x}`" + ` in a template are ` + "`{content.x}` and `{tag.x}`" + `; a log that lacks one becomes a
  dead letter instead of a file or index named after the placeholder. ` + "`%{+yyyy.MM.dd}`" + ` is the date of the log, in
  UTC, where iLogtail takes the local time of flushing.
- ` + "`${NAME}`" + ` is written ` + "`${env:NAME}`" + `.
- A whole pipeline file does not load: what collects stays in the collector, whose output flushline takes from a
  queue.

These are understood in every entry:

`

// pageTable writes a table; cells are lines of text.
func pageTable(b *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(strings.TrimRight(" "+strings.ReplaceAll(c, "|", `\|`), " ") + " |")
		}
		b.WriteString("\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, r := range rows {
		line(r)
	}
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func codes(all []string) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = code(s)
	}
	return strings.Join(out, ", ")
}
