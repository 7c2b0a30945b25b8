//go:build race

package record

// The race detector makes pools forget at random, so that each set may cost new
// decoders: with it one case in thin is enough.
const (
	raceEnabled = true
	thin        = 7
)
