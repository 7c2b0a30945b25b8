package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

type dlqExportOptions struct {
	dlqOptions
	to        string
	jsonLines bool
}

func newDLQExport(p *program) *cobra.Command {
	var o dlqExportOptions
	c := &cobra.Command{
		Use:   "export [NAME...] --to FILE|DIR/",
		Short: "Copy dead letters into files",
		Long: `Writes the LogGroups of dead letters into a file of frames, which publish and
backfill read back: each with its key, its id and its bytes, so that an idempotent
destination takes it for what it is. Where it goes then is for the routes to say: to
have only the flusher get it that missed it, use "dlq replay".

What is no LogGroup, or has no key, cannot be a frame. With DIR/ its payload is a file
of its own beside letters.frames, named like the letter; with FILE it is listed and
left. Letters that cannot be read are listed and left.

--json-lines writes a JSON object a letter instead, for people and scripts: what happened
to it, headers, and the decoded LogGroups or the payload in base64.

Nothing is overwritten, and a file appears only when it is whole. The letters stay dead
letters: purge removes them.
` + filterHelp + `
Exit codes: 0 exported; 64 usage, configuration, or a target that cannot be written; 65
something was left, or a named letter is not there; 69 the letters cannot be read; 75
interrupted; 1 the target could not be written to its end. Unless it is 0 or 65
nothing was written.`,
		Example: `  flushline dlq export -c flushline.yaml --reason permanent --to monday.frames
  flushline dlq export -c flushline.yaml --to monday/
  flushline publish -c flushline.yaml monday.frames
  flushline dlq export -c flushline.yaml --json-lines --to monday.json`,
		RunE: func(c *cobra.Command, names []string) error {
			if err := o.check(names); err != nil {
				return err
			}
			if o.to == "" {
				return usage(errors.New("--to is empty: give it a FILE, or a DIR/"))
			}
			return p.onLetters(c.Context(), o.config, func(ctx context.Context, cfg *configs.Config, box queue.LetterBox) error {
				return p.exportLetters(ctx, &o, cfg, box)
			})
		},
	}
	o.flags(p, c)
	c.Flags().StringVar(&o.to, "to", "", "`FILE` or DIR/ that is not there yet")
	c.Flags().BoolVar(&o.jsonLines, "json-lines", false, "write JSON for people instead of what publish and backfill read")
	_ = c.MarkFlagRequired("to") // fails only for a flag that is not there
	return c
}

// letterExport is one run of `dlq export`.
type letterExport struct {
	*program
	target  *exportTarget
	view    *letterView
	decoder *letterDecoder
	lines   *json.Encoder // nil: frames

	frame  []byte
	sum    letterSum // of what was written
	groups int64
	files  int64 // payloads that are no frames
	left   int64
}

func (p *program) exportLetters(ctx context.Context, o *dlqExportOptions, cfg *configs.Config, box queue.LetterBox) error {
	first := "letters.frames"
	if o.jsonLines {
		first = "letters.json"
	}
	target, err := openExport(o.to, first)
	if err != nil {
		return usage(err)
	}
	e := &letterExport{program: p, target: target, view: newLetterView(cfg), decoder: newLetterDecoder(cfg)}
	write := e.frames
	if o.jsonLines {
		write, e.lines = e.json, json.NewEncoder(target.out)
		e.lines.SetEscapeHTML(false)
	}
	o.skip = func(l *queue.Letter) error {
		e.leave(l, l.Damage)
		return nil
	}
	if err := o.each(ctx, box, write); err != nil {
		target.abandon()
		return err
	}
	return errors.Join(e.end(), o.unseen())
}

// leave says why a letter is not in the export.
func (e *letterExport) leave(l *queue.Letter, why error) {
	e.left++
	fmt.Fprintf(e.stdout, "left %s: %s\n", printable(l.Name()), printable(why.Error()))
}

