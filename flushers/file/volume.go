package file

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

// volume is one root directory.
type volume struct {
	root    *os.Root
	fullTil atomic.Int64 // of package clock; 0: never was

	mu     sync.Mutex // of the newest listing
	dir    string
	names  []string
	listed time.Time
}

const (
	fullFor   = 5 * time.Second
	listedFor = time.Second
)

func (v *volume) setFull()   { v.fullTil.Store(clock.Now() + int64(fullFor)) }
func (v *volume) full() bool { return clock.Now() < v.fullTil.Load() }

// list is the names in a directory, up to a second old: thousands of lanes that
// open their files in one directory at the same time would otherwise read it
// thousands of times. A name that is missing costs a failed create, no data.
func (v *volume) list(dir string) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.dir == dir && time.Since(v.listed) < listedFor {
		return v.names, nil
	}
	d, err := v.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	v.dir, v.names, v.listed = dir, names, time.Now()
	return names, nil
}
