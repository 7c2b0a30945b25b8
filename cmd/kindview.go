package cmd

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// kindView is a kind as JSON shows it.
type kindView struct {
	Name          string          `json:"name"`
	Summary       string          `json:"summary"`
	Delivery      string          `json:"delivery"`
	Stored        string          `json:"stored,omitempty"`
	Idempotence   string          `json:"idempotence"`
	Within        string          `json:"within,omitempty"`
	Atomic        bool            `json:"atomic"`
	TestedAgainst string          `json:"tested_against,omitempty"`
	OS            []string        `json:"os,omitempty"`
	Available     bool            `json:"available"`
	Options       []fieldView     `json:"options,omitempty"`
	Trouble       []troubleView   `json:"trouble,omitempty"`
	ILogtail      []foreignView   `json:"ilogtail,omitempty"`
	Example       json.RawMessage `json:"example,omitempty"` // a whole configuration
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

type troubleView struct {
	When string `json:"when"`
	Then string `json:"then"`
}

// foreignView is a key of iLogtail that is no option here.
type foreignView struct {
	Key     string   `json:"key"`
	Same    []string `json:"same,omitempty"` // the values that ask for what happens anyway
	Refused bool     `json:"refused"`        // any other value is an error, else a warning
	Why     string   `json:"why"`
}

// outline is what `flushers ls` shows.
func outline(k *flushers.Kind) kindView {
	return kindView{
		Name: k.Name, Summary: k.Summary, Delivery: k.Durability.String(), Idempotence: k.Idempotence.String(), Within: k.Within,
		Atomic: k.Atomic, TestedAgainst: k.TestedAgainst, OS: k.OS, Available: k.Available(),
	}
}

// view is all that `flushers describe` knows.
func view(k *flushers.Kind) kindView {
	v, f := outline(k), k.New()
	v.Stored, v.Options = k.Docs.Stored, viewFields(option.Fields(f))
	for _, t := range k.Docs.Trouble {
		v.Trouble = append(v.Trouble, troubleView(t))
	}
	for _, key := range option.ForeignKeys(f) {
		v.ILogtail = append(v.ILogtail, foreignView{Key: key.Name, Same: key.Same, Refused: key.Refuse, Why: key.Why})
	}
	if k.Docs.ExampleJSON != "" {
		v.Example = json.RawMessage(k.Docs.ExampleJSON)
	}
	return v
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

// below are the options of a block, or of the blocks in a list or map.
func below(f *option.Field) []option.Field {
	if f.Elem != nil && len(f.Fields) == 0 {
		return f.Elem.Fields
	}
	return f.Fields
}

// repeats says what the destination holds when data comes twice.
func repeats(k *flushers.Kind) string {
	switch k.Idempotence {
	case flushers.SameCall:
		return bounded("once, if the call is identical", k)
	case flushers.PerGroup:
		return bounded("each group once", k)
	case flushers.PerLog:
		return bounded("each log once", k)
	}
	return "twice"
}

// bounded is a promise with what bounds it.
func bounded(promise string, k *flushers.Kind) string {
	if k.Within == "" {
		return promise
	}
	return promise + ", within " + k.Within
}

// leaves says what a Flush that failed leaves behind.
func leaves(k *flushers.Kind) string {
	if k.Atomic {
		return "nothing"
	}
	return "perhaps a part of the batch, which comes again"
}

func systems(k *flushers.Kind) string {
	if len(k.OS) == 0 {
		return "all"
	}
	return strings.Join(k.OS, ", ")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
