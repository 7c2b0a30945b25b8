// Myflushline is flushline with one kind of flusher more.
package main

import (
	"os"

	"github.com/flushline/flushline/cmd"
	"github.com/flushline/flushline/docs/example/put"
)

func main() { os.Exit(cmd.Main(put.Kind())) }
