//go:build race

package names_test

// The race detector makes pools forget at random.
const raceEnabled = true
