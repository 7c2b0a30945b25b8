// Flushline moves LogGroups from a queue to where they are kept. See package cmd.
package main

import (
	"os"

	"github.com/flushline/flushline/cmd"
)

func main() { os.Exit(cmd.Main()) }
