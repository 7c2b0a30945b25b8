// Customflusher is flushline with one kind of flusher more: the example of
// docs/WRITING-A-FLUSHER.md, in a module of its own.
package main

import (
	"os"

	"example.com/customflusher/put"
	"github.com/flushline/flushline/cmd"
)

func main() { os.Exit(cmd.Main(put.Kind())) }
