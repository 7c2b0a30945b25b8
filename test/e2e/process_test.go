//go:build unix

package e2e

import (
	"bufio"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
)

// process is a child of this test.
type process struct {
	*child.Process
	name string
	cmd  *exec.Cmd
}

// start runs a child. The returned reader is its standard output.
func start(t *testing.T, name string, bin string, args ...string) (*process, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	p, out := child.Start(t, name, cmd)
	return &process{p, name, cmd}, out
}

func (p *process) signal(sig syscall.Signal) { p.Signal(sig) }
func (p *process) running() bool             { return p.Running() }
func (p *process) kill()                     { p.Kill() }

func (p *process) stop(t *testing.T, within time.Duration) (int, time.Duration) {
	t.Helper()
	return p.Stop(t, within)
}

// eventually waits for a condition. A look that costs much, such as at a status, is taken
// less often: it would take the machine from those that are waited for.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; {
		look := time.Now()
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
		time.Sleep(min(max(10*time.Millisecond, 4*time.Since(look)), 100*time.Millisecond))
	}
}
