package kafkabroker

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// child is one Java process. It is ended by its own id only.
type child struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it was waited for

	mu     sync.Mutex
	frozen bool
}

// spawn starts a process whose output is appended to a file.
func spawn(cmd *exec.Cmd, log string) (*child, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the broker's log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	tieToParent(cmd)
	c := &child{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go c.live(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("couldn't start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// live starts the child and waits for its end on one thread: Linux ends a child
// that is tied to its parent with the thread that made it.
func (c *child) live(started chan<- error) {
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

func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// kill ends the child at once and waits for that.
func (c *child) kill() {
	if c.running() {
		_ = c.cmd.Process.Kill() // it may have ended this moment
	}
	<-c.ended
}

// terminate asks the child to end.
func (c *child) terminate(within time.Duration) error {
	c.thaw()
	if err := interrupt(c.cmd.Process); err != nil && c.running() {
		return fmt.Errorf("couldn't signal the broker: %w", err)
	}
	select {
	case <-c.ended:
		return nil
	case <-time.After(within):
		return fmt.Errorf("the broker (pid %d) did not end within %s of SIGTERM", c.cmd.Process.Pid, within)
	}
}

func (c *child) freeze() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
	return suspend(c.cmd.Process)
}

func (c *child) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen && c.running() {
		_ = resume(c.cmd.Process) // it may have ended this moment
	}
	c.frozen = false
}
