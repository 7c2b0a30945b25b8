package flushers

import "time"

// Bounded is implemented by flushers with an option that limits a call on their
// own. A configuration in which that limit is given and longer than the entry's
// flush_timeout, which then cuts the call first, is warned about when it is loaded.
// It is found by type assertion.
type Bounded interface {
	// Bound returns the option's name and its value, before Init.
	Bound() (option string, limit time.Duration)
}
