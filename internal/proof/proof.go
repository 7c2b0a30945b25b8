// Package proof keeps what runs of tests showed, so that others can read it:
// docs/RELIABILITY.md is made of it and of nothing else. A run says which faults
// happened, how often, and which figures came out of it, each beside its bound.
//
// Runs are kept only if FLUSHLINE_PROOF names a directory, as make does: one file a
// run, which the next run of that name replaces.
package proof

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// The environment that says where runs are kept and which commit they are of.
const (
	DirEnv    = "FLUSHLINE_PROOF"
	CommitEnv = "FLUSHLINE_PROOF_COMMIT"
)

// Run is what one run showed. It can be written once.
type Run struct {
	Name    string         `json:"name"`    // of lower case letters, digits and "-"; also the file's
	Shows   string         `json:"shows"`   // what, in one sentence
	Command string         `json:"command"` // what repeats it at this size, from the project's top
	Commit  string         `json:"commit"`
	System  string         `json:"system"` // operating system, architecture, cores and Go
	Began   time.Time      `json:"began"`
	Seconds float64        `json:"seconds"`
	Failed  bool           `json:"failed"`
	Faults  map[string]int `json:"faults,omitempty"` // how often each kind was seen to happen
	Figures []Figure       `json:"figures,omitempty"`
	Notes   []string       `json:"notes,omitempty"` // what a reader has to know beside them, in whole sentences
}

// Figure is one number and, where there is one, its bound.
type Figure struct {
	Of      string   `json:"of"` // what was counted or measured
	Value   float64  `json:"value"`
	Unit    string   `json:"unit,omitempty"`
	AtMost  *float64 `json:"at_most,omitempty"`
	AtLeast *float64 `json:"at_least,omitempty"`
}

// Kept says whether the value is within its bounds.
func (f Figure) Kept() bool {
	return (f.AtMost == nil || f.Value <= *f.AtMost) && (f.AtLeast == nil || f.Value >= *f.AtLeast)
}

// Begin is a run that begins now.
func Begin(name, shows, command string) *Run {
	return &Run{
		Name: name, Shows: shows, Command: command, Commit: os.Getenv(CommitEnv), Began: time.Now().UTC().Truncate(time.Second), Faults: map[string]int{},
		System: fmt.Sprintf("%s/%s, %d cores, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()),
	}
}

// Fault counts n faults of a kind that were seen to happen.
func (r *Run) Fault(kind string, n int) { r.Faults[kind] += n }

// Value adds a figure without a bound.
func (r *Run) Value(of string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{Of: of, Value: value, Unit: unit})
}

// AtMost adds a figure that has to be bound or less. Who measures fails on its own.
func (r *Run) AtMost(of string, value, bound float64, unit string) {
	r.Figures = append(r.Figures, Figure{Of: of, Value: value, Unit: unit, AtMost: &bound})
}

// AtLeast adds a figure that has to be bound or more.
func (r *Run) AtLeast(of string, value, bound float64, unit string) {
	r.Figures = append(r.Figures, Figure{Of: of, Value: value, Unit: unit, AtLeast: &bound})
}

// Note adds a sentence.
func (r *Run) Note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// End keeps the run of a test, with whether it failed: call it when all is judged.
func (r *Run) End(tb testing.TB) {
	tb.Helper()
	if err := r.Keep(tb.Failed()); err != nil {
		tb.Error(err)
	}
}

var nameRule = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Keep writes the run into the directory of runs, if there is one. A figure beyond its
// bound makes it one that failed.
func (r *Run) Keep(failed bool) error {
	if !nameRule.MatchString(r.Name) {
		return fmt.Errorf("couldn't keep the run %q: a name is of lower case letters, digits and single -", r.Name)
	}
	r.Seconds = time.Since(r.Began).Round(time.Millisecond).Seconds()
	r.Failed = failed || slices.ContainsFunc(r.Figures, func(f Figure) bool { return !f.Kept() })
	dir := os.Getenv(DirEnv)
	if dir == "" {
		return nil
	}
	if err := r.write(dir); err != nil {
		return fmt.Errorf("couldn't keep the run %s: %w", r.Name, err)
	}
	return nil
}

// write replaces the file whole: runs of several processes may end at once.
func (r *Run) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+r.Name+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, r.Name+".json"))
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what was wrong is in err
	}
	return err
}

// Load reads all runs of a directory, in the order of their names. Without the
// directory there are none.
func Load(dir string) ([]*Run, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't read the runs: %w", err)
	}
	var runs []*Run
	for _, e := range entries {
		name, is := strings.CutSuffix(e.Name(), ".json")
		if !is {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("couldn't read the runs: %w", err)
		}
		r := &Run{}
		if err := json.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("couldn't read the run %s: %w", e.Name(), err)
		}
		if r.Name != name {
			return nil, fmt.Errorf("%s is of the run %q: a run is in the file of its name", e.Name(), r.Name)
		}
		runs = append(runs, r)
	}
	return runs, nil
}
