package file_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
	"github.com/flushline/flushline/queue/queuetest"
)

func TestLetterBox(t *testing.T) {
	queuetest.RunLetterBox(t, queuetest.LetterHarness{Open: func(t *testing.T) queuetest.LetterQueue {
		d := &directory{t: t, dir: filepath.Join(t.TempDir(), "dead [letters]")}
		if err := os.Mkdir(d.dir, 0o750); err != nil {
			t.Fatal(err)
		}
		return d
	}})
}

// directory is one dead letter directory.
type directory struct {
	t   *testing.T
	dir string
}

func (d *directory) Sink() (queue.Sink, func(), error) {
	l, err := file.OpenLetters(d.dir, "pod")
	if err != nil {
		return nil, nil, err
	}
	stop := func() {
		if err := l.Close(); err != nil {
			d.t.Error(err)
		}
	}
	d.t.Cleanup(stop)
	return l, stop, nil
}

func (d *directory) Box() (queue.LetterBox, error) { return file.NewBox(d.dir), nil }

func (d *directory) Left() (n int64, err error) {
	entries, err := os.ReadDir(d.dir)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, err
}

func (d *directory) Remove() error { return os.Rename(d.dir, d.dir+" elsewhere") }
