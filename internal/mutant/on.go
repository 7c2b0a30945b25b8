//go:build mutant

package mutant

import (
	"fmt"
	"os"
)

var chosen = choose(os.Getenv("FLUSHLINE_MUTANT"))

// On says whether a defect is planted.
func On(m Mutant) bool { return m == chosen }

// choose ends the process if there is no such defect: a run that goes well without
// one would say that it was not caught.
func choose(name string) Mutant {
	if name == "" {
		return none
	}
	for _, d := range List() {
		if d.Name == name {
			return d.Mutant
		}
	}
	fmt.Fprintf(os.Stderr, "FLUSHLINE_MUTANT: there is no mutant %q\n", name)
	os.Exit(2)
	return none
}
