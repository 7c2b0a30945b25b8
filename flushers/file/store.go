package file

import (
	"container/list"
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/flushline/flushline/protocol"
)

// layout is what a file's content and name depend on, besides its path.
type layout struct {
	frames   bool
	encoding protocol.Encoding
	maxSize  int64
	maxAge   time.Duration
	host     string
}

// file is what a series needs of an *os.File; tests put faults between.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (os.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

func asFile(f *os.File) file { return f }

// store is all files of the process. Lanes meet here: those of one path share
// a series, and all share the number of open files.
type store struct {
	wrap    func(*os.File) file
	syncDir func(root *os.Root, dir string) error

	mu      sync.Mutex
	freed   sync.Cond // a file was closed, or a series is no longer in use
	volumes map[string]*volume
	series  map[seriesKey]*series
	recent  list.List // of *series, the one used last in front
	limit   int       // of open files
	open    int
	shrunk  time.Time // when limit was lowered last
}

type seriesKey struct {
	vol    *volume
	path   string
	layout layout
}

// Series that are closed are kept for a while: they know which number they
// reached.
const keepSeries = 4096

const shrinkEvery = time.Second

func newStore(wrap func(*os.File) file, syncDir func(*os.Root, string) error) *store {
	st := &store{wrap: wrap, syncDir: syncDir, volumes: map[string]*volume{}, series: map[seriesKey]*series{}}
	st.freed.L = &st.mu
	return st
}

// volume opens a root directory, once per process. While a file is opened it needs
// up to three descriptors, its directories included, and connections need some as
// well: so files get a quarter of what the process may have.
func (st *store) volume(root string, openFiles int) (*volume, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	openFiles = max(min(openFiles, descriptors()/4), 1)
	if st.limit == 0 || openFiles < st.limit {
		st.limit = openFiles
	}
	if v := st.volumes[root]; v != nil {
		return v, nil
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the directory root names; create it, or correct root: %w", err)
	}
	if err := writable(root); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("couldn't use the directory root names: this user must not write to %s: %w", root, err)
	}
	v := &volume{root: r}
	st.volumes[root] = v
	return v, nil
}

// use finds the series of a path; it stays until done.
func (st *store) use(v *volume, path string, l layout) *series {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := seriesKey{v, path, l}
	s := st.series[key]
	if s == nil {
		st.forget()
		s = &series{store: st, key: key, name: splitName(path, suffixOf(l.encoding), l.host)}
		s.elem = st.recent.PushFront(s)
		st.series[key] = s
	}
	st.recent.MoveToFront(s.elem)
	s.users++
	return s
}

func (st *store) done(s *series) {
	st.mu.Lock()
	defer st.mu.Unlock()
	s.users--
	if s.users == 0 {
		st.freed.Broadcast()
	}
}

// forget drops the closed series that were unused for longest.
func (st *store) forget() {
	for e := st.recent.Back(); e != nil && st.recent.Len() >= keepSeries; {
		s, before := e.Value.(*series), e.Prev()
		if s.users == 0 && !s.opened {
			st.recent.Remove(e)
			delete(st.series, s.key)
		}
		e = before
	}
}

// slot waits until one more file may be open, and closes the one that was unused
// for longest to that end. Files in use are never closed.
func (st *store) slot(ctx context.Context, s *series) error {
	stop := context.AfterFunc(ctx, func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.freed.Broadcast()
	})
	defer stop()
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d files are open and all in use (open_files): %w", st.open, err)
		}
		if st.open < st.limit {
			st.open++
			s.opened = true
			return nil
		}
		if idle := st.idle(); idle != nil {
			st.closeIdle(idle)
			continue
		}
		st.freed.Wait()
	}
}

func (st *store) idle() *series {
	for e := st.recent.Back(); e != nil; e = e.Prev() {
		if s := e.Value.(*series); s.opened && s.users == 0 {
			return s
		}
	}
	return nil
}

// closeIdle closes the file of a series nobody uses. Closing may take its time,
// so the store is unlocked meanwhile.
func (st *store) closeIdle(s *series) {
	s.users++
	st.mu.Unlock()
	s.owner.Lock()
	s.close()
	s.owner.Unlock()
	st.mu.Lock()
	s.users--
}

// shrink lowers the number of open files to three quarters of what is open: the
// process has no descriptor left, and the rest of it needs some, too. slot then
// closes files nobody uses until there is room. Who failed at the same moment
// shrinks nothing: what it met is mended already.
func (st *store) shrink() (limit int, shrunk bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if time.Since(st.shrunk) < shrinkEvery {
		return st.limit, false
	}
	st.shrunk = time.Now()
	st.limit = max(min(st.limit, st.open*3/4), 1)
	return st.limit, true
}

// free gives back the slot of a series.
func (st *store) free(s *series) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if s.opened {
		s.opened = false
		st.open--
		st.freed.Broadcast()
	}
}

// Close closes what is open. Every lane has left.
func (st *store) Close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for s := st.idle(); s != nil; s = st.idle() {
		st.closeIdle(s)
	}
	for _, v := range st.volumes {
		_ = v.root.Close()
	}
	return nil
}
