package cmd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/flushline/flushline/internal/filelock"
)

// exportTarget is a file, or a directory of files, that appears whole or not at all.
// It is built beside its place and moved there at the end, and never takes the place of
// anything.
type exportTarget struct {
	path string
	dir  bool
	tmp  string // what is built

	file *os.File
	out  *bufio.Writer // of the file, or of the first one in the directory
}

// openExport begins to build. A directory is what ends in a slash or is one already; that
// has to be empty. first is the name of the first file in it.
func openExport(path, first string) (*exportTarget, error) {
	t := &exportTarget{path: filepath.Clean(path), dir: os.IsPathSeparator(path[len(path)-1])}
	if err := t.free(); err != nil {
		return nil, err
	}
	var err error
	pattern := "." + filepath.Base(t.path) + ".tmp-*"
	if t.dir {
		if t.tmp, err = os.MkdirTemp(filepath.Dir(t.path), pattern); err == nil {
			t.file, err = os.OpenFile(filepath.Join(t.tmp, first), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		}
	} else if t.file, err = os.CreateTemp(filepath.Dir(t.path), pattern); err == nil {
		t.tmp = t.file.Name()
	}
	if err != nil {
		t.abandon()
		return nil, fmt.Errorf("couldn't write to --to %s: %w", path, err)
	}
	t.out = bufio.NewWriterSize(t.file, 256<<10)
	return t, nil
}

// free refuses what is there already.
func (t *exportTarget) free() error {
	st, err := os.Stat(t.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("couldn't look at --to %s: %w", t.path, err)
	case !st.IsDir():
		return fmt.Errorf("--to %s is there already and stays as it is: name another file", t.path)
	}
	t.dir = true
	entries, err := os.ReadDir(t.path)
	switch {
	case err != nil:
		return fmt.Errorf("couldn't look at --to %s: %w", t.path, err)
	case len(entries) > 0:
		return fmt.Errorf("--to %s is a directory with something in it, such as %s: name an empty or a new one", t.path, entries[0].Name())
	}
	return nil
}

// add writes one more file of a directory.
func (t *exportTarget) add(name string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(t.tmp, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// finish makes what was built durable and moves it to its place.
func (t *exportTarget) finish() error {
	err := errors.Join(t.out.Flush(), t.file.Sync(), t.file.Close())
	t.file = nil
	if err == nil && t.dir {
		err = t.moveDir()
	} else if err == nil {
		err = t.moveFile()
	}
	if err == nil {
		err = filelock.SyncDir(filepath.Dir(t.path))
	}
	if err != nil {
		t.abandon()
		return fmt.Errorf("couldn't write to --to %s: %w", t.path, err)
	}
	return nil
}

func (t *exportTarget) moveDir() error {
	if err := filelock.SyncDir(t.tmp); err != nil {
		return err
	}
	if err := os.Remove(t.path); err != nil && !errors.Is(err, fs.ErrNotExist) { // an empty directory only
		return err
	}
	return os.Rename(t.tmp, t.path)
}

// moveFile links where the file system can, so that what came meanwhile is not replaced.
func (t *exportTarget) moveFile() error {
	err := os.Link(t.tmp, t.path)
	switch {
	case err == nil:
		return os.Remove(t.tmp)
	case errors.Is(err, fs.ErrExist):
		return err
	}
	if _, err := os.Lstat(t.path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fs.ErrExist)
	}
	return os.Rename(t.tmp, t.path)
}

// abandon removes what was built.
func (t *exportTarget) abandon() {
	if t.file != nil {
		_ = t.file.Close() // it is removed
	}
	if t.tmp != "" {
		_ = os.RemoveAll(t.tmp) // the error that made us give up is told; what stays has a name of its own
	}
}

// fileName is the name of a letter as that of a file.
func fileName(letter string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("._-", r):
			return r
		case r == '/':
			return '-'
		}
		return '_'
	}, letter)
}
