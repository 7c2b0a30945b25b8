package job

import "errors"

// Impossible marks an error as one of what was asked for: a bound outside of its
// queue, a path that is not there. Nothing was read or sent, and asking again gives
// the same answer. Planners mark their errors with it.
func Impossible(err error) error { return &impossible{err} }

// IsImpossible says whether an error was marked by Impossible.
func IsImpossible(err error) bool {
	var i *impossible
	return errors.As(err, &i)
}

type impossible struct{ err error }

func (i *impossible) Error() string { return i.err.Error() }
func (i *impossible) Unwrap() error { return i.err }
