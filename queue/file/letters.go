package file

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flushline/flushline/internal/filelock"
	"github.com/flushline/flushline/queue"
)

// rotateBytes is the size at which the next Put begins a new file.
const rotateBytes = 64 << 20

// A file takes no more letters at fileAge, and none is confirmed in it at lateAge, also
// if the process stood still meanwhile. At freeAge nobody has to know whether its writer
// lives. What lies between is room for clocks that differ.
const (
	fileAge = 24 * time.Hour
	lateAge = 36 * time.Hour
	freeAge = 48 * time.Hour
)

// pieceBytes bounds the copy that Put makes of many letters.
const pieceBytes = 1 << 20

// Letters is a directory of dead letters: a queue.Sink. It may be used from any
// goroutine; puts wait for one another.
type Letters struct {
	dir    string
	host   string
	rotate int64
	now    func() time.Time

	mu   sync.Mutex
	file *os.File // nil: the next Put makes one
	size int64    // of what is confirmed
	made time.Time
}

// OpenLetters makes the directory if it is missing and checks that files can be
// made in it. host names this worker in file names.
func OpenLetters(dir, host string) (*Letters, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("couldn't make the dead letter directory: %w", err)
	}
	probe, err := os.CreateTemp(dir, ".probe-*")
	if err != nil {
		return nil, fmt.Errorf("couldn't write to the dead letter directory: %w", err)
	}
	_ = probe.Close() // empty
	if err := os.Remove(probe.Name()); err != nil {
		return nil, fmt.Errorf("couldn't remove a probe from the dead letter directory: %w", err)
	}
	return &Letters{dir: dir, host: nameable(host), rotate: rotateBytes, now: time.Now}, nil
}

// nameable keeps a host's name from leaving the directory.
func nameable(host string) string {
	host = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, host)
	return host[:min(len(host), 100)]
}

// Describe implements queue.Sink.
func (l *Letters) Describe() string { return "directory " + l.dir }

// Put implements queue.Sink: one fsync for all of ms, so they are stored together
// or not at all. A message that cannot be encoded fails alone.
func (l *Letters) Put(ctx context.Context, ms []queue.Message) []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return slices.Repeat([]error{l.failed(err)}, len(ms))
	}
	errs := make([]error, len(ms))
	if err := l.store(ms, errs); err != nil {
		return slices.Repeat([]error{l.failed(err)}, len(ms))
	}
	if errors.Join(errs...) == nil {
		return nil
	}
	return errs
}

func (l *Letters) failed(err error) error {
	return fmt.Errorf("couldn't put a letter into %s: %w", l.dir, err)
}

// store appends ms durably. After an error the file is left behind without what
// was not confirmed, and the next Put begins another one: after a failed fsync
// nobody knows what the disk holds.
func (l *Letters) store(ms []queue.Message, errs []error) error {
	if l.file != nil && (l.size >= l.rotate || l.age() >= fileAge) {
		if err := l.endFile(); err != nil {
			return err
		}
	}
	if l.file == nil {
		if err := l.create(); err != nil {
			return err
		}
	}
	n, err := l.write(ms, errs)
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil && l.age() >= lateAge {
		err = fmt.Errorf("it took until %s after the file was made, which somebody may have removed meanwhile", l.age())
	}
	if err != nil {
		_ = l.file.Truncate(l.size) // readers recognise what could not be cut
		_ = l.closeFile()           // the first error says it
		return err
	}
	l.size += n
	return nil
}

// write encodes and writes, about pieceBytes at a time.
func (l *Letters) write(ms []queue.Message, errs []error) (n int64, err error) {
	var b []byte
	at := l.now()
	for i := range ms {
		if b, err = appendRecord(b, &ms[i], at); err != nil {
			errs[i] = l.failed(err)
		}
		if len(b) < pieceBytes && i < len(ms)-1 {
			continue
		}
		if _, err := l.file.Write(b); err != nil {
			return n, err
		}
		n += int64(len(b))
		b = b[:0]
	}
	return n, nil
}

// create makes the next file, and makes its name durable.
func (l *Letters) create() error {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	made := l.now()
	name := fmt.Sprintf("%s%s-%s-%s%s", filePrefix, made.UTC().Format(timeForm), l.host, hex.EncodeToString(id[:]), fileSuffix)
	f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(magic); err == nil {
		err = filelock.SyncDir(l.dir)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name()) // holds no letter
		return err
	}
	l.file, l.size, l.made = f, int64(len(magic)), made
	return nil
}

// age is how old the file is by the clock on the wall, which goes on while a machine
// sleeps.
func (l *Letters) age() time.Duration { return l.now().Round(0).Sub(l.made.Round(0)) }

// timeForm is how a file's name says when it was made, in UTC.
const timeForm = "20060102T150405.000"

// madeAt reads that from a name.
func madeAt(name string) (time.Time, bool) {
	rest := strings.TrimPrefix(name, filePrefix)
	if len(rest) < len(timeForm) {
		return time.Time{}, false
	}
	t, err := time.Parse(timeForm, rest[:len(timeForm)])
	return t, err == nil
}

// endFile marks the file as complete. If the mark is lost, Free waits until the file
// is old.
func (l *Letters) endFile() error {
	_, err := l.file.WriteString(endMark(l.file.Name(), l.size))
	return errors.Join(err, l.closeFile())
}

func (l *Letters) closeFile() error {
	err := l.file.Close()
	l.file, l.size = nil, 0
	return err
}

// Close ends the file at hand; everything confirmed is on the disk already. A
// later Put begins a new file.
func (l *Letters) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	return l.endFile()
}
