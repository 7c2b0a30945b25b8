package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/flushline/flushline/internal/filelock"
	"github.com/flushline/flushline/internal/mutant"
)

// dirLease is the lock of a shard.
type dirLease struct {
	state      *dirState
	file       *os.File
	shard      int
	checkpoint []byte
	lost       chan struct{}
	once       sync.Once
}

// Claim implements State.
func (d *dirState) Claim(ctx context.Context, shard int) (Lease, error) {
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := os.MkdirAll(d.home(), 0o750); err != nil {
		return nil, err
	}
	f, err := d.lockShard(shard)
	if err != nil {
		return nil, err
	}
	l := &dirLease{state: d, file: f, shard: shard, lost: make(chan struct{})}
	if err = sign(f); err == nil {
		l.checkpoint, err = d.Checkpoint(ctx, shard)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leases[l] = true
	return l, nil
}

// lockShard takes a shard's lock, or says who has it. The directory's lock is held.
func (d *dirState) lockShard(shard int) (*os.File, error) {
	f, err := os.OpenFile(d.path(lockName(shard)), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	ok, err := filelock.Try(f)
	if ok {
		return f, nil
	}
	defer f.Close()
	if err != nil {
		return nil, fmt.Errorf("couldn't lock %s: %w", f.Name(), err)
	}
	return nil, &HeldError{Shard: shard, By: signature(f), Seen: d.seen(shard)}
}

func lockName(shard int) string { return fmt.Sprintf("shard-%d.lock", shard) }

// sign leaves our name for whoever comes second.
func sign(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%s, process %d\n", host, os.Getpid()), 0)
	return err
}

func signature(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 512))
	if by := strings.TrimSpace(string(b)); err == nil && by != "" {
		return by
	}
	return "another process"
}

// seen is when the shard's holder wrote something last.
func (d *dirState) seen(shard int) time.Time {
	var last time.Time
	for _, name := range []string{lockName(shard), checkpointName(shard)} {
		if info, err := os.Stat(d.path(name)); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// Checkpoint implements Lease.
func (l *dirLease) Checkpoint() []byte { return l.checkpoint }

// Save implements Lease. It is lost when somebody deleted or replaced the directory
// behind our back: what has its name now is not what was claimed.
func (l *dirLease) Save(ctx context.Context, value []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if mutant.On(mutant.SaveUnfencedDir) {
		return replace(l.state.path(checkpointName(l.shard)), value)
	}
	ours, err := l.file.Stat()
	if errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("%w: the lease has ended", ErrLost)
	}
	if err != nil {
		return err
	}
	now, err := os.Stat(l.state.path(lockName(l.shard)))
	if isGone(err) || err == nil && !os.SameFile(ours, now) {
		l.once.Do(func() { close(l.lost) })
		return fmt.Errorf("%w: %s was removed", ErrLost, l.file.Name())
	}
	if err != nil {
		return err
	}
	return replace(l.state.path(checkpointName(l.shard)), value)
}

// Lost implements Lease.
func (l *dirLease) Lost() <-chan struct{} { return l.lost }

// Release implements Lease.
func (l *dirLease) Release(context.Context) error {
	l.state.mu.Lock()
	defer l.state.mu.Unlock()
	delete(l.state.leases, l)
	l.file.Close()
	return nil
}
