package job

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/flushline/flushline/internal/filelock"
)

// Publish implements State. Each attempt writes its pieces into a directory of its
// own; the rename of the manifest, which names it, makes them the job's.
func (d *dirState) Publish(ctx context.Context, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) error {
	if begun, _, err := d.begun(ctx); err != nil {
		return err
	} else if begun != "" {
		return ErrBegun
	}
	attempt := attemptName + randomName()
	err := d.attempt(ctx, attempt, pieces, manifest)
	if err == nil {
		return nil
	}
	_ = os.RemoveAll(d.path(attempt)) // if it stays, the next winner removes it
	if begun, _, wrong := d.begun(context.WithoutCancel(ctx)); wrong == nil && begun != "" && !errors.Is(err, ErrBegun) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrBegun, err) // the winner removed what we were writing
	}
	return err
}

func (d *dirState) attempt(ctx context.Context, attempt string, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) error {
	if err := os.MkdirAll(d.path(attempt), 0o750); err != nil {
		return err
	}
	n := 0
	for piece, err := range pieces {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if err := writeSynced(d.path(filepath.Join(attempt, pieceName(n))), piece); err != nil {
			return err
		}
		n++
	}
	value, err := manifest(n)
	if err != nil {
		return err
	}
	if err := errors.Join(filelock.SyncDir(d.path(attempt)), filelock.SyncDir(d.home()), filelock.SyncDir(d.dir)); err != nil {
		return err
	}
	return d.begin(ctx, attempt, value)
}

// begin makes an attempt the job's, unless another one is.
func (d *dirState) begin(ctx context.Context, attempt string, manifest []byte) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if begun, _, err := d.begun(ctx); err != nil {
		return err
	} else if begun != "" {
		return ErrBegun
	}
	if err := replace(d.path(manifestFile), append([]byte(attempt+"\n"), manifest...)); err != nil {
		return err
	}
	for _, orphan := range named(d.home(), attemptName) {
		if orphan != d.path(attempt) {
			_ = os.RemoveAll(orphan)
		}
	}
	d.sweep()
	return nil
}

// lock keeps out all others that begin, claim or remove jobs of the directory. It
// is held for moments.
func (d *dirState) lock(ctx context.Context) (unlock func(), err error) {
	const again = 5 * time.Millisecond
	if err := os.MkdirAll(d.dir, 0o750); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d.dir, jobsLock), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, err
	}
	for {
		ok, err := filelock.Try(f)
		if ok {
			return func() { f.Close() }, nil
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("couldn't lock %s: %w", f.Name(), err)
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("couldn't lock %s, which another process keeps: %w", f.Name(), ctx.Err())
		}
	}
}

// replace puts a value durably into its place.
func replace(path string, value []byte) error {
	beside := path + ".new"
	if err := writeSynced(beside, value); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return err
	}
	return filelock.SyncDir(filepath.Dir(path))
}

func writeSynced(path string, value []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	return errors.Join(err, f.Sync(), f.Close())
}

func randomName() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }
