//go:build unix

package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// files is a tree that groups are written to. Each key has some small files and a
// large one, all of one form and compression.
type files struct {
	tree   string
	letter string // directory of dead letters
	mu     sync.Mutex
	open   map[protocol.Key]*keyFiles
}

const (
	small   = 5  // groups in a small file
	smalls  = 12 // small files of a key
	members = 50 // groups in one member of a compressed file
)

func newFiles(t *testing.T) *files {
	t.Helper()
	return &files{tree: t.TempDir(), letter: t.TempDir(), open: map[protocol.Key]*keyFiles{}}
}

func (f *files) source(string) string {
	return fmt.Sprintf(`file:
    key: [headers, {path: "{project}/{logstore}/{config}/*"}]
dead_letter: {file: %q}`, f.letter)
}

func (f *files) send(_ *testing.T, load *ledger.Load) ledger.Send {
	return func(_ context.Context, key protocol.Key, body []byte) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		k := f.open[key]
		if k == nil {
			k = &keyFiles{dir: filepath.Join(f.tree, key.Project, key.Logstore, key.Config), form: len(f.open) / 3 % 6}
			f.open[key] = k
		}
		return k.add(key, groupOf(load, body), body)
	}
}

// letters counts the files with dead letters.
func (f *files) letters(t *testing.T) (n int64) {
	t.Helper()
	err := filepath.WalkDir(f.letter, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// keyFiles is what one key has.
type keyFiles struct {
	dir    string
	form   int // even: JSON lines, odd: frames; plain, gzip or zstd
	groups int

	file   *os.File
	member bytes.Buffer // what is not yet in the file
	held   int          // groups in member
}

func (k *keyFiles) extension() string {
	return []string{".jsonl", ".pb"}[k.form%2] + []string{"", ".gz", ".zst"}[k.form/2]
}

// add appends a group to the key's newest file.
func (k *keyFiles) add(key protocol.Key, n uint64, body []byte) error {
	if k.groups%small == 0 && k.groups <= small*smalls {
		if err := k.next(); err != nil {
			return err
		}
	}
	k.groups++
	if k.form%2 == 1 {
		k.member.Write(protocol.AppendFrame(nil, protocol.ID{Group: uint32(n)}, key, body))
	} else {
		var g protocol.LogGroup
		if err := g.Unmarshal(body); err != nil {
			return err
		}
		k.member.Write(protocol.AppendJSONLines(nil, &g))
	}
	if k.held++; k.held < members {
		return nil
	}
	return k.flush()
}

// next begins another file.
func (k *keyFiles) next() (err error) {
	if err := k.close(); err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return err
	}
	k.file, err = os.Create(filepath.Join(k.dir, fmt.Sprintf("%04d%s", k.groups, k.extension())))
	return err
}

func (k *keyFiles) close() error {
	if k.file == nil {
		return nil
	}
	if err := k.flush(); err != nil {
		return err
	}
	return k.file.Close()
}

// flush writes a member of its own, as the file flusher does.
func (k *keyFiles) flush() error {
	if k.held == 0 {
		return nil
	}
	k.held = 0
	defer k.member.Reset()
	return compressed(k.file, k.form/2, k.member.Bytes())
}

func compressed(into io.Writer, how int, data []byte) error {
	var z io.WriteCloser
	switch how {
	case 0:
		_, err := into.Write(data)
		return err
	case 1:
		z = gzip.NewWriter(into)
	default:
		w, err := zstd.NewWriter(into)
		if err != nil {
			return err
		}
		z = w
	}
	if _, err := z.Write(data); err != nil {
		return err
	}
	return z.Close()
}

// finish closes all files and counts them.
func (f *files) finish(t *testing.T) (n int64) {
	t.Helper()
	for _, k := range f.open {
		if err := k.close(); err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(f.tree, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
