package file

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flushline/flushline/internal/filelock"
)

const (
	doneSuffix = ".done"
	doneWord   = "done"
	doneBytes  = len(doneWord) + 8 + 4
)

// offsets are those of resolved letters, in order.
type offsets []int64

func (o offsets) has(at int64) bool {
	_, found := slices.BinarySearch(o, at)
	return found
}

// readDone is what the sidecar of a letter file says; without one nothing is resolved.
func readDone(path string) (offsets, error) {
	b, err := os.ReadFile(path + doneSuffix)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("couldn't read which letters are resolved: %w", err)
	}
	return parseDone(b), nil
}

// parseDone passes over what is no record: a crash leaves one cut off, and others
// append behind it. A record that is lost shows a letter again and hides none.
func parseDone(b []byte) offsets {
	done := make(offsets, 0, len(b)/doneBytes)
	for len(b) >= doneBytes {
		one := b[:doneBytes]
		sum := binary.LittleEndian.Uint32(one[doneBytes-4:])
		at := int64(binary.LittleEndian.Uint64(one[len(doneWord):]))
		if string(one[:len(doneWord)]) != doneWord || at < 0 || crc32.Checksum(one[:doneBytes-4], castagnoli) != sum {
			b = b[1:]
			continue
		}
		done, b = append(done, at), b[doneBytes:]
	}
	slices.Sort(done)
	return slices.Compact(done)
}

func appendDone(b []byte, at int64) []byte {
	start := len(b)
	b = binary.LittleEndian.AppendUint64(append(b, doneWord...), uint64(at))
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// markDone appends offsets to the sidecar of a letter file, durably. Those that are
// there already are left out.
func markDone(ctx context.Context, path string, ats []int64) error {
	f, err := os.OpenFile(path+doneSuffix, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer f.Close() // what was written is synced
	if err := lock(ctx, f); err != nil {
		return err
	}
	done, err := readDone(path)
	if err != nil {
		return err
	}
	slices.Sort(ats)
	var b []byte
	for _, at := range slices.Compact(ats) {
		if !done.has(at) {
			b = appendDone(b, at)
		}
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	return errors.Join(f.Sync(), filelock.SyncDir(filepath.Dir(path))) // whoever wrote the rest may not have come so far
}

// lockAgain is how often a lock that another process has is tried.
const lockAgain = 10 * time.Millisecond

// lock waits until f is ours. Where the file system has no locks, appending is all the
// care there is.
func lock(ctx context.Context, f *os.File) error {
	for {
		ok, err := filelock.Try(f)
		if ok || errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("couldn't lock %s: %w", f.Name(), err)
		}
		select {
		case <-time.After(lockAgain):
		case <-ctx.Done():
			return fmt.Errorf("couldn't lock %s, which another process keeps: %w", f.Name(), context.Cause(ctx))
		}
	}
}
