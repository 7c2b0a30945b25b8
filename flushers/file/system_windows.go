package file

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

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
