package cmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flushline/flushline/queue/job"
)

// jobReport is what a job says at its end. Its JSON is that of --json and --report.
type jobReport struct {
	job.Report
	Command  string   `json:"command"`
	Complete bool     `json:"complete"`
	Missing  []string `json:"missing,omitempty"` // what of the range was not delivered, in words
	Remark   string   `json:"remark,omitempty"`
	Dry      *census  `json:"dry_run,omitempty"`
}

// tell prints the report and says by its error what of the range is missing.
func (j *running) tell(remark string) error {
	r := &jobReport{Report: j.source.Report(), Command: j.kind.command(), Remark: remark, Dry: j.dry}
	if len(r.Lost) == 0 {
		r.Lost = j.manifest.Lost
	}
	wrong := adds(&r.Report)
	r.Missing = r.Report.Missing()
	r.Complete = r.Finished && len(r.Missing) == 0 && wrong == nil
	if err := r.show(j.p.stdout, j.opt.asJSON); err != nil {
		return err
	}
	if j.opt.report != "" {
		if err := r.write(j.opt.report); err != nil {
			return err
		}
	}
	switch {
	case wrong != nil:
		return &coded{exitDefect, wrong}
	case r.Finished && len(r.Missing) > 0 && j.dry == nil:
		return &coded{exitIncomplete, errors.New("not all of the range was delivered: " + strings.Join(r.Missing, "; "))}
	}
	return nil
}

func (r *jobReport) write(file string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("couldn't write the report: %w", err)
	}
	return nil
}

// adds says whether the counts add up: every slice of the plan has ended, and every
// position is a message that ended or is passed over for a reason.
func adds(r *job.Report) error {
	if !r.Finished {
		return nil
	}
	positions := r.Messages
	for _, n := range r.Passed {
		positions += n
	}
	switch {
	case r.Slices != r.Planned.Slices:
		return fmt.Errorf("the job ended %d of %d slices: this is a defect, please report it", r.Slices, r.Planned.Slices)
	case r.Failed == 0 && r.Planned.Positions > 0 && positions != r.Planned.Positions:
		return fmt.Errorf("%d of %d positions are accounted for: this is a defect, please report it", positions, r.Planned.Positions)
	}
	return nil
}

func joinCounts(counts map[string]int64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%s %s", name, number(counts[name])))
	}
	return strings.Join(all, ", ")
}

func (r *jobReport) show(w io.Writer, asJSON bool) error {
	if asJSON {
		b, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", b)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(t, r.title())
	if r.Planned.Positions > 0 || r.Kind != "file" {
		row("range", "%s: %s positions in %s", r.Range, number(r.Planned.Positions), counted(int(r.Planned.Slices), "slice"))
	} else {
		row("range", "%s: %s, %s as stored", r.Range, counted(int(r.Planned.Slices), "file"), size(r.Planned.Bytes))
	}
	verb := "ended"
	if r.Dry != nil {
		verb = "would end"
	}
	row(verb, "%s messages, %s; %s of %s slices to their end", number(r.Messages), size(r.Bytes), number(r.Slices), number(r.Planned.Slices))
	if len(r.Passed) > 0 {
		row("no message", "%s positions", joinCounts(r.Passed))
	}
	r.showGroups(row)
	r.showTrouble(row)
	if r.Dry != nil {
		r.Dry.show(row)
	} else {
		row("duplicates", "at most %s messages, beside those of a Flush that was tried again (%s, %s killed)", number(r.Twice), counted(int(r.Starts), "start"), number(r.Killed))
		row("took", "%v%s", r.Elapsed.Round(time.Millisecond), perSecond(r.Messages, r.Elapsed))
	}
	fmt.Fprintln(t, r.last())
	return t.Flush()
}

func (r *jobReport) title() string {
	name := r.Command
	if r.Job != "" {
		name += " " + r.Job
	}
	if r.Of > 1 {
		name += fmt.Sprintf(", shard %d of %d", r.Shard, r.Of)
	}
	return name
}

func (r *jobReport) showGroups(row func(string, string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(r.Groups)) {
		g := r.Groups[name]
		if name == "" {
			name = "(no route)"
		}
		text := number(g.Flushed) + " groups flushed"
		if len(g.DeadLettered) > 0 {
			text += "; dead letters: " + joinCounts(g.DeadLettered)
		}
		if len(g.Skipped) > 0 {
			text += "; skipped: " + joinCounts(g.Skipped)
		}
		row(name, "%s", text)
	}
}

func (r *jobReport) showTrouble(row func(string, string, ...any)) {
	for _, l := range r.Lost {
		row("lost", "%s: %s", l.Slice, l.Why)
	}
	for _, d := range r.Damage {
		where := fmt.Sprintf("%s at byte %d", d.Slice, d.Offset)
		if d.Length > 0 {
			where += fmt.Sprintf(", %d bytes", d.Length)
		}
		row("damaged", "%s: %s", where, d.Why)
	}
	for _, f := range r.Failure {
		row("unread", "%s from %d on: %s", f.Slice, f.At, f.Why)
	}
	if more := r.Damaged - int64(len(r.Damage)) + r.Failed - int64(len(r.Failure)); more > 0 {
		row("", "and %s more", number(more))
	}
}

func perSecond(n int64, d time.Duration) string {
	if d < rateFrom {
		return ""
	}
	return fmt.Sprintf(", %s messages/s", number(int64(float64(n)/d.Seconds())))
}

func (r *jobReport) last() string {
	switch {
	case r.Remark != "":
		return r.Remark
	case r.Dry != nil:
		return "nothing was delivered (--dry-run)"
	case r.Complete:
		return "complete"
	case r.Finished:
		return "ended, and not all of it was delivered"
	}
	return "not finished: start it again and it goes on"
}
