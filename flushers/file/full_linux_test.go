package file

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flushline/flushline/flushers/flushertest"
)

// A real full file system: nothing torn stays, and the flow goes on once there
// is room.
func TestAFullFileSystem(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("couldn't mount a small tmpfs, which needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("couldn't unmount %s: %v", dir, err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range shapes {
		if err := os.Remove(filepath.Join(dir, s.file())); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
			at(dir, s.path)(f)
			f.Format = s.format
		})
		var want []string
		fill := func() (err error) {
			for i := 0; err == nil; i++ {
				msg := fmt.Sprint(len(want), ":", noise(len(want), 9000))
				if err = flush(f, group(1, msg)); err == nil {
					want = append(want, msg)
				}
			}
			return err
		}
		if err := fill(); !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("%s: %v, want a full disk", s.name, err)
		}
		if f.IsReady("", "", 0) || len(want) == 0 {
			t.Errorf("%s: ready on a full disk, or full after %d Flushes", s.name, len(want))
		}
		if err := os.Truncate(ballast, 64<<10); err != nil {
			t.Fatal(err)
		}
		before := len(want)
		if err := fill(); !errors.Is(err, unix.ENOSPC) || len(want) == before {
			t.Errorf("%s: %v after %d more Flushes, want some and a full disk again", s.name, err, len(want)-before)
		}
		got := s.messages(t, tree(t, dir)[s.file()])
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: %d logs in the file, want the %d that were flushed", s.name, len(got), len(want))
		}
		stop(t, f)
		if err := errors.Join(os.Remove(filepath.Join(dir, s.file())), os.WriteFile(ballast, make([]byte, 128<<10), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// noise is text that does not compress to nothing.
func noise(seed, n int) string {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = 'a' + byte(x%26)
	}
	return string(b)
}
