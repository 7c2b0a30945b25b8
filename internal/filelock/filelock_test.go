package filelock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flushline/flushline/internal/filelock"
)

func TestAFileHasOneHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if ok, err := filelock.Try(first); !ok || err != nil {
		t.Fatalf("a free file: %v, %v", ok, err)
	}
	if _, err := first.WriteString("who holds it"); err != nil {
		t.Fatal(err)
	}
	if ok, err := filelock.Try(second); ok || err != nil {
		t.Fatalf("a file that is held: %v, %v", ok, err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "who holds it" {
		t.Errorf("what the holder wrote cannot be read: %q, %v", b, err)
	}
	first.Close()
	if ok, err := filelock.Try(second); !ok || err != nil {
		t.Errorf("a file that was closed: %v, %v", ok, err)
	}
	if err := filelock.SyncDir(filepath.Dir(path)); err != nil {
		t.Error(err)
	}
}
