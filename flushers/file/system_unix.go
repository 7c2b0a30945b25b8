//go:build unix

package file

import (
	"errors"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// writable asks, without writing, whether files can be made in a directory.
func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// noSpace says that there may be room later.
func noSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// tooMany says that this process, or the whole system, is out of descriptors.
func tooMany(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// descriptors is how many files and sockets the process may have open.
func descriptors() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return math.MaxInt // nothing is known: open_files alone counts
	}
	return int(min(l.Cur, math.MaxInt32))
}

// passing says that opening a file may work the next time although nobody
// changed anything.
func passing(err error) bool {
	for _, e := range []error{unix.EIO, unix.ESTALE, unix.EINTR, unix.EAGAIN, unix.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
