package logfile

import (
	"fmt"
	"iter"

	"github.com/flushline/flushline/queue/job"
)

// MaxNames bounds the lists of a Difference.
const MaxNames = 10

// Difference is what has become of the files of a job since it was planned.
type Difference struct {
	New     int64 // files that were not there: the job does not read them
	Changed int64 // files of another size or stamp: the job cannot go on with them
	Missing int64 // files that are gone: as above

	// The first MaxNames of each.
	NewNames, ChangedNames, MissingNames []string
}

// Compare walks the plan of a job and what Find finds for the same paths now, both in
// their order and without keeping them.
func Compare(planned, found job.Slices) (Difference, error) {
	var d Difference
	old, stopOld := iter.Pull2(planned)
	defer stopOld()
	now, stopNow := iter.Pull2(found)
	defer stopNow()
	p, err, before := old()
	f, wrong, after := now()
	for before || after {
		switch {
		case before && err != nil:
			return d, fmt.Errorf("couldn't compare the files with the job's plan: %w", err)
		case after && wrong != nil:
			return d, fmt.Errorf("couldn't compare the files with the job's plan: %w", wrong)
		}
		order := compareNames(p.Name, f.Name)
		switch {
		case !before:
			order = 1
		case !after:
			order = -1
		}
		switch {
		case order < 0:
			note(&d.Missing, &d.MissingNames, p.Name)
		case order > 0:
			note(&d.New, &d.NewNames, f.Name)
		case p.Size != f.Size || p.Stamp != f.Stamp:
			note(&d.Changed, &d.ChangedNames, p.Name)
		}
		if order <= 0 {
			p, err, before = old()
		}
		if order >= 0 {
			f, wrong, after = now()
		}
	}
	return d, nil
}

func note(count *int64, names *[]string, name string) {
	if *count++; len(*names) < MaxNames {
		*names = append(*names, name)
	}
}
