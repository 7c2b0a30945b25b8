package javaserver

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// Child is one process. It is ended by its own id only. Safe for concurrent use.
type Child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it was waited for

	mu     sync.Mutex
	frozen bool
}

// Spawn starts a process whose output is appended to a file. On Linux it dies with
// this one, however that ends.
func Spawn(cmd *exec.Cmd, log string) (*Child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the log of a server: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	tieToParent(cmd)
	c := &Child{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go c.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("couldn't start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// live starts the child and waits for its end on one thread: Linux ends a child
// that is tied to its parent with the thread that made it.
func (c *Child) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = c.cmd.Wait() // its state tells
	close(c.ended)
}

// PID is the id of the process, also after it ended.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.ended }

// State is how the process ended; only after that.
func (c *Child) State() *os.ProcessState { return c.cmd.ProcessState }

// Running says whether the process has not ended; a frozen one runs.
func (c *Child) Running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// Kill ends the process at once (SIGKILL) and waits for that.
func (c *Child) Kill() {
	if c.Running() {
		_ = c.cmd.Process.Kill() // it may have ended this moment
	}
	<-c.ended
}

// Terminate asks the process to end (SIGTERM) and waits for that.
func (c *Child) Terminate(within time.Duration) error {
	c.Thaw()
	if err := interrupt(c.cmd.Process); err != nil && c.Running() {
		return fmt.Errorf("couldn't signal a server: %w", err)
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(within):
		return fmt.Errorf("the server (pid %d) did not end within %s of SIGTERM", c.cmd.Process.Pid, within)
	}
}

// Freeze stops the clock of the process (SIGSTOP) until Thaw; connections stay open. It
// returns when that is done.
func (c *Child) Freeze() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
	if err := suspend(c.cmd.Process); err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); !stands(c.cmd.Process.Pid); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the server (pid %d) still runs a minute after SIGSTOP", c.cmd.Process.Pid)
		}
	}
	return nil
}

// Thaw lets a frozen process go on.
func (c *Child) Thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen && c.Running() {
		_ = resume(c.cmd.Process) // it may have ended this moment
	}
	c.frozen = false
}
