package flushers

// Placed is implemented by flushers that can say, as soon as their options are
// filled in and before Init, where they will write: two entries that write one
// place in different formats are refused when the configuration is loaded. It is
// found by type assertion.
type Placed interface {
	// Place returns the path or table as it is configured, templates included, and
	// the format. An empty place means: nothing to compare.
	Place() (place, format string)
}
