package file

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// lock takes the file for this process until it is closed. The locked byte lies
// far behind any content, as a lock keeps others from reading what it covers.
func lock(f *os.File) (bool, error) {
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

// syncDir does nothing: NTFS journals names, and a directory cannot be flushed.
func syncDir(*os.Root, string) error { return nil }

// writable is left to the first file: only making one tells.
func writable(string) error { return nil }

// noSpace says that there may be room later.
func noSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}

// tooMany says that this process is out of handles.
func tooMany(err error) bool { return errors.Is(err, windows.ERROR_TOO_MANY_OPEN_FILES) }

// descriptors is how many files and sockets the process may have open: as many as
// there is memory for.
func descriptors() int { return math.MaxInt }

// passing says that opening a file may work the next time although nobody
// changed anything.
func passing(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION)
}
