package logfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/flushline/flushline/queue/job"
)

// localFile is a file of this machine.
type localFile struct {
	file  *os.File
	slice *job.Slice
	mtime time.Time
	hash  string // of the first identityBytes
}

// identityBytes are enough to tell files of one name and size apart.
const identityBytes = 64 << 10

func openLocal(s *job.Slice) (*localFile, error) {
	// A named pipe that took the place of the file would make an open wait for ever.
	st, err := os.Stat(s.Name)
	if err != nil {
		return nil, unopened(s, err)
	}
	if !st.Mode().IsRegular() {
		return nil, &job.ChangedError{Slice: s.Name, Why: "it is no regular file any more"}
	}
	f, err := os.Open(s.Name)
	if err != nil {
		return nil, unopened(s, err)
	}
	l := &localFile{file: f, slice: s}
	if err := l.begin(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return l, nil
}

func unopened(s *job.Slice, err error) error {
	wrapped := fmt.Errorf("couldn't open %s: %w", s.Name, reason(err))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &job.ChangedError{Slice: s.Name, Why: "it is gone"}
	case errors.Is(err, fs.ErrPermission):
		return job.Unreadable(wrapped)
	}
	return wrapped
}

func (l *localFile) begin() error {
	if err := l.unchanged(); err != nil {
		return err
	}
	first := make([]byte, min(identityBytes, l.slice.Size))
	if n, err := l.file.ReadAt(first, 0); n < len(first) {
		return l.failed(err)
	}
	sum := sha256.Sum256(first)
	l.hash = hex.EncodeToString(sum[:])
	return nil
}

// unchanged compares what is open with the plan.
func (l *localFile) unchanged() error {
	st, err := l.file.Stat()
	switch {
	case err != nil:
		return l.failed(err)
	case st.Size() != l.slice.Size:
		return l.changed(fmt.Sprintf("it had %d bytes and has %d", l.slice.Size, st.Size()))
	case localStamp(st) != l.slice.Stamp:
		return l.changed("it was written to: its time is now " + st.ModTime().Format(time.RFC3339Nano))
	}
	l.mtime = st.ModTime()
	return nil
}

func (l *localFile) changed(why string) error {
	return &job.ChangedError{Slice: l.slice.Name, Why: why}
}

func (l *localFile) failed(err error) error {
	if errors.Is(err, io.EOF) {
		return l.changed(fmt.Sprintf("it ends before its %d bytes", l.slice.Size))
	}
	return fmt.Errorf("couldn't read %s: %w", l.slice.Name, reason(err))
}

func (l *localFile) readAt(ctx context.Context, p []byte, at int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	left := l.slice.Size - at
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := l.file.ReadAt(p[:min(int64(len(p)), left)], at)
	if n > 0 || len(p) == 0 {
		return n, nil // what is wrong shows again
	}
	return 0, l.failed(err)
}

func (l *localFile) modified() time.Time { return l.mtime }
func (l *localFile) identity() string    { return l.hash }
func (l *localFile) close() error        { return l.file.Close() }
