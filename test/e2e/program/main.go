// Command program is flushline with one more flusher, for the black-box tests
// that need a destination whose readiness they hold in their hand. With the tag clocked
// tests can also set its wall clock.
package main

import (
	"os"

	"github.com/flushline/flushline/cmd"
)

func main() {
	go followWall()
	os.Exit(cmd.Main(gatedKind()))
}
