//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a child of this test. It is ended by its own id, at the latest when
// the test ends.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	log   tail
	ended chan struct{} // closed when it was waited for
}

// start runs a child. The returned reader is its standard output.
func start(t *testing.T, name string, bin string, args ...string) (*process, *bufio.Reader) {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(bin, args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "GORACE=exitcode=66 atexit_sleep_ms=0")
	p.cmd.Stderr = &p.log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	out, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout = into
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("couldn't start %s: %v", name, err)
	}
	into.Close()
	go func() {
		_ = p.cmd.Wait() // its state tells
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.ended
		out.Close()
		if t.Failed() {
			t.Logf("the last words of %s (pid %d, %v):\n%s", name, p.cmd.Process.Pid, p.cmd.ProcessState, p.log.String())
		}
		if strings.Contains(p.log.String(), "WARNING: DATA RACE") {
			t.Errorf("%s has a data race:\n%s", name, p.log.String())
		}
	})
	return p, bufio.NewReader(out)
}

func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Signal(sig) // it may have ended this moment
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill is SIGKILL, and the wait for its end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop is SIGTERM; it returns the exit code and how long the end took.
func (p *process) stop(t *testing.T, within time.Duration) (int, time.Duration) {
	t.Helper()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s did not end within %s of SIGTERM", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode(), time.Since(begin)
}

// tail keeps the end of what a child wrote.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailSize = 256 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// eventually waits for a condition.
func eventually(t *testing.T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}
