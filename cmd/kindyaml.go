package cmd

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// exampleOf is a whole configuration that uses a kind: its own, or one with all its
// options, of which those that need not be given are commented out.
func exampleOf(k *flushers.Kind) string {
	if k.Docs.ExampleYAML != "" {
		return k.Docs.ExampleYAML
	}
	return fmt.Sprintf(`# %s
source:
  embedded:
    dir: ./flushline-data
    listen: 127.0.0.1:4222

routes:
  - name: all
    flushers:
%s
dead_letter: {}
`, k.Summary, indented("      ", entryYAML(k, true)))
}

// entryYAML is an entry of the kind to paste below `flushers`: with all options, or
// with those alone that are required.
func entryYAML(k *flushers.Kind, all bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "- type: %s\n", k.Name)
	yamlFields(&b, option.Fields(k.New()), "  ", all)
	return b.String()
}

func yamlFields(b *strings.Builder, fields []option.Field, indent string, all bool) {
	for i := range fields {
		f := &fields[i]
		if f.Hidden || !all && !f.Required {
			continue
		}
		mark := "# "
		if f.Required {
			mark = ""
		}
		if all {
			fmt.Fprintf(b, "%s# %s\n", indent, f.Help)
		}
		b.WriteString(strings.TrimRight(indent+mark+f.Name+": "+yamlValue(f), " ") + "\n")
		if inner := below(f); len(inner) > 0 {
			yamlFields(b, inner, indent+mark+"  ", all)
		}
	}
}

// yamlValue is the default or the example, in quotes where YAML needs them.
func yamlValue(f *option.Field) string {
	value := f.Default
	if value == "" {
		value = f.Example
	}
	if f.Type == option.TypeText && strings.ContainsAny(value, "{}[]#*&!|>%@`'\", ") {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
	}
	return value
}

func indented(by, text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = by + line
		}
	}
	return strings.Join(lines, "\n") + "\n"
}
