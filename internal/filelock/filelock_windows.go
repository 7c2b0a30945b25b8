package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// Try takes the file for this process until it is closed. false: another one has
// it. The locked byte lies far behind any content, which others must be able to
// read.
func Try(f *os.File) (bool, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var locked error
	err = conn.Control(func(fd uintptr) {
		far := &windows.Overlapped{OffsetHigh: 0x7fffffff}
		locked = windows.LockFileEx(windows.Handle(fd),
			windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, far)
	})
	if errors.Is(locked, windows.ERROR_LOCK_VIOLATION) || errors.Is(locked, windows.ERROR_IO_PENDING) {
		return false, err
	}
	return locked == nil && err == nil, errors.Join(locked, err)
}

// SyncDir does nothing: NTFS journals names, and a directory cannot be flushed.
func SyncDir(string) error { return nil }
