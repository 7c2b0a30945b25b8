package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flushline/flushline/internal/filelock"
	"github.com/flushline/flushline/queue"
)

// kept is what Free left of resolved letters.
type kept struct {
	mixed, open int // files that hold open letters as well, and these letters
	waiting     int // files that hold none
	bytes       int64
}

// Free implements queue.LetterBox: it removes each file whose letters are all resolved
// and that nobody can be writing any more. Its worker ended it, or it is older than a
// worker writes any file: which machine that is on, and whether it lives, is not known
// here.
func (b *Box) Free(ctx context.Context) (text string, err error) {
	files, err := b.files()
	if err != nil {
		return "", err
	}
	var k kept
	var failed []error
	for _, path := range files {
		if err := b.free(ctx, path, &k); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	if err := b.strays(); err != nil {
		failed = append(failed, err)
	}
	if err := filelock.SyncDir(b.dir); err != nil {
		failed = append(failed, err)
	}
	if err := errors.Join(failed...); err != nil {
		return k.text(), fmt.Errorf("couldn't free %s: %w", b.Describe(), err)
	}
	return k.text(), nil
}

// free removes one file, or counts it.
func (b *Box) free(ctx context.Context, path string, k *kept) error {
	still, err := b.closed(path)
	if err != nil || still == nil {
		return err
	}
	open := 0
	err = b.read(ctx, path, func(*queue.Letter) error { open++; return nil })
	if err != nil {
		return err
	}
	done, err := readDone(path)
	switch {
	case err != nil:
		return err
	case open == 0 && still.done:
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case len(done) == 0:
		return nil
	case open == 0:
		k.waiting++
	default:
		k.mixed++
		k.open += open
	}
	k.bytes += still.size
	return nil
}

// state is what a file's end and age say.
type state struct {
	done bool // nobody writes it
	size int64
}

// closed is asked before the letters are read, so that none can come behind them. nil:
// the file is gone.
func (b *Box) closed(path string) (*state, error) {
	r, err := OpenReader(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was only read
	st, err := r.file.Stat()
	if err != nil {
		return nil, r.failed(err)
	}
	made, ok := madeAt(filepath.Base(path))
	old := func(t time.Time) bool { return b.now().Sub(t) >= freeAge }
	return &state{done: r.Ended() || ok && old(made) && old(st.ModTime()), size: st.Size()}, nil
}

// strays removes sidecars whose files are gone.
func (b *Box) strays() error {
	all, err := listed(b.dir, fileSuffix+doneSuffix)
	if err != nil {
		return err
	}
	var failed []error
	for _, side := range all {
		if _, err := os.Stat(strings.TrimSuffix(side, doneSuffix)); errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(side); err != nil && !errors.Is(err, os.ErrNotExist) {
				failed = append(failed, err)
			}
		}
	}
	return errors.Join(failed...)
}

func (k *kept) text() string {
	var all []string
	if k.mixed > 0 {
		all = append(all, fmt.Sprintf("%d files hold resolved letters beside %d that are open", k.mixed, k.open))
	}
	if k.waiting > 0 {
		all = append(all, fmt.Sprintf("%d files hold resolved letters alone, but their workers may still write them: free again when the workers have stopped (what a crash left goes %d hours after it was made)", k.waiting, int(freeAge.Hours())))
	}
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%s; %d bytes stay", strings.Join(all, ", "), k.bytes)
}
