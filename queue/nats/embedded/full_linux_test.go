package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flushline/flushline/queue/nats/embedded"
)

// A disk that was full: what was confirmed is there, and the queue takes messages again
// without a restart.
func TestAFullDiskIsNotForEver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("couldn't mount a small tmpfs, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("couldn't unmount %s: %v", dir, err)
		}
	})
	c := config(t)
	c.Dir = filepath.Join(dir, "queue")
	s, err := embedded.Start(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	js := client(t, s)
	publish := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "logs.shop.access", make([]byte, 64<<10))
		return err
	}
	var confirmed uint64
	if err := publish(); err != nil {
		t.Fatal(err)
	}
	confirmed++
	ballast := filepath.Join(dir, "ballast")
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ballast, make([]byte, int64(fs.Bavail)*fs.Bsize-1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for publish() == nil {
		if confirmed++; confirmed > 1000 {
			t.Fatal("the disk does not fill up")
		}
	}
	full := confirmed
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); publish() != nil; {
		if time.Now().After(end) {
			t.Fatal("nothing is taken 30 s after there was room")
		}
	}
	confirmed++
	info, err := js.Stream(t.Context(), "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	if n := info.CachedInfo().State.Msgs; n < confirmed {
		t.Errorf("%d messages in the queue, %d were confirmed, %d of them before the disk was full", n, confirmed, full)
	}
}
