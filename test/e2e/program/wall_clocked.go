//go:build clocked

package main

import (
	"os"
	"strconv"
	"strings"
	"time"
)

// followWall sets this process's wall clock by as many seconds as a file says, whenever
// it says something else. time.SetWall is added to the standard library by the test that
// builds this: see clock_build_test.go.
func followWall() {
	file := os.Getenv("FLUSHLINE_TEST_WALL")
	for range time.NewTicker(20 * time.Millisecond).C {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // not written yet
		}
		if s, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
			time.SetWall(s)
		}
	}
}
