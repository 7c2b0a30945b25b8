package ledger

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Report is what one run showed: the verdict on each destination and what was seen of
// the workers meanwhile.
type Report struct {
	Run          string              `json:"run"`
	Destinations map[string]*Verdict `json:"destinations"`
	Scrapes      Scrapes             `json:"scrapes"`
}

// Kept says that at-least-once was kept at every destination, of which there is one,
// and that every snapshot was balanced.
func (r *Report) Kept() bool {
	for _, v := range r.Destinations {
		if !v.Kept() {
			return false
		}
	}
	return len(r.Destinations) > 0 && r.Scrapes.Broken.Count == 0
}

// Write prints the report for people.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Run)
	for _, name := range slices.Sorted(maps.Keys(r.Destinations)) {
		fmt.Fprintf(&b, "%s:\n", name)
		for line := range strings.Lines(r.Destinations[name].String()) {
			b.WriteString("  " + line)
		}
	}
	s := &r.Scrapes
	fmt.Fprintf(&b, "workers: %d snapshots with %d equations, %d requests not answered; wrong %d", s.Snapshots, s.Equations, s.Unheard, s.Broken.Count)
	if s.Broken.Count > 0 {
		fmt.Fprintf(&b, ": %s", strings.Join(s.Broken.First, ", "))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON prints the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
