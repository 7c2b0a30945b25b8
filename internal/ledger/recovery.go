package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"time"
)

// Mark is a moment of a run that deliveries are timed from: a fault, or its end.
type Mark struct {
	Name string
	At   time.Time
	Next uint64 // number of the first group that is tried after it
}

// Mark writes a moment down. What was tried before is not taken for its recovery.
func (j *Journal) Mark(name string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := fmt.Fprintf(j.file, "m %d %d %q\n", j.next, time.Now().UnixNano(), name); err != nil {
		return fmt.Errorf("couldn't write the ledger's journal: %w", err)
	}
	return nil
}

// LoadMarks reads the moments of a journal in their order; a journal that is not
// there has none.
func LoadMarks(path string) ([]Mark, error) {
	var marks []Mark
	err := eachLine(path, func(line string) error {
		m := Mark{}
		var at int64
		if line[0] != 'm' {
			return nil
		}
		if _, err := fmt.Sscanf(line, "m %d %d %q\n", &m.Next, &at, &m.Name); err != nil {
			return err
		}
		m.At = time.Unix(0, at)
		marks = append(marks, m)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return marks, err
}

// Recovery is how long it took, after the moments of one name, until something
// arrived that was tried after them. Times are in seconds.
type Recovery struct {
	Marks     int     `json:"marks"`
	Recovered int     `json:"recovered"` // the others saw nothing newer arrive
	P50       float64 `json:"p50_seconds"`
	P99       float64 `json:"p99_seconds"`
	Max       float64 `json:"max_seconds"`
}

// timing finds the first delivery after each mark.
type timing struct {
	marks []Mark
	// first[i] is the first arrival that is after mark i and of a group after it, and
	// not after mark i+1 too: what is after a mark is after all marks before.
	first []time.Time
	timed bool // some log said when it arrived
}

func newTiming(marks []Mark) timing {
	marks = slices.Clone(marks)
	slices.SortStableFunc(marks, func(a, b Mark) int { return a.At.Compare(b.At) })
	return timing{marks: marks, first: make([]time.Time, len(marks))}
}

func (t *timing) see(s *Sighting) {
	if s.At.IsZero() {
		return
	}
	t.timed = true
	n := sort.Search(len(t.marks), func(i int) bool {
		return t.marks[i].Next > s.ID.Group || t.marks[i].At.After(s.At)
	})
	if n > 0 && (t.first[n-1].IsZero() || s.At.Before(t.first[n-1])) {
		t.first[n-1] = s.At
	}
}

// sum is nil for a destination that does not say when anything arrived.
func (t *timing) sum() map[string]Recovery {
	if !t.timed || len(t.marks) == 0 {
		return nil
	}
	took := map[string][]time.Duration{}
	sums := map[string]Recovery{}
	var next time.Time
	for i := len(t.marks) - 1; i >= 0; i-- {
		m := &t.marks[i]
		if f := t.first[i]; !f.IsZero() && (next.IsZero() || f.Before(next)) {
			next = f
		}
		sum := sums[m.Name]
		sum.Marks++
		if !next.IsZero() {
			sum.Recovered++
			took[m.Name] = append(took[m.Name], next.Sub(m.At))
		}
		sums[m.Name] = sum
	}
	for name, all := range took {
		slices.Sort(all)
		sum := sums[name]
		sum.P50, sum.P99, sum.Max = rank(all, 50), rank(all, 99), rank(all, 100)
		sums[name] = sum
	}
	return sums
}

// rank is the nearest-rank percentile of sorted times.
func rank(sorted []time.Duration, percent int) float64 {
	return sorted[(len(sorted)*percent+99)/100-1].Seconds()
}
