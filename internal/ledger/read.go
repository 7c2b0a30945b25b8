package ledger

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// Sighting is one log found at a destination.
type Sighting struct {
	File       string
	Unreadable bool // a line that is no JSON, a frame whose checksum is wrong
	ID         ID
	Known      bool // ID was readable and of this run
	Key        protocol.Key
	Intact     bool      // contents, time, tags and key are as they were sent
	At         time.Time // when it arrived; zero: the destination does not say
}

// Files says how a flusher's files are read.
type Files struct {
	Root string
	Run  string

	// Place says whether a log of that key belongs into that file (a path below
	// Root, with slashes); nil: any.
	Place func(path string, key protocol.Key) bool
}

// Tally is what Read went through.
type Tally struct {
	Files int `json:"files"`
	Logs  int `json:"logs"`
	// Torn counts files that end in the middle of a line, a frame or a compressed
	// block, as a kill leaves them. What stands before the tear was read.
	Torn int `json:"torn"`
}

// Read goes through all files below a root, in the order of their paths, and
// calls each for every log. Names that end in .gz or .zst are decompressed, names
// with .pb are LogGroup frames, all others are JSON lines of the shape
// {"contents":{...},"tags":{...},"time":N,"time_ns":N}.
func Read(f Files, each func(Sighting)) (Tally, error) {
	var t Tally
	err := filepath.WalkDir(f.Root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		t.Files++
		torn, err := f.file(path, func(s Sighting) {
			t.Logs++
			each(s)
		})
		if torn {
			t.Torn++
		}
		return err
	})
	if err != nil {
		return t, fmt.Errorf("couldn't read flushed files: %w", err)
	}
	return t, nil
}

func (f *Files) file(path string, each func(Sighting)) (torn bool, err error) {
	rel, err := filepath.Rel(f.Root, path)
	if err != nil {
		return false, err
	}
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer file.Close()
	plain, done, err := decompress(path, bufio.NewReaderSize(file, 1<<16))
	if err != nil {
		return isTear(err), tearIsNoError(err)
	}
	defer done()
	read := f.lines
	if strings.Contains(filepath.Base(path), ".pb") {
		read = f.frames
	}
	err = read(plain, filepath.ToSlash(rel), each)
	return isTear(err), tearIsNoError(err)
}

func decompress(path string, r io.Reader) (io.Reader, func(), error) {
	switch filepath.Ext(path) {
	case ".gz":
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

func isTear(err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, protocol.ErrTorn)
}

func tearIsNoError(err error) error {
	if isTear(err) {
		return nil
	}
	return err
}

// lines returns io.ErrUnexpectedEOF for a last line without its end.
func (f *Files) lines(r io.Reader, path string, each func(Sighting)) error {
	br := bufio.NewReaderSize(r, 1<<16)
	for {
		raw, err := br.ReadBytes('\n')
		switch {
		case errors.Is(err, io.EOF) && len(raw) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		each(f.Line(raw, path))
	}
}

// line is the shape of a log as JSON; a group's source and topic are tags there.
type line struct {
	Contents map[string]string `json:"contents"`
	Tags     map[string]string `json:"tags"`
	Time     int64             `json:"time"`
	TimeNs   int64             `json:"time_ns"`
	Arrived  int64             `json:"ledger_arrived_ns"` // see Stamp
}

// Stamp notes in a JSON line when it arrived, for [Files.Line] to read back. What is
// no JSON object stays as it is.
func Stamp(raw []byte, at time.Time) []byte {
	if len(raw) < 3 || raw[0] != '{' {
		return raw
	}
	return append(fmt.Appendf(nil, `{"ledger_arrived_ns":%d,`, at.UnixNano()), raw[1:]...)
}

// Line is the sighting of one JSON line, found in a file or sent to a server.
func (f *Files) Line(raw []byte, path string) Sighting {
	var l line
	if json.Unmarshal(raw, &l) != nil {
		return Sighting{File: path, Unreadable: true}
	}
	fields := make([][2]string, 0, len(l.Contents))
	for k, v := range l.Contents {
		fields = append(fields, [2]string{k, v})
	}
	s := f.sight(fields, sentWith(l.Time, l.TimeNs, l.Tags[tagHost], l.Tags["host.ip"], l.Tags["log.topic"]), path)
	if l.Arrived != 0 {
		s.At = time.Unix(0, l.Arrived)
	}
	return s
}

func (f *Files) sight(fields [][2]string, arrived, path string) Sighting {
	s := Sighting{File: path}
	var key, sum, sent string
	covered := fields[:0:0]
	for _, kv := range fields {
		switch kv[0] {
		case fieldID:
			s.ID, s.Known = parseID(f.Run, kv[1])
		case fieldKey:
			key = kv[1]
		case fieldSent:
			sent = kv[1]
		case fieldCRC:
			sum = kv[1]
			continue
		}
		covered = append(covered, kv)
	}
	if p := strings.Split(key, "/"); len(p) == 3 {
		s.Key = protocol.Key{Project: p[0], Logstore: p[1], Config: p[2]}
	}
	s.Intact = sum == checksum(covered) && sent == arrived && (f.Place == nil || f.Place(path, s.Key))
	return s
}
