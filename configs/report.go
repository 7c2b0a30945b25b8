package configs

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/flushline/flushline/option"
)

// Report is everything that is wrong with one file, in its order.
type Report struct {
	File     string
	Problems []option.Problem
	Files    []string // beside File: those that ${file:} values were to come from

	view *view
}

// Failed says whether the file cannot be used.
func (r *Report) Failed() bool { return option.Failed(r.Problems) }

// Counts are the numbers of errors and warnings.
func (r *Report) Counts() (errs, warnings int) {
	for i := range r.Problems {
		if r.Problems[i].Warning {
			warnings++
		} else {
			errs++
		}
	}
	return errs, warnings
}

// Summary is "2 errors, 1 warning", or empty if nothing is wrong.
func (r *Report) Summary() string {
	errs, warnings := r.Counts()
	var parts []string
	for _, c := range []struct {
		n    int
		word string
	}{{errs, "error"}, {warnings, "warning"}} {
		switch {
		case c.n == 1:
			parts = append(parts, "1 "+c.word)
		case c.n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", c.n, c.word))
		}
	}
	return strings.Join(parts, ", ")
}

// Err is nil if the file can be used, else an error with the whole report.
func (r *Report) Err() error {
	if !r.Failed() {
		return nil
	}
	return errors.New(strings.TrimRight(r.String(), "\n"))
}

// maxShown is how many problems are shown: a file with more is not a configuration.
const maxShown = 100

// String is one paragraph for each problem, with the lines of the file it is
// about, and the summary. It is empty if nothing is wrong.
func (r *Report) String() string {
	if len(r.Problems) == 0 {
		return ""
	}
	var b strings.Builder
	for i := range r.Problems {
		if i == maxShown {
			fmt.Fprintf(&b, "... and %d more\n", len(r.Problems)-i)
			break
		}
		p := &r.Problems[i]
		b.WriteString(r.Line(p))
		b.WriteByte('\n')
		if r.view != nil && p.Pos.Line > 0 {
			b.WriteString(r.view.frame(p.Pos))
		}
	}
	b.WriteString(r.Summary())
	b.WriteByte('\n')
	return b.String()
}

// Line is a problem in one line: "flushline.yaml:14:5: error: unknown key ...".
func (r *Report) Line(p *option.Problem) string {
	severity := "error"
	if p.Warning {
		severity = "warning"
	}
	if p.Pos.Line == 0 {
		return fmt.Sprintf("%s: %s: %s", r.File, severity, p.Text())
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", r.File, p.Pos.Line, p.Pos.Col, severity, p.Text())
}

// finish sorts the problems and removes what must not be shown.
func (r *Report) finish() {
	option.Sort(r.Problems)
	for i := range r.Problems {
		p := &r.Problems[i]
		p.Message, p.Hint = clean(p.Message), clean(p.Hint)
	}
}

// clean takes passwords out of URLs and out of text that swallowed a key, and what
// a terminal would obey.
func clean(text string) string {
	text = userInfo.ReplaceAllString(text, "://***@")
	text = quotedSecret.ReplaceAllString(text, "${1}***")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
