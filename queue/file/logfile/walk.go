package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/flushline/flushline/queue/job"
)

const pathSeparator = filepath.Separator

// walk is a directory whose files are read: all of them, or those that fit a pattern.
type walk struct {
	*finder
	asked   string // as it was written
	root    string // absolute, without links
	pattern pattern
}

// holds says whether a file, named without links, is found by this walk.
func (w *walk) holds(path string) bool {
	rest, ok := strings.CutPrefix(path, w.prefix())
	return ok && (w.pattern == nil || w.pattern.match(filepath.ToSlash(rest)))
}

// prefix is the root with a separator behind it.
func (w *walk) prefix() string {
	return strings.TrimSuffix(w.root, string(pathSeparator)) + string(pathSeparator)
}

// errStop ends a walk whose slices nobody wants any more.
var errStop = errors.New("enough")

func (w walk) files(yield func(job.Slice, error) bool) {
	n, cut := 0, len(w.prefix())
	err := filepath.WalkDir(w.root, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = w.ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("couldn't walk %s: %s: %w", w.asked, path, reason(err))
		}
		name := ""
		if len(path) > cut {
			name = filepath.ToSlash(path[cut:])
		}
		switch {
		case d.IsDir():
			if name != "" && w.pattern != nil && !w.pattern.above(name) {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular(), w.pattern != nil && !w.pattern.match(name):
			return nil
		}
		st, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed since the directory was read
		}
		if err != nil {
			return fmt.Errorf("couldn't walk %s: %s: %w", w.asked, path, reason(err))
		}
		n++
		if !yield(w.slice(path, cut, st.Size(), localStamp(st)), nil) {
			return errStop
		}
		return nil
	})
	switch {
	case errors.Is(err, errStop):
	case err != nil:
		yield(job.Slice{}, err)
	case n == 0 && w.pattern != nil:
		yield(job.Slice{}, job.Impossible(fmt.Errorf("couldn't find a file that fits %s", w.asked)))
	case n == 0:
		yield(job.Slice{}, job.Impossible(fmt.Errorf("couldn't find a file below %s", w.asked)))
	}
}

// localStamp is the time of the last change.
func localStamp(st os.FileInfo) string { return strconv.FormatInt(st.ModTime().UnixNano(), 10) }

// reason is an error without the operation and path it repeats.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
