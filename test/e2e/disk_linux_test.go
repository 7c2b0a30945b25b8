package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flushline/flushline/internal/proof"
)

// The disk is full for a while: under the files of a route, and under the queue that the
// worker itself runs.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	run := proof.Begin("disk-full",
		"The disk under the file flusher, or under the embedded queue, is full for a while: nothing that was confirmed is lost, nothing torn is left, the status says why nothing moves, and all goes on when there is room.",
		"make faults RUN=TestDiskFull")
	t.Run("under the file flusher", func(t *testing.T) { fullUnderFiles(t, run) })
	t.Run("under the embedded queue", func(t *testing.T) { fullUnderQueue(t, run) })
	switch {
	case len(run.Faults) > 0:
		run.End(t)
	case !t.Failed():
		t.Skip("no disk could be made small")
	}
}

// disk is a small file system, filled by a file of its own.
type disk struct {
	dir     string
	ballast string
}

// mount is a disk of that size; root only.
func mount(t *testing.T, dir string, size int) *disk {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("couldn't mount a small tmpfs, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("couldn't unmount %s: %v", dir, err)
		}
	})
	return &disk{dir, filepath.Join(dir, "ballast")}
}

// fill leaves so many bytes free.
func (d *disk) fill(t *testing.T, free int64) {
	t.Helper()
	take := d.free(t) - free
	if take <= 0 {
		t.Fatalf("%s has %d bytes less than %d free already", d.dir, -take, free)
	}
	// Who writes beside may have taken the last of it already.
	if err := os.WriteFile(d.ballast, make([]byte, take), 0o600); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

func (d *disk) free(t *testing.T) int64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// empty takes the ballast away.
func (d *disk) empty(t *testing.T) {
	t.Helper()
	if err := os.Remove(d.ballast); err != nil {
		t.Fatal(err)
	}
}

// fullBack is how long after there is room the files are written again: a flusher is
// unready for five seconds, and its lanes may just have begun to wait.
const fullBack = 30 * time.Second

// fullUnderFiles has the files of one route on a disk that fills up under load.
func fullUnderFiles(t *testing.T, run *proof.Run) {
	r := newRig(t, false)
	d := mount(t, filepath.Join(r.dir, "waits"), 64<<20)
	config := r.config(t, "w1", 4000)
	r.setup(t, config)
	load := r.load(12)
	load.Rate = 300
	p := r.pod(t, "flushline", "w1", config)
	stop := r.producing(t, load)
	r.flows(t)
	d.fill(t, 64<<10)
	eventually(t, time.Minute, "the status says that the disk is full", func() bool {
		return strings.Contains(p.why(t), "no space left on device")
	})
	run.Fault("disk full under the file flusher", 1)
	t.Logf("the status said: %s", p.why(t))
	r.flows(t) // the other routes
	// A second time after a little room: each end is cut back again.
	if err := os.Truncate(d.ballast, size64(t, d.ballast)-64<<10); err != nil {
		t.Fatal(err)
	}
	r.flows(t)
	d.empty(t)
	began := time.Now()
	eventually(t, time.Minute, "no lane complains any more", func() bool { return !strings.Contains(p.why(t), "no space left on device") })
	back := time.Since(began)
	if back > fullBack {
		t.Errorf("it took %s until all was written again, want at most %s", back, fullBack)
	}
	stop()
	r.broker.drained(t, time.Minute)
	p.terminate(t)
	var lost, duplicates int
	for name, v := range r.verdicts(t) {
		if !v.Once() {
			t.Errorf("%s did not get what it should once", name)
		}
		lost, duplicates = lost+v.Lost.Count, duplicates+v.Duplicates
	}
	r.noDeadLetters(t)
	r.balanced(t)
	run.AtMost("file flusher: lost", float64(lost), 0, "logs")
	run.AtMost("file flusher: duplicates", float64(duplicates), 0, "logs")
	run.AtMost("file flusher: writes again after there is room", back.Seconds(), fullBack.Seconds(), "s")
}

func size64(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// why is all that the pod says about what does not move.
func (p *pod) why(t *testing.T) string {
	t.Helper()
	var all []string
	s := p.status(t)
	for i := range s.Lanes {
		all = append(all, s.Lanes[i].Why)
	}
	for i := range s.Strands {
		all = append(all, s.Strands[i].Why, s.Strands[i].Queue.State, s.Strands[i].Queue.Cause)
	}
	return strings.Join(all, "; ")
}
