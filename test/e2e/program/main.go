// Command program is flushline with one more flusher, for the black-box tests
// that need a destination whose readiness they hold in their hand.
package main

import (
	"os"

	"github.com/flushline/flushline/cmd"
)

func main() { os.Exit(cmd.Main(gatedKind())) }
