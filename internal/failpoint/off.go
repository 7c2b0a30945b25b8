//go:build !failpoint || !unix

package failpoint

// Enabled says whether this program has failpoints.
const Enabled = false

// Hit marks a step.
func Hit(Point) {}

// Err marks a step that may fail.
func Err(Point) error { return nil }
