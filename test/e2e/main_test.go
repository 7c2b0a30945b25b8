//go:build unix

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

// bin is where the programs under test are.
var bin string

// long says that scenarios run at the size of the promise.
var long = os.Getenv("FLUSHLINE_LONG") != ""

// size is a number of each of the two sizes.
func size[T any](short, full T) T {
	if long {
		return full
	}
	return short
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(leak.Check(run(m)))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "flushline-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	for _, b := range [][]string{
		{"-race", "-o", filepath.Join(dir, "flushline"), "../../cmd/flushline"},
		{"-race", "-o", filepath.Join(dir, "program"), "./program"},
		{"-o", filepath.Join(dir, "natsserver"), "./natsserver"},
	} {
		build := exec.Command("go", append([]string{"build", "-buildvcs=false"}, b...)...)
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "couldn't build %s: %v\n%s", b[len(b)-1], err, out)
			return 1
		}
	}
	return kafkabroker.Main(m)
}
