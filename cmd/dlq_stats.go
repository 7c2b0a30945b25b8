package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

func newDLQStats(p *program) *cobra.Command {
	var o dlqOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "stats",
		Short: "Count dead letters by reason, flusher and error",
		Long: `Counts the dead letters that are open, and their bytes: by reason, by flusher and by
error. Errors are made alike: numbers and ids in them are #, so that a million letters
of one cause are one line, with a letter to look at. It says when the oldest and the
newest were stored, and what is damaged.
` + filterHelp + `
Exit codes: 0 counted; 64 usage or configuration; 69 the letters cannot be read; 75
interrupted.`,
		Example: `  flushline dlq stats -c flushline.yaml
  flushline dlq stats -c flushline.yaml --since 24h --flusher shop/es --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(nil); err != nil {
				return err
			}
			left := untilClosed()
			return p.onLetters(c.Context(), o.config, func(ctx context.Context, cfg *configs.Config, box queue.LetterBox) error {
				s := newLetterStats(newLetterView(cfg))
				if err := o.each(ctx, box, s.add); err != nil {
					return err
				}
				if asJSON {
					return left(printJSON(p.stdout, s.report()))
				}
				return left(s.print(p.stdout, &o.letterFilter, box))
			})
		},
	}
	o.flags(p, c)
	o.damagedFlag(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// letterStats counts letters. Its memory is bounded by the kinds that it tells apart.
type letterStats struct {
	view           *letterView
	sum            letterSum
	oldest, newest time.Time
	reasons        map[string]*letterSum
	entries        map[string]*entryCount
	errors, why    foldedErrors
}

type entryCount struct {
	letterSum
	gone bool
}

func newLetterStats(v *letterView) *letterStats {
	return &letterStats{view: v, reasons: map[string]*letterSum{}, entries: map[string]*entryCount{}}
}

func (s *letterStats) add(l *queue.Letter, f *queue.Facts) error {
	s.sum.add(l)
	if !l.Time.IsZero() {
		if s.oldest.IsZero() || l.Time.Before(s.oldest) {
			s.oldest = l.Time
		}
		if l.Time.After(s.newest) {
			s.newest = l.Time
		}
	}
	if s.reasons[f.Reason] == nil {
		s.reasons[f.Reason] = &letterSum{}
	}
	s.reasons[f.Reason].add(l)
	entry := ""
	if f.Lane.Flusher != "" {
		entry = f.Lane.Entry()
	}
	if s.entries[entry] == nil {
		s.entries[entry] = &entryCount{gone: s.view.gone(f)}
	}
	s.entries[entry].add(l)
	if l.Damage != nil {
		s.why.add(l.Damage.Error(), l)
	} else {
		s.errors.add(f.Error, l)
	}
	return nil
}

// statsReport is `dlq stats --json`.
type statsReport struct {
	Letters  int64       `json:"letters"`
	Bytes    int64       `json:"bytes"`
	Oldest   time.Time   `json:"oldest,omitzero"`
	Newest   time.Time   `json:"newest,omitzero"`
	Reasons  []statsKind `json:"reasons"`
	Flushers []statsKind `json:"flushers"`
	Errors   []statsKind `json:"errors"`
	Damaged  []statsKind `json:"damaged"`
}

// statsKind is the letters that have something in common.
type statsKind struct {
	Name    string `json:"name"` // the reason, <route>/<flusher>, or the error; empty: none
	Letters int64  `json:"letters"`
	Bytes   int64  `json:"bytes"`
	Gone    bool   `json:"gone,omitempty"`    // the configuration has no such flusher
	Example string `json:"example,omitempty"` // name of a letter
}

func (s *letterStats) report() *statsReport {
	r := &statsReport{
		Letters: s.sum.letters, Bytes: s.sum.bytes, Oldest: s.oldest.UTC(), Newest: s.newest.UTC(),
		Reasons: []statsKind{}, Flushers: []statsKind{}, Errors: kindsOf(&s.errors), Damaged: kindsOf(&s.why),
	}
	for name, n := range s.reasons {
		r.Reasons = append(r.Reasons, statsKind{Name: name, Letters: n.letters, Bytes: n.bytes})
	}
	for name, n := range s.entries {
		r.Flushers = append(r.Flushers, statsKind{Name: name, Letters: n.letters, Bytes: n.bytes, Gone: n.gone})
	}
	for _, kinds := range [][]statsKind{r.Reasons, r.Flushers} {
		slices.SortFunc(kinds, func(a, b statsKind) int {
			return cmp.Or(cmp.Compare(b.Letters, a.Letters), strings.Compare(a.Name, b.Name))
		})
	}
	return r
}

func kindsOf(e *foldedErrors) []statsKind {
	kinds := []statsKind{}
	for _, one := range e.most(0) {
		kinds = append(kinds, statsKind{Name: one.text, Letters: one.letters, Bytes: one.bytes, Example: one.example})
	}
	return kinds
}

// statsErrors is how many errors are shown to people.
const statsErrors = 20

func (s *letterStats) print(w io.Writer, f *letterFilter, box queue.LetterBox) error {
	if s.sum.letters == 0 {
		_, err := fmt.Fprintln(w, s.view.none(f, box))
		return err
	}
	r := s.report()
	_, err := fmt.Fprintf(w, "%s in %s, stored from %s to %s\n", s.sum.String(), printable(box.Describe()), stamp(r.Oldest), stamp(r.Newest))
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.head("REASON", "LETTERS", "BYTES")
	for i := range r.Reasons {
		t.row(orDash(printable(r.Reasons[i].Name)), number(r.Reasons[i].Letters), size(r.Reasons[i].Bytes))
	}
	t.head("FLUSHER", "LETTERS", "BYTES")
	for i := range r.Flushers {
		f := &r.Flushers[i]
		name := orDash(printable(f.Name))
		if f.Gone {
			name += " (gone)"
		}
		t.row(name, number(f.Letters), size(f.Bytes))
	}
	statsTable(t, "ERROR", r.Errors)
	statsTable(t, "DAMAGED", r.Damaged)
	return errors.Join(err, t.w.Flush())
}

func statsTable(t *table, title string, kinds []statsKind) {
	if len(kinds) == 0 {
		return
	}
	t.head("LETTERS", "BYTES", "SUCH AS", title)
	for i := range kinds[:min(len(kinds), statsErrors)] {
		k := &kinds[i]
		t.row(number(k.Letters), size(k.Bytes), printable(k.Example), orDash(printable(k.Name)))
	}
	if more := len(kinds) - statsErrors; more > 0 {
		t.line(fmt.Sprintf("and %s more: --json has all", number(int64(more))))
	}
}