// frames writes the LogGroups of a letter, or its payload if it has none.
func (e *letterExport) frames(l *queue.Letter, f *queue.Facts) error {
	groups, err := e.framed(l, f)
	switch {
	case err != nil && !e.target.dir:
		e.leave(l, fmt.Errorf("%w; --to DIR/ exports its payload", err))
		return nil
	case err != nil:
		if err := e.target.add(fileName(l.Name())+".payload", l.Value); err != nil {
			return atTarget(fmt.Errorf("couldn't write the payload of %s: %w", l.Name(), err))
		}
		e.files++
		e.sum.add(l)
		return nil
	}
	key := protocol.Key{Project: f.Lane.Project, Logstore: f.Lane.Logstore, Config: f.Lane.Config}
	for i := range groups {
		e.frame = protocol.AppendFrame(e.frame[:0], protocol.ID{Origin: f.Origin, Group: groups[i].index}, key, groups[i].Data)
		if _, err := e.target.out.Write(e.frame); err != nil {
			return atTarget(fmt.Errorf("couldn't write to --to %s: %w", e.target.path, err))
		}
	}
	e.groups += int64(len(groups))
	e.sum.add(l)
	return nil
}

// framed are the groups of a letter that can be frames, or why it cannot.
func (e *letterExport) framed(l *queue.Letter, f *queue.Facts) ([]letterGroup, error) {
	switch {
	case !f.HasOrigin:
		return nil, errors.New("it does not say where its data comes from, so it has no id")
	case f.Lane.Project == "" || f.Lane.Logstore == "" || f.Lane.Config == "":
		return nil, errors.New("its headers have no key of project, logstore and config")
	}
	groups, err := e.decoder.groups(l, f)
	if err == nil && len(groups) == 0 {
		err = errors.New("its payload has no LogGroup")
	}
	return groups, err
}

// atTarget is an error of writing once it went well at first: a full disk is nobody's usage.
func atTarget(err error) error { return &coded{exitFailed, err} }

// exportedLetter is a line of `dlq export --json-lines`.
type exportedLetter struct {
	letterRow
	Subject   string               `json:"subject,omitempty"`
	Key       []byte               `json:"message_key,omitempty"`
	Headers   []exportedHeader     `json:"headers"`
	LogGroups []*protocol.LogGroup `json:"log_groups,omitempty"`
	Payload   []byte               `json:"payload,omitempty"` // of what is no LogGroup
	Why       string               `json:"undecodable,omitempty"`
}

type exportedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (e *letterExport) json(l *queue.Letter, f *queue.Facts) error {
	out := exportedLetter{letterRow: e.view.row(l, f), Subject: f.Subject, Key: l.Key, Headers: []exportedHeader{}}
	for _, h := range l.Headers {
		out.Headers = append(out.Headers, exportedHeader{h.Key, h.Value})
	}
	groups, err := e.decoder.groups(l, f)
	if err != nil {
		out.Why, out.Payload = err.Error(), l.Value
	}
	for i := range groups {
		out.LogGroups = append(out.LogGroups, groups[i].Decode())
	}
	if err := e.lines.Encode(&out); err != nil {
		return atTarget(fmt.Errorf("couldn't write to --to %s: %w", e.target.path, err))
	}
	e.sum.add(l)
	e.groups += int64(len(groups))
	return nil
}

// end gives the export its name, or removes it if there is nothing in it.
func (e *letterExport) end() error {
	if e.sum.letters == 0 {
		e.target.abandon()
		fmt.Fprintln(e.stdout, "no letter was exported")
	} else {
		if err := e.target.finish(); err != nil {
			return atTarget(err)
		}
		text := fmt.Sprintf("exported %s to %s: %s", e.sum.String(), printable(e.target.path), counted(int(e.groups), "LogGroup"))
		if e.files > 0 {
			text += ", " + counted(int(e.files), "payload") + " as they are"
		}
		fmt.Fprintln(e.stdout, text)
	}
	if e.left > 0 {
		return &coded{exitIncomplete, fmt.Errorf("%s could not be exported", countedLetters(e.left))}
	}
	return nil
}
