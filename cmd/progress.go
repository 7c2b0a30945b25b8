package cmd

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// progress tells a person how far a job is: a bar on a terminal, elsewhere a
// line every ten seconds. One goroutine uses it.
type progress struct {
	w       io.Writer
	verb    string
	unit    string                   // of what is counted
	bar     *progressbar.ProgressBar // nil unless on a terminal
	started time.Time
	told    time.Time
	groups  int64
	bytes   int64
}

const (
	tellEvery = 10 * time.Second
	rateFrom  = time.Second // a rate over less says nothing
)

// newProgress writes to w. total is in units, such as groups; 0 means that nobody
// knows. The unit "B" is shown as sizes.
func newProgress(w io.Writer, verb string, total int64, unit string) *progress {
	now := time.Now()
	p := &progress{w: w, verb: verb, unit: unit, started: now, told: now}
	if isTerminal(w) {
		if total == 0 {
			total = -1
		}
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(w),
			progressbar.OptionSetDescription(verb),
			progressbar.OptionShowCount(),
			progressbar.OptionShowIts(),
			progressbar.OptionSetItsString(unit),
			progressbar.OptionShowBytes(unit == "B"),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionClearOnFinish(),
		)
	}
	return p
}

func (p *progress) add(groups, bytes int) {
	p.groups += int64(groups)
	p.bytes += int64(bytes)
	if p.bar != nil {
		_ = p.bar.Add(groups) // fails when the terminal is gone or total was too small
		return
	}
	if now := time.Now(); now.Sub(p.told) >= tellEvery {
		p.told = now
		fmt.Fprintln(p.w, p.summary())
	}
}

// close removes the bar; the caller says what became of the job.
func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

func (p *progress) summary() string {
	took := time.Since(p.started)
	noun := p.unit
	if p.groups == 1 {
		noun = strings.TrimSuffix(noun, "s")
	}
	text := fmt.Sprintf("%s %s %s (%s) in %s", p.verb, humanize.Comma(p.groups), noun, size(p.bytes), span(took))
	if took < rateFrom {
		return text
	}
	return fmt.Sprintf("%s, %s/s", text, humanize.Comma(int64(float64(p.groups)/took.Seconds())))
}
