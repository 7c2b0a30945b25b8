package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
)

// Box reads the letters of a directory back: a queue.LetterBox. A Place.Part is the
// name of a file in it. Workers may write and other boxes be open meanwhile, also on
// other machines that share the directory.
type Box struct {
	dir string
	now func() time.Time
}

// NewBox is the box of a directory, which may be missing: no worker was started then.
func NewBox(dir string) *Box { return &Box{dir: dir, now: time.Now} }

func (b *Box) files() ([]string, error) {
	files, err := LetterFiles(b.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (dead_letter.file; a worker makes it when it starts)", &queue.MissingError{What: "dead letter directory", Name: b.dir})
	}
	return files, err
}

// there is an error if the directory is not.
func (b *Box) there() error {
	_, err := b.files()
	return err
}

// Describe implements queue.LetterBox.
func (b *Box) Describe() string { return "directory " + b.dir }

// Close implements queue.LetterBox.
func (b *Box) Close() error { return nil }

// Letters implements queue.LetterBox: one file after the other, the oldest first. Where
// a file is damaged is a letter with Damage, and reading goes on behind it.
func (b *Box) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	files, err := b.files()
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := b.read(ctx, path, visit); err != nil {
			return err
		}
	}
	return nil
}

// read visits the letters of one file. One that is gone had nothing but resolved ones.
func (b *Box) read(ctx context.Context, path string, visit func(*queue.Letter) error) error {
	r, err := OpenReader(path)
	if errors.Is(err, os.ErrNotExist) {
		return b.there()
	}
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	done, err := readDone(path)
	if err != nil {
		return err
	}
	j := queue.LetterJoiner{Part: filepath.Base(path)}
	for {
		if ctx.Err() != nil {
			return fmt.Errorf("couldn't read all of %s: %w", path, context.Cause(ctx))
		}
		l, err := next(r, &j, done)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if l != nil {
			if err := visit(l); err != nil {
				return err
			}
		}
	}
	for _, l := range j.Rest() {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

// next is the next letter that is open; nil: there is none yet.
func next(r *Reader, j *queue.LetterJoiner, done offsets) (*queue.Letter, error) {
	m, err := r.Next()
	var corrupt *CorruptError
	switch {
	case errors.As(err, &corrupt):
		if done.has(corrupt.Offset) {
			return nil, nil
		}
		m.Position = corrupt.Offset
		return &queue.Letter{Message: m, Places: []queue.Place{{Part: j.Part, Position: corrupt.Offset}}, Damage: corrupt}, nil
	case err != nil:
		return nil, err
	case done.has(m.Position):
		return nil, nil
	}
	return j.Add(m), nil
}

// Resolve implements queue.LetterBox.
func (b *Box) Resolve(ctx context.Context, ls []*queue.Letter) error {
	ready, waits := queue.SplitArriving(ls, b.now())
	if err := b.there(); err != nil {
		return err
	}
	var parts []string
	byPart := map[string][]int64{}
	for _, l := range ready {
		for _, p := range l.Places {
			if byPart[p.Part] == nil {
				parts = append(parts, p.Part)
			}
			byPart[p.Part] = append(byPart[p.Part], p.Position)
		}
	}
	for _, part := range parts {
		if err := b.resolve(ctx, part, byPart[part]); err != nil {
			return fmt.Errorf("couldn't note that letters of %s are resolved: %w", filepath.Join(b.dir, part), err)
		}
	}
	return waits
}

func (b *Box) resolve(ctx context.Context, part string, ats []int64) error {
	if filepath.Base(part) != part || !strings.HasPrefix(part, filePrefix) || !strings.HasSuffix(part, fileSuffix) {
		return errors.New("that is no letter file of this directory")
	}
	path := filepath.Join(b.dir, part)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // removed, since all of it was resolved
	}
	return markDone(ctx, path, ats)
}
