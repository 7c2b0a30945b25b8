// Package child runs processes that a test starts: each is ended by its own id, at
// the latest when the test ends, and its last words are shown when the test failed.
package child

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

// Process is one child. Safe for concurrent use.
type Process struct {
	Name string

	cmd   *exec.Cmd
	stdin io.Closer // its end tells the child that its parent has gone
	log   tail
	ended chan struct{} // closed when it was waited for
}

// Start runs the command. The returned reader is its standard output; its standard
// error is kept in Log. A data race in the child fails the test.
func Start(t testing.TB, name string, cmd *exec.Cmd) (*Process, *bufio.Reader) {
	t.Helper()
	p := &Process{Name: name, cmd: cmd, ended: make(chan struct{})}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GORACE=exitcode=66 atexit_sleep_ms=0")
	cmd.Stderr = &p.log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	out, into, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = into
	if err := cmd.Start(); err != nil {
		t.Fatalf("couldn't start %s: %v", name, err)
	}
	into.Close()
	go func() {
		_ = cmd.Wait() // its state tells
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		out.Close()
		if t.Failed() {
			t.Logf("the last words of %s (pid %d, %v):\n%s", name, cmd.Process.Pid, cmd.ProcessState, p.Log())
		}
		if strings.Contains(p.Log(), "WARNING: DATA RACE") {
			t.Errorf("%s has a data race:\n%s", name, p.Log())
		}
	})
	return p, bufio.NewReader(out)
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running says that it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// ExitCode is that of a process that has ended; -1: by a signal.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Log is the beginning and the end of what it wrote to its standard error.
func (p *Process) Log() string { return p.log.String() }

// Signal sends a signal, unless the process has ended.
func (p *Process) Signal(sig os.Signal) {
	if p.Running() {
		_ = p.cmd.Process.Signal(sig) // it may have ended this moment
	}
}

// Kill is SIGKILL, and the wait for its end.
func (p *Process) Kill() {
	p.Signal(os.Kill)
	<-p.ended
}

// Stop is SIGTERM; it returns the exit code and how long the end took.
func (p *Process) Stop(t testing.TB, within time.Duration) (int, time.Duration) {
	t.Helper()
	begin := time.Now()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("%s did not end within %s of SIGTERM", p.Name, within)
	}
	return p.ExitCode(), time.Since(begin)
}

// tail keeps the end of what a child wrote, and its beginning: there it says where it
// listens.
type tail struct {
	mu   sync.Mutex
	head []byte
	buf  bytes.Buffer
	gap  bool // between the two
}

const (
	headSize = 16 << 10
	tailSize = 256 << 10
)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := min(len(b), headSize-len(t.head))
	t.head = append(t.head, b[:first]...)
	t.buf.Write(b[first:])
	if over := t.buf.Len() - tailSize; over > 0 {
		t.buf.Next(over)
		t.gap = true
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gap {
		return string(t.head) + "\n...\n" + t.buf.String()
	}
	return string(t.head) + t.buf.String()
}
