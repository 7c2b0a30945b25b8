package file

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// Disks here fail, or fill up, and recover. They do not hang, as no call into a file system
// can be cut off: the worker gives such a Flush up.
//
// Not parallel: it starts processes, as TestKilledProcessesLoseNothing does.
func TestConformance(t *testing.T) {
	for name, options := range map[string]map[string]any{
		"lines":              {"path": "{project}/{logstore}.jsonl"},
		"lines by date":      {"path": "{logstore}/{date:2006-01-02}.jsonl"},
		"lines by content":   {"path": "{logstore}/{content.level}.jsonl"},
		"small gzip lines":   {"path": "{logstore}.jsonl.gz", "max_size": 2000},
		"frames":             {"path": "{logstore}.pb", "format": FormatLogGroup},
		"zstd frames by tag": {"path": "{tag.host}/{date:2006}.pb.zst", "format": FormatLogGroup, "open_files": 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			fault := syscall.EIO
			if name == "lines" {
				fault = syscall.ENOSPC // full: unready for five seconds
			}
			kind := Kind()
			kind.New = func() flushers.Flusher {
				f := newFlusher()
				f.wrap = (&disk{onWrite: func(n int) (int, error) {
					if broken.Load() {
						return n / 2, fault
					}
					return n, nil
				}}).wrap
				return f
			}
			flushertest.Run(t, kind, flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				dir := tb.TempDir()
				tb.Cleanup(func() { broken.Store(false) })
				return flushertest.Target{
					Options:   with(options, map[string]any{"root": dir, "host": "pod-0"}),
					Stored:    func() ([]flushertest.Record, error) { return readTree(dir, options["format"] == FormatLogGroup) },
					Break:     func() { broken.Store(true) },
					Heal:      func() { broken.Store(false) },
					InitFails: []map[string]any{{"root": filepath.Join(dir, "missing")}},
				}
			}})
		})
	}
}

func with(options ...map[string]any) map[string]any {
	all := map[string]any{}
	for _, o := range options {
		for k, v := range o {
			all[k] = v
		}
	}
	return all
}

// readTree reads every file below dir as far as it is whole: a torn end was never
// said to be stored.
func readTree(dir string, frames bool) ([]flushertest.Record, error) {
	var out []flushertest.Record
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data, err = unpacked(data, filepath.Ext(path))
		if err != nil {
			return err
		}
		var records []flushertest.Record
		if frames {
			records, err = readFrames(data)
		} else {
			records, err = flushertest.JSONLines(data[:bytes.LastIndexByte(data, '\n')+1])
		}
		out = append(out, records...)
		return err
	})
	return out, err
}

// unpacked is what can be read of a file, also when its last frame is torn.
func unpacked(data []byte, suffix string) ([]byte, error) {
	var r io.Reader
	var err error
	switch {
	case len(data) == 0:
		return nil, nil
	case suffix == ".gz":
		r, err = gzip.NewReader(bytes.NewReader(data))
	case suffix == ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1)); err == nil {
			defer z.Close()
			r = z
		}
	default:
		return data, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(r)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return out, err
}

func readFrames(data []byte) ([]flushertest.Record, error) {
	var out []flushertest.Record
	for r := protocol.NewFrameReader(bytes.NewReader(data), 0); ; {
		frame, err := r.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, protocol.ErrTorn) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		g := &protocol.LogGroup{}
		if err := g.Unmarshal(frame.Data); err != nil {
			return nil, err
		}
		out = append(out, flushertest.Records(g)...)
	}
}
