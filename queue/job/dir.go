package job

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/flushline/flushline/internal/filelock"
)

// dirState keeps a job in a directory below dir. What has a name there is whole:
// values are written beside their place, synced and renamed into it.
//
//	jobs.lock             held for moments, by who begins, claims or removes a job
//	NAME/manifest         the attempt whose pieces count, a newline, the manifest
//	NAME/plan-ATTEMPT/    the pieces of an attempt
//	NAME/shard-3.json     a checkpoint
//	NAME/shard-3.lock     locked by the shard's holder, which it names
type dirState struct {
	dir, job string

	mu     sync.Mutex
	leases map[*dirLease]bool
}

// NameRule is what a job's name has to match.
var NameRule = regexp.MustCompile(`^[A-Za-z0-9_-]{1,48}$`)

const (
	jobsLock     = "jobs.lock"
	manifestFile = "manifest"
	attemptName  = "plan-"
	removedName  = ".removed-"
)

// OpenDir keeps a job in a directory, which is made when it is needed. Locks are
// the operating system's: it drops those of a process that died, so that a claim
// never waits. On a network file system they must be seen by all hosts.
func OpenDir(dir, job string) (State, error) {
	if !NameRule.MatchString(job) {
		return nil, fmt.Errorf("%q is no name of a job: it has 1 to 48 letters, digits, - and _", job)
	}
	return &dirState{dir: dir, job: job, leases: map[*dirLease]bool{}}, nil
}

// DirJobs are the names of the jobs that were begun in a directory, sorted; none
// if it does not exist.
func DirJobs(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !isGone(err) {
		return nil, fmt.Errorf("couldn't list the jobs of a directory: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() || !NameRule.MatchString(e.Name()) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, e.Name(), manifestFile)); err == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Describe implements State.
func (d *dirState) Describe() string { return "directory " + d.home() }

func (d *dirState) home() string { return filepath.Join(d.dir, d.job) }

func (d *dirState) path(name string) string { return filepath.Join(d.home(), name) }

// Manifest implements State.
func (d *dirState) Manifest(ctx context.Context) ([]byte, error) {
	_, manifest, err := d.begun(ctx)
	return manifest, err
}

// begun reads which attempt was published, and its manifest; nothing without an
// error: none was.
func (d *dirState) begun(ctx context.Context) (attempt string, manifest []byte, err error) {
	value, err := d.read(ctx, manifestFile)
	if value == nil || err != nil {
		return "", nil, err
	}
	name, manifest, ok := bytes.Cut(value, []byte("\n"))
	if !ok || filepath.Base(string(name)) != string(name) {
		return "", nil, fmt.Errorf("couldn't read %s: it does not begin with the name of a plan", d.path(manifestFile))
	}
	return string(name), manifest, nil
}

// Piece implements State.
func (d *dirState) Piece(ctx context.Context, i int) ([]byte, error) {
	attempt, _, err := d.begun(ctx)
	if err != nil {
		return nil, err
	}
	var value []byte
	if attempt != "" {
		value, err = d.read(ctx, filepath.Join(attempt, pieceName(i)))
	}
	if value == nil && err == nil {
		err = fmt.Errorf("piece %d of the plan is not in %s", i, d.home())
	}
	return value, err
}

func pieceName(i int) string { return fmt.Sprintf("%06d", i) }

// Checkpoint implements State.
func (d *dirState) Checkpoint(ctx context.Context, shard int) ([]byte, error) {
	return d.read(ctx, checkpointName(shard))
}

func checkpointName(shard int) string { return fmt.Sprintf("shard-%d.json", shard) }

// read returns what is kept under a name; nil without an error: nothing is.
func (d *dirState) read(ctx context.Context, name string) ([]byte, error) {
	const slack = 1 << 10 // the name of a plan
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(d.path(name))
	if isGone(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, MaxValue+slack+1))
	if err != nil {
		return nil, err
	}
	if len(value) > MaxValue+slack {
		return nil, fmt.Errorf("couldn't read %s: it is larger than what flushline writes", f.Name())
	}
	return value, nil
}

// Remove implements State.
func (d *dirState) Remove(ctx context.Context) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.nobodyHolds(); err != nil {
		return err
	}
	// One step, as what is left of a checkpoint would be taken for a later job's.
	removed := d.home() + removedName + randomName()
	if err := os.Rename(d.home(), removed); err != nil && !isGone(err) {
		return err
	}
	d.sweep()
	return filelock.SyncDir(d.dir)
}

// nobodyHolds is a *HeldError while a shard is held. Nobody claims one meanwhile.
func (d *dirState) nobodyHolds() error {
	entries, err := os.ReadDir(d.home())
	if err != nil && !isGone(err) {
		return err
	}
	for _, e := range entries {
		var shard int
		if n, err := fmt.Sscanf(e.Name(), "shard-%d.lock", &shard); n != 1 || err != nil {
			continue
		}
		f, err := d.lockShard(shard)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// sweep deletes what has been removed. What it cannot delete harms nobody: the next
// one tries again.
func (d *dirState) sweep() {
	for _, path := range named(d.dir, d.job+removedName) {
		_ = os.RemoveAll(path)
	}
}

// named are the entries of a directory whose names begin so.
func named(dir, prefix string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths
}

// Close implements State. Leases that were not released end as if the process had
// died.
func (d *dirState) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for l := range d.leases {
		l.file.Close()
	}
	d.leases = map[*dirLease]bool{}
	return nil
}
