package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
)

// fullDisk is a queue on a small file system.
type fullDisk struct {
	*testing.T
	dir       string
	js        jetstream.JetStream
	confirmed uint64
}

func onSmallDisk(t *testing.T) *fullDisk {
	t.Helper()
	d := &fullDisk{T: t, dir: t.TempDir()}
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("couldn't mount a small tmpfs, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(d.dir, unix.MNT_DETACH); err != nil {
			t.Errorf("couldn't unmount %s: %v", d.dir, err)
		}
	})
	c := config(t)
	c.Dir = filepath.Join(d.dir, "queue")
	d.js = client(t, start(t, c))
	return d
}

// publish says whether a message of 64 KiB was confirmed.
func (d *fullDisk) publish() bool {
	ctx, cancel := context.WithTimeout(d.Context(), 2*time.Second)
	defer cancel()
	if _, err := d.js.Publish(ctx, "logs.shop.access", make([]byte, 64<<10)); err != nil {
		return false
	}
	d.confirmed++
	return true
}

// publishes has so many bytes confirmed.
func (d *fullDisk) publishes(bytes int) {
	d.Helper()
	for range bytes / (64 << 10) {
		if !d.publish() {
			d.Fatalf("a message is refused behind %d", d.confirmed)
		}
	}
}

// fills leaves a MiB, and publishes until that is used up.
func (d *fullDisk) fills() {
	d.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(d.dir, &fs); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(d.ballast(), make([]byte, int64(fs.Bavail)*fs.Bsize-1<<20), 0o600); err != nil {
		d.Fatal(err)
	}
	for before := d.confirmed; d.publish(); {
		if d.confirmed-before > 100 {
			d.Fatal("the disk does not fill up")
		}
	}
}

func (d *fullDisk) ballast() string { return filepath.Join(d.dir, "ballast") }

// goesOn waits until messages are taken again, and sees that all that was confirmed is
// there.
func (d *fullDisk) goesOn() {
	d.Helper()
	for end := time.Now().Add(30 * time.Second); !d.publish(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			d.Fatal("nothing is taken 30 s after there was room")
		}
	}
	info, err := d.js.Stream(d.Context(), "LOGS")
	if err != nil {
		d.Fatal(err)
	}
	if n := info.CachedInfo().State.Msgs; n < d.confirmed {
		d.Errorf("%d messages in the queue, %d were confirmed", n, d.confirmed)
	}
}

// A disk that was full: what was confirmed is there, and the queue takes messages again
// without a restart.
func TestAFullDiskIsNotForEver(t *testing.T) {
	t.Parallel()
	d := onSmallDisk(t)
	d.publishes(64 << 10)
	d.fills()
	if err := os.Remove(d.ballast()); err != nil {
		t.Fatal(err)
	}
	d.goesOn()
}

// The same when the queue itself has most of the disk, and little room comes: a server
// that reckons anew what it may use finds that it uses more already, and takes nothing.
func TestALittleRoomIsEnough(t *testing.T) {
	t.Parallel()
	d := onSmallDisk(t)
	d.publishes(9 << 20)
	d.fills()
	info, err := os.Stat(d.ballast())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.ballast(), info.Size()-3<<19); err != nil {
		t.Fatal(err)
	}
	d.goesOn()
}
