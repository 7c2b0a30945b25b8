package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/worker"
)

type tapOptions struct {
	targetOptions
	groups   int
	lasts    time.Duration
	contents bool
	asJSON   bool
}

func newTap(p *program) *cobra.Command {
	var a adminOptions
	var o tapOptions
	c := &cobra.Command{
		Use:   "tap",
		Short: "Show LogGroups of a running worker as they come",
		Long: `Asks a running worker for LogGroups on their way to a route, a flusher of it or a
lane, under the ids that they have everywhere. What it shows was taken in after the
command began; it says nothing of whether it was flushed.

The values of contents and tags are left out and only their lengths shown, because they
may be private. --contents shows them, if the worker's configuration has
` + "`admin: {tap: contents}`" + `. Of a LogGroup at most 100 logs are shown.

A tap never holds anything up: a worker has at most four at once, and what one does not
take in time (4 MiB, or 1/32 of limits.in_flight) is lost to it, counted, and flushed like
any other. It ends after -n groups or --for, whichever comes first, or with this command.

Exit codes: 0 shown, also when nothing came or it was interrupted; 64 usage or
configuration, there is no such thing, or the worker may not show contents; 69 no worker
answered, it stopped, or four taps are open.`,
		Example: `  flushline tap -c flushline.yaml --route shop
  flushline tap --route shop --flusher es --project shop --logstore app --config-name cart -n 1
  flushline tap --route shop --json --for 1m -n 1000 | jq -r .id`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			left := untilClosed()
			err := p.tap(ctx, &a, &o)
			if ctx.Err() != nil {
				return nil
			}
			return left(err)
		},
	}
	a.flags(p, c)
	o.laneFlags(c)
	f := c.Flags()
	f.IntVarP(&o.groups, "groups", "n", admin.TapGroups, fmt.Sprintf("end after so many LogGroups, at most %d", worker.MaxTapGroups))
	f.DurationVar(&o.lasts, "for", admin.TapFor, "end after so long, at most 1h")
	f.BoolVar(&o.contents, "contents", false, "show the values of contents and tags")
	f.BoolVar(&o.asJSON, "json", false, "print a JSON object per LogGroup, a line each")
	return c
}

// tapGrace is what an answer may take beyond its own time.
const tapGrace = 30 * time.Second

func (p *program) tap(ctx context.Context, a *adminOptions, o *tapOptions) error {
	target, err := a.open(p)
	if err != nil {
		return err
	}
	q := o.values()
	q.Set(admin.ParamGroups, strconv.Itoa(o.groups))
	q.Set(admin.ParamFor, o.lasts.String())
	q.Set(admin.ParamContents, strconv.FormatBool(o.contents))
	resp, err := target.ask(ctx, http.MethodPost, "/tap?"+q.Encode(), o.lasts+tapGrace)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return p.tapped(json.NewDecoder(resp.Body), target, o)
}

// tapped writes what comes, and at last how it ended.
func (p *program) tapped(in *json.Decoder, from *adminClient, o *tapOptions) error {
	out := bufio.NewWriter(p.stdout)
	show := printSample
	if o.asJSON {
		show = func(w io.Writer, s *worker.Sample) { _ = json.NewEncoder(w).Encode(s) } // the writer keeps the error
	}
	for {
		var l admin.TapLine
		switch err := in.Decode(&l); {
		case errors.Is(err, io.EOF):
			return unavailable(fmt.Errorf("%s ended in the middle of the answer: is the worker still there?", from.base))
		case err != nil:
			return unavailable(fmt.Errorf("couldn't read the answer of %s: %w", from.base, unwrapURL(err)))
		case l.End != nil:
			return p.tapEnded(l.End, from, o)
		case l.Sample != nil:
			show(out, l.Sample)
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func (p *program) tapEnded(e *admin.TapEnd, from *adminClient, o *tapOptions) error {
	say := func(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }
	switch {
	case e.Seen == 0 && e.Reason == admin.TapEndTime:
		say("no LogGroup came within %s; `flushline status --blocked` says what does not move", o.lasts)
	default:
		say("%s shown of %s that came", counted(int(e.Shown), "LogGroup"), number(e.Seen))
	}
	if e.Lost > 0 {
		say("%s lost to the tap, not to the worker: too large, or they came faster than they were read, or memory was short", number(e.Lost))
	}
	if e.Reason == admin.TapEndStopped {
		return unavailable(fmt.Errorf("the worker at %s has stopped", from.base))
	}
	return nil
}

func printSample(w io.Writer, s *worker.Sample) {
	from := s.Strand
	if s.Parked {
		from += " (parked)"
	}
	fmt.Fprintf(w, "%s %s\n  to %s/%s, key %s/%s/%s, %s, %s at %d of %s\n", s.Received.UTC().Format(time.RFC3339Nano), printable(s.ID),
		printable(s.Route), printable(s.Flusher), printable(s.Project), printable(s.Logstore), printable(s.Config),
		counted(len(s.Group.Logs)+s.Group.LeftOut, "log"), counted(s.Bytes, "byte"), s.Position, printable(from))
	printView(w, &s.Group)
}
