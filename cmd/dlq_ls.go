package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

func newDLQLs(p *program) *cobra.Command {
	var o dlqOptions
	var asJSON bool
	c := &cobra.Command{
		Use:   "ls [NAME...]",
		Short: "List dead letters: a line a letter",
		Long: `Lists the dead letters that are open: the name that other commands take, when it was
stored (UTC), why, for which flusher and key, how often it was tried and replayed, and
the error. "(gone)" is a flusher that the configuration does not have. On Kafka and of
files the letters of a partition or file come oldest first, one after the other.

It reads letter by letter, however many there are.
` + filterHelp + `
Exit codes: 0 listed, damaged letters included; 64 usage or configuration; 65 a named
letter is not there; 69 the letters cannot be read; 75 interrupted.`,
		Example: `  flushline dlq ls -c flushline.yaml
  flushline dlq ls -c flushline.yaml --reason permanent --error mapper_parsing --flusher shop/es --since 2h
  flushline dlq ls -c flushline.yaml --json | jq -r 'select(.hops > 1) | .name'`,
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			left := untilClosed()
			return p.onLetters(c.Context(), o.config, func(ctx context.Context, cfg *configs.Config, box queue.LetterBox) error {
				v := newLetterView(cfg)
				if asJSON {
					return left(p.listLettersJSON(ctx, &o.letterFilter, v, box))
				}
				return left(p.listLetters(ctx, &o.letterFilter, v, box))
			})
		},
	}
	o.flags(p, c)
	o.damagedFlag(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return c
}

func (p *program) listLettersJSON(ctx context.Context, f *letterFilter, v *letterView, box queue.LetterBox) error {
	out := bufio.NewWriter(p.stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	err := f.each(ctx, box, func(l *queue.Letter, facts *queue.Facts) error { return lines.Encode(v.row(l, facts)) })
	return errors.Join(err, out.Flush(), f.unseen())
}

func (p *program) listLetters(ctx context.Context, f *letterFilter, v *letterView, box queue.LetterBox) error {
	list := newLetterList(p, v)
	err := f.each(ctx, box, list.add)
	return errors.Join(err, list.end(f, box), f.unseen())
}

// letterList is the table of `dlq ls`, and what it counts.
type letterList struct {
	table *columns
	view  *letterView
	sum   letterSum
	why   foldedErrors // of damaged ones
}

func newLetterList(p *program, v *letterView) *letterList {
	return &letterList{table: newColumns(p.stdout), view: v}
}

func (s *letterList) add(l *queue.Letter, f *queue.Facts) error {
	if s.sum.letters == 0 {
		if err := s.table.row("LETTER", "STORED", "REASON", "FLUSHER", "KEY", "TRIES", "HOPS", "ERROR"); err != nil {
			return err
		}
	}
	s.sum.add(l)
	if l.Damage != nil {
		s.why.add(l.Damage.Error(), l)
	}
	return s.table.row(printable(l.Name()), stamp(l.Time), orDash(printable(f.Reason)), s.view.entry(f), keyOf(f.Lane), number(int64(f.Attempts)), number(int64(f.Hops)), happened(l, f))
}

// end prints how many there were, and what is damaged.
func (s *letterList) end(f *letterFilter, box queue.LetterBox) error {
	if s.sum.letters == 0 {
		return s.table.end(s.view.none(f, box))
	}
	lines := []string{s.sum.String() + " in " + printable(box.Describe())}
	for _, d := range s.why.most(10) {
		lines = append(lines, fmt.Sprintf("damaged: %s, such as %s: %s", countedLetters(d.letters), printable(d.example), printable(d.text)))
	}
	return s.table.end(lines...)
}

// letterSum counts letters.
type letterSum struct{ letters, bytes, damaged int64 }

func (s *letterSum) add(l *queue.Letter) {
	s.letters++
	s.bytes += int64(len(l.Value))
	if l.Damage != nil {
		s.damaged++
	}
}

func (s *letterSum) String() string {
	text := fmt.Sprintf("%s, %s", countedLetters(s.letters), size(s.bytes))
	if s.damaged > 0 {
		text += fmt.Sprintf(", %s of them damaged", number(s.damaged))
	}
	return text
}

func countedLetters(n int64) string {
	if n == 1 {
		return "1 letter"
	}
	return number(n) + " letters"
}
