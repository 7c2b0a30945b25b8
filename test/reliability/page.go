package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

//go:embed page.md.tmpl
var source string

var layout = template.Must(template.New("page").Funcs(template.FuncMap{
	"bound": bound, "count": func(n int) string { return number(float64(n), "") }, "faults": faults, "length": length, "links": links, "number": number, "state": state,
}).Parse(source))

// sheet is what the page is made of.
type sheet struct {
	Promises []promise
	Runs     []*proof.Run
	Missing  []string // named by a promise, and not kept
	Faults   map[string]int
	Total    int
}

// page is the document of these runs.
func page(runs []*proof.Run) ([]byte, error) {
	s := sheet{Promises: promises, Runs: runs, Faults: map[string]int{}}
	have := map[string]bool{}
	for _, r := range runs {
		have[r.Name] = true
		for kind, n := range r.Faults {
			s.Faults[kind] += n
			s.Total += n
		}
	}
	missing := map[string]bool{}
	for _, p := range promises {
		for _, name := range p.Runs {
			if !have[name] {
				missing[name] = true
			}
		}
	}
	s.Missing = slices.Sorted(maps.Keys(missing))
	var b bytes.Buffer
	if err := layout.Execute(&b, s); err != nil {
		return nil, fmt.Errorf("couldn't lay the page out: %w", err)
	}
	return b.Bytes(), nil
}

// links are the runs and tests of a promise.
func links(p promise) string {
	var all []string
	for _, name := range p.Runs {
		all = append(all, fmt.Sprintf("[%s](#%s)", name, name))
	}
	for _, name := range p.Tests {
		all = append(all, "`"+name+"`")
	}
	return strings.Join(all, ", ")
}

func bound(f proof.Figure) string {
	switch {
	case f.AtMost != nil && f.AtLeast != nil:
		return number(*f.AtLeast, f.Unit) + " to " + number(*f.AtMost, f.Unit)
	case f.AtMost != nil:
		return "at most " + number(*f.AtMost, f.Unit)
	case f.AtLeast != nil:
		return "at least " + number(*f.AtLeast, f.Unit)
	}
	return ""
}

// state says whether a bound was kept.
func state(f proof.Figure) string {
	switch {
	case f.AtMost == nil && f.AtLeast == nil:
		return ""
	case f.Kept():
		return "kept"
	}
	return "**not kept**"
}

// number writes a value with thousands apart and what its fraction says.
func number(v float64, unit string) string {
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), ".")
	sign, digits := "", whole
	if strings.HasPrefix(whole, "-") {
		sign, digits = "-", whole[1:]
	}
	var out []byte
	for i := range len(digits) {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out = append(out, ',')
		}
		out = append(out, digits[i])
	}
	if fraction != "" {
		fraction = "." + fraction[:min(len(fraction), 3)]
	}
	return strings.TrimSpace(sign + string(out) + fraction + " " + unit)
}

// faults lists kinds and how often each happened, in the order of their names.
func faults(kinds map[string]int) string {
	var all []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		all = append(all, fmt.Sprintf("%s %s", kind, number(float64(kinds[kind]), "")))
	}
	return strings.Join(all, ", ")
}

func length(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
}
