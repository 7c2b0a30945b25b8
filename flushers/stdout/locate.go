package stdout

import "github.com/flushline/flushline/flushers"

var _ flushers.Located = (*Flusher)(nil)

// Locate is the same for all keys.
func (f *Flusher) Locate(string, string, string) string {
	return "the standard output of the worker, as " + f.Format
}
