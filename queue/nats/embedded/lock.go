package embedded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/flushline/flushline/internal/filelock"
)

// dirLock keeps a second process out of a directory: two servers on one store
// destroy it. The operating system drops the lock when the process ends, however
// it ends.
type dirLock struct{ file *os.File }

// lockDir takes the lock, or says who holds it.
func lockDir(dir string) (*dirLock, error) {
	path := filepath.Join(dir, "flushline.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the lock of dir: %w", err)
	}
	if ok, err := filelock.Try(f); !ok {
		defer f.Close()
		if err != nil {
			return nil, fmt.Errorf("couldn't lock %s: %w", path, err)
		}
		return nil, fmt.Errorf("dir %s is in use by %s: stop it, or set dir to another directory", dir, holder(f))
	}
	l := &dirLock{f}
	if err := l.sign(); err != nil {
		l.unlock()
		return nil, fmt.Errorf("couldn't write %s: %w", path, err)
	}
	return l, nil
}

// sign leaves our process id for whoever comes second.
func (l *dirLock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(b))
	if err != nil || pid == "" {
		return "another process"
	}
	return "process " + pid
}

func (l *dirLock) unlock() {
	if l != nil {
		_ = l.file.Close() // also unlocks; nothing was written that could be lost
	}
}
