package logfile

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue/job"
)

// Find makes the plan of what paths name, for a job of that many shards. A path that
// does not exist is an error at once; one below which nothing is found, or a directory
// that cannot be read, is an error of the plan's slices, which look for the files anew
// each time they are walked. ctx is theirs as well.
func Find(ctx context.Context, cfg *Config, paths []string, shards int) (*job.Plan, error) {
	if len(paths) == 0 {
		return nil, errors.New("no path was given: name files, directories, patterns or s3://bucket/prefix")
	}
	f := &finder{ctx: ctx, cfg: cfg, shards: uint64(max(shards, 1))}
	var errs []error
	for _, p := range paths {
		errs = append(errs, f.add(p))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, job.Impossible(err)
	}
	f.forgetAliases()
	if len(f.named) > 0 {
		slices.SortStableFunc(f.named, func(a, b namedFile) int { return compareNames(a.path, b.path) })
		f.lists = append(f.lists, f.files)
	}
	return &job.Plan{Kind: "file", Range: "all of " + strings.Join(paths, " "), Slices: merge(f.lists)}, nil
}

// finder turns paths into lists of slices, each of them in order.
type finder struct {
	ctx    context.Context
	cfg    *Config
	shards uint64
	bucket *bucketClient // made when the first path wants it

	named []namedFile // files that were named themselves
	roots []walk
	lists []job.Slices
}

// namedFile is a file that was named by its path.
type namedFile struct{ path, real string }

func (f *finder) add(p string) error {
	if isRemote(p) {
		return f.addRemote(p)
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return fmt.Errorf("couldn't find %s: %w", p, err)
	}
	switch st, err := os.Stat(abs); {
	case err == nil && st.IsDir():
		return f.addWalk(p, abs, nil)
	case err == nil && st.Mode().IsRegular():
		real, err := filepath.EvalSymlinks(abs)
		if err != nil {
			return fmt.Errorf("couldn't find %s: %w", p, err)
		}
		f.named = append(f.named, namedFile{abs, real})
		return nil
	case err == nil:
		return fmt.Errorf("couldn't read %s: it is neither a file nor a directory", p)
	case errors.Is(err, os.ErrNotExist) && hasWildcard(p):
		return f.addPattern(p, abs)
	default:
		return fmt.Errorf("couldn't find %s: %w", p, reason(err))
	}
}

// addPattern walks the directory before the first wildcard.
func (f *finder) addPattern(p, abs string) error {
	volume := filepath.VolumeName(abs)
	pat, err := parsePattern(strings.TrimPrefix(filepath.ToSlash(abs[len(volume):]), "/"))
	if err != nil {
		return err
	}
	fixed, rest := pat.split()
	dir := volume + string(filepath.Separator) + filepath.Join(fixed...)
	switch st, err := os.Stat(dir); {
	case err != nil:
		return fmt.Errorf("couldn't find %s: the directory %s: %w", p, dir, reason(err))
	case !st.IsDir():
		return fmt.Errorf("couldn't find %s: %s is no directory", p, dir)
	}
	return f.addWalk(p, dir, rest)
}

func (f *finder) addWalk(p, dir string, rest pattern) error {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fmt.Errorf("couldn't find %s: %w", p, err)
	}
	w := walk{finder: f, asked: p, root: real, pattern: rest}
	f.roots = append(f.roots, w)
	f.lists = append(f.lists, w.files)
	return nil
}

// forgetAliases drops links that were named beside the file they lead to, or beside a
// directory that holds it.
func (f *finder) forgetAliases() {
	plain := map[string]bool{}
	for _, n := range f.named {
		if n.path == n.real {
			plain[n.real] = true
		}
	}
	f.named = slices.DeleteFunc(f.named, func(n namedFile) bool {
		for i := range f.roots {
			if n.path != n.real && f.roots[i].holds(n.real) {
				return true
			}
		}
		again := n.path != n.real && plain[n.real]
		plain[n.real] = true
		return again
	})
}

// files are those that were named themselves. A file that is named twice is met twice
// in a row.
func (f *finder) files(yield func(job.Slice, error) bool) {
	last := ""
	for _, n := range f.named {
		if n.path == last {
			continue
		}
		last = n.path
		st, err := os.Stat(n.path)
		if err != nil {
			yield(job.Slice{}, fmt.Errorf("couldn't find %s: %w", n.path, reason(err)))
			return
		}
		if !yield(f.slice(n.path, len(n.path)-len(filepath.Base(n.path)), st.Size(), localStamp(st)), nil) {
			return
		}
	}
}

func (f *finder) slice(name string, cut int, size int64, stamp string) job.Slice {
	s := job.Slice{Name: name, To: -1, Size: size, Stamp: stamp, Cut: cut}
	s.Shard = int(hashOf(below(&s)) % f.shards)
	return s
}

// hashOf is FNV-1a, mixed: its lower bits depend on nothing but the lower bits of the
// text, and a date that stands in directory and name alike would cancel itself out.
func hashOf(text string) uint64 {
	f := fnv.New64a()
	_, _ = f.Write([]byte(text)) // never fails
	h := f.Sum64()
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// below is the name below the root, with slashes.
func below(s *job.Slice) string {
	name := s.Name[min(max(s.Cut, 0), len(s.Name)):]
	if isRemote(s.Name) {
		return name
	}
	return filepath.ToSlash(name)
}
