package cmd

import (
	"fmt"
	"time"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/queue"
)

// letterRow is what is known of a letter without its payload: a line of `dlq ls --json`.
type letterRow struct {
	Name       string    `json:"name"`
	Stored     time.Time `json:"stored,omitzero"`
	Reason     string    `json:"reason,omitempty"`
	Error      string    `json:"error,omitempty"`
	Attempts   int       `json:"attempts"`
	Hops       int       `json:"hops"`
	Route      string    `json:"route,omitempty"`
	Flusher    string    `json:"flusher,omitempty"`
	Gone       bool      `json:"gone,omitempty"` // the configuration has no such flusher
	Project    string    `json:"project,omitempty"`
	Logstore   string    `json:"logstore,omitempty"`
	Config     string    `json:"config,omitempty"`
	Deployment string    `json:"deployment,omitempty"`
	Origin     string    `json:"origin,omitempty"`
	Groups     string    `json:"groups,omitempty"` // indexes in the original message
	FirstSeen  time.Time `json:"first_seen,omitzero"`
	Source     string    `json:"source,omitempty"`
	Worker     string    `json:"worker,omitempty"`
	Bytes      int       `json:"bytes"`
	Damaged    string    `json:"damaged,omitempty"` // why it cannot be read
}

// letterView tells about letters as one configuration sees them.
type letterView struct {
	file    string // the configuration
	entries map[string]bool
}

func newLetterView(cfg *configs.Config) *letterView {
	v := &letterView{cfg.File, map[string]bool{}}
	for _, e := range cfg.Entries() {
		v.entries[e.Entry()] = true
	}
	return v
}

// none says that there is no letter, and why if that is known.
func (v *letterView) none(f *letterFilter, box queue.LetterBox) string {
	if f.never != nil {
		return fmt.Sprintf("no dead letters: %s %s does not exist; the first `flushline run -c %s` makes it, or `flushline setup`", f.never.What, printable(f.never.Name), v.file)
	}
	return "no dead letters in " + printable(box.Describe())
}

// gone says that a letter is for a flusher that the configuration does not have.
func (v *letterView) gone(f *queue.Facts) bool {
	return f.Lane.Flusher != "" && !v.entries[f.Lane.Entry()]
}

func (v *letterView) row(l *queue.Letter, f *queue.Facts) letterRow {
	r := letterRow{
		Name: l.Name(), Stored: l.Time.UTC(), Reason: f.Reason, Error: f.Error, Attempts: f.Attempts, Hops: f.Hops,
		Route: f.Lane.Route, Flusher: f.Lane.Flusher, Gone: v.gone(f),
		Project: f.Lane.Project, Logstore: f.Lane.Logstore, Config: f.Lane.Config, Deployment: f.Deployment,
		Groups: f.Groups, FirstSeen: f.FirstSeen.UTC(), Source: f.Source, Worker: f.Worker, Bytes: len(l.Value),
	}
	if f.HasOrigin {
		r.Origin = f.Origin.String()
	}
	if l.Damage != nil {
		r.Damaged = l.Damage.Error()
	}
	return r
}

// entry is the flusher of a letter for people.
func (v *letterView) entry(f *queue.Facts) string {
	switch {
	case f.Lane.Flusher == "":
		return "-"
	case v.gone(f):
		return printable(f.Lane.Entry()) + " (gone)"
	}
	return printable(f.Lane.Entry())
}

// happened is the error of a letter, or why it cannot be read.
func happened(l *queue.Letter, f *queue.Facts) string {
	if l.Damage != nil {
		return "damaged: " + printable(l.Damage.Error())
	}
	return printable(f.Error)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
