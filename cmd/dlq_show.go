package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

type dlqShowOptions struct {
	dlqOptions
	contents, raw bool
}

func newDLQShow(p *program) *cobra.Command {
	var o dlqShowOptions
	c := &cobra.Command{
		Use:   "show NAME...",
		Short: "Show everything about a dead letter",
		Long: `Shows what happened to a letter, its headers, and the LogGroups of its payload. The
values of contents and tags are left out and only their lengths shown, because letters
may hold what not everybody may read: --contents shows them. Of a payload that is no
LogGroup the first bytes are shown in hexadecimal, with --contents all of them.

--raw writes the payload of one letter to the standard output, byte by byte as it is
stored: the bytes of the original message, or of the groups that are concerned.

Exit codes: 0 shown; 64 usage or configuration; 65 the letter is not there, or with
--raw is damaged; 69 the letters cannot be read; 75 interrupted.`,
		Example: `  flushline dlq show -c flushline.yaml LOGS_flushline_DLQ/17
  flushline dlq show -c flushline.yaml LOGS_flushline_DLQ/17 --contents
  flushline dlq show -c flushline.yaml logs.flushline.dlq-0/4 --raw > payload.bin`,
		Args: func(_ *cobra.Command, names []string) error {
			if len(names) == 0 {
				return errors.New("which letter? give its NAME as `flushline dlq ls` prints it")
			}
			return nil
		},
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			if o.raw && len(names) > 1 {
				return usage(errors.New("--raw writes the payload of one letter: name one"))
			}
			left := untilClosed()
			return p.onLetters(c.Context(), o.config, func(ctx context.Context, cfg *configs.Config, box queue.LetterBox) error {
				return left(p.showLetters(ctx, &o, cfg, box))
			})
		},
	}
	configFlag(p, c, &o.config)
	c.Flags().BoolVar(&o.contents, "contents", false, "show the values of contents and tags, and all bytes of what is no LogGroup")
	c.Flags().BoolVar(&o.raw, "raw", false, "write the payload to the standard output, and nothing else")
	c.MarkFlagsMutuallyExclusive("contents", "raw")
	return c
}

func (p *program) showLetters(ctx context.Context, o *dlqShowOptions, cfg *configs.Config, box queue.LetterBox) error {
	out := bufio.NewWriter(p.stdout)
	view, decoder := newLetterView(cfg), newLetterDecoder(cfg)
	err := o.each(ctx, box, func(l *queue.Letter, f *queue.Facts) error {
		if o.raw {
			return writeRaw(out, l)
		}
		t := &letterText{out: out, contents: o.contents}
		t.facts(cfg, view, l, f)
		t.headers(l)
		t.payload(decoder, l, f)
		return out.Flush()
	})
	return errors.Join(err, out.Flush(), o.unseen())
}

func writeRaw(out *bufio.Writer, l *queue.Letter) error {
	if l.Damage != nil {
		return &coded{exitIncomplete, fmt.Errorf("couldn't write the payload of %s: the letter is damaged: %w", l.Name(), l.Damage)}
	}
	_, err := out.Write(l.Value)
	return err
}

// letterText writes a letter for people. The writer keeps the first error.
type letterText struct {
	out      *bufio.Writer
	contents bool // values are shown
}

func (t *letterText) line(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

func (t *letterText) facts(cfg *configs.Config, v *letterView, l *queue.Letter, f *queue.Facts) {
	row := func(name, format string, args ...any) {
		if text := printable(fmt.Sprintf(format, args...)); strings.TrimSpace(text) != "" {
			t.line("%-14s%s", name, text)
		}
	}
	row("letter", "%s", l.Name())
	if l.Damage != nil {
		row("damaged", "%v", l.Damage)
	}
	row("stored", "%s", stamp(l.Time))
	row("reason", "%s", f.Reason)
	row("error", "%s", f.Error)
	row("attempts", "%d", f.Attempts)
	switch {
	case v.gone(f):
		row("flusher", "%s, which %s does not have: `flushline dlq replay --to-route ROUTE/FLUSHER` sends it to another", f.Lane.Entry(), cfg.File)
	default:
		row("flusher", "%s", v.entry(f))
	}
	row("key", "%s", keyOf(f.Lane))
	row("deployment", "%s", f.Deployment)
	if f.HasOrigin {
		row("origin", "%s", f.Origin)
	}
	row("groups", "%s", f.Groups)
	if !f.FirstSeen.IsZero() {
		row("first seen", "%s", stamp(f.FirstSeen))
	}
	row("from", "%s", f.Source)
	row("subject", "%s", f.Subject)
	row("given up by", "%s", f.Worker)
	row("replayed", "%s", counted(f.Hops, "time"))
	if n := len(l.Places); n > 1 {
		row("stored in", "%s, the last is %s", counted(n, "piece"), l.Places[n-1])
	}
}

// headers are those that facts does not tell: the original's.
func (t *letterText) headers(l *queue.Letter) {
	t.line("\nheaders")
	for _, h := range l.Headers {
		lower := strings.ToLower(h.Key)
		if strings.HasPrefix(lower, queue.HeaderPrefix) && !strings.HasPrefix(lower, queue.HeaderWas) && lower != queue.HeaderDamage {
			continue
		}
		t.line("  %s: %s", printable(h.Key), printable(h.Value))
	}
	if len(l.Key) > 0 {
		t.line("  (message key): %s", t.value(string(l.Key)))
	}
}

// value is a text of the payload, or how long it is.
func (t *letterText) value(s string) string {
	if t.contents {
		return printable(s)
	}
	return redacted(len(s))
}
