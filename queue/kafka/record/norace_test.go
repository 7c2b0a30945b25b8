//go:build !race

package record

const (
	raceEnabled = false
	thin        = 1
)
