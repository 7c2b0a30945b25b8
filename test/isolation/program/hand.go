package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	look  = 10 * time.Millisecond // between two looks at what the test wishes
	stuff = 24                    // bytes of a note
)

// hand is what the test does with this process's destinations, by files of one
// directory: it writes "moods", and this process appends to "notes".
type hand struct {
	dir   string
	moods atomic.Pointer[map[string]mood]
	was   string // the moods as they were read last
	weigh string // the request for a weight that was answered last

	mu    sync.Mutex
	notes []byte
	file  *os.File
	err   error // of the file: from then on nothing is taken
}

// mood is how one logstore's destination is.
type mood struct {
	dead bool
	rate float64 // groups a second; 0: as many as come
}

func open(dir string) (*hand, error) {
	f, err := os.OpenFile(filepath.Join(dir, "notes"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("FLUSHLINE_ISOLATION_DIR has to name a directory of the test: %w", err)
	}
	h := &hand{dir: dir, file: f}
	h.read()
	return h, nil
}

// follow does what the test wishes, and writes down the notes, until the process ends.
func (h *hand) follow() {
	for range time.NewTicker(look).C {
		h.read()
		h.write()
	}
}

// read takes over moods that have changed. Lines are "LOGSTORE dead", "LOGSTORE RATE",
// and "weigh N", which asks how much memory is in use.
func (h *hand) read() {
	b, err := os.ReadFile(filepath.Join(h.dir, "moods"))
	if err != nil || string(b) == h.was && h.moods.Load() != nil {
		if h.moods.Load() == nil {
			h.moods.Store(&map[string]mood{})
		}
		return
	}
	h.was = string(b)
	moods := map[string]mood{}
	for line := range strings.Lines(h.was) {
		of, how, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch rate, err := strconv.ParseFloat(how, 64); {
		case of == "weigh":
			h.weighs(how)
		case how == "dead":
			moods[of] = mood{dead: true}
		case err == nil:
			moods[of] = mood{rate: rate}
		}
	}
	h.moods.Store(&moods)
}

// weighs writes what is in use after a collection into the file "weight.N".
func (h *hand) weighs(n string) {
	if n == h.weigh {
		return
	}
	h.weigh = n
	runtime.GC()
	runtime.GC() // what pools kept goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	at := filepath.Join(h.dir, "weight."+n)
	err := os.WriteFile(at+".new", strconv.AppendUint(nil, m.HeapAlloc+m.StackInuse, 10), 0o600)
	if err == nil {
		err = os.Rename(at+".new", at)
	}
	h.fail(err)
}

// note says what came and when: the number of the logstore, of the group, when it was
// published, when it was here.
func (h *hand) note(store uint32, groups []came) error {
	now := time.Now().UnixNano()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	for _, g := range groups {
		h.notes = binary.LittleEndian.AppendUint32(h.notes, store)
		h.notes = binary.LittleEndian.AppendUint32(h.notes, g.number)
		h.notes = binary.LittleEndian.AppendUint64(h.notes, uint64(g.published))
		h.notes = binary.LittleEndian.AppendUint64(h.notes, uint64(now))
	}
	return nil
}

type came struct {
	number    uint32
	published int64
}

// write is not part of a Flush: these processes are never killed, and what the file
// costs is not what is measured.
func (h *hand) write() {
	h.mu.Lock()
	notes := h.notes
	h.notes = make([]byte, 0, max(len(notes), 64*stuff))
	h.mu.Unlock()
	if len(notes) > 0 {
		_, err := h.file.Write(notes)
		h.fail(err)
	}
}

func (h *hand) fail(err error) {
	if err == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = errors.Join(h.err, err)
}

func (h *hand) close() error {
	h.write()
	h.fail(h.file.Close())
	return h.err
}
