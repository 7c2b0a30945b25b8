package cmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/worker"
)

// reloader has a running worker take over its configuration file again: by signal,
// by request, or because the file changed.
type reloader struct {
	path  string
	kinds *flushers.Registry
	log   *zap.Logger
	level zap.AtomicLevel // of log

	mu     sync.Mutex // one reload at a time
	cfg    *configs.Config
	worker *worker.Worker // nil: it has not started yet
	parked *lateParked    // of the worker; nil: it cannot park
	again  bool           // somebody asked before it had
	files  []string       // that the newest reading took values from
	loaded string         // what all of them were like then
	last   string         // what they were like when they were last looked at

	stateMu sync.Mutex // a status does not wait for a reload
	state   worker.ConfigStatus
	used    *configs.Config // cfg, for a status
}

// first reads the file for the start.
func (r *reloader) first(read func() (*configs.Config, *configs.Report, error)) (*configs.Config, *configs.Report, error) {
	before := contentOf(r.path)
	cfg, report, err := read()
	if err != nil {
		return nil, report, err
	}
	r.cfg = cfg
	r.note(before, report)
	r.state, r.used = worker.ConfigStatus{File: cfg.File, Hash: cfg.Hash, Loaded: time.Now()}, cfg
	return cfg, report, nil
}

// note remembers what was read. The file itself is looked at before it is read, so
// that a change in between is seen later on.
func (r *reloader) note(before string, report *configs.Report) {
	r.files = report.Files
	r.loaded = before + contentsOf(r.files)
	r.last = r.loaded
}

// began gives it the worker, which takes over what was asked for too early.
func (r *reloader) began(w *worker.Worker, parked *lateParked) {
	r.mu.Lock()
	r.worker, r.parked = w, parked
	again := r.again
	r.mu.Unlock()
	if again {
		_, _ = r.reload("asked for at the start") // it has logged what came of it
	}
}

var errNotYet = fmt.Errorf("%w: it takes the file over when it has", admin.ErrNotNow)

// reload takes the file over, or says why nothing was changed.
func (r *reloader) reload(why string) (*worker.Changes, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.worker == nil {
		r.again = true
		return nil, errNotYet
	}
	changes, err := r.takeOver()
	if err != nil {
		r.log.Error("the configuration was not taken over", zap.String("why_now", why), zap.Error(err))
		r.settle(func(s *worker.ConfigStatus) {
			s.Failed++
			s.LastError, s.LastErrorAt = err.Error(), time.Now()
		})
		return nil, err
	}
	r.log.Info("the configuration was taken over", zap.String("why_now", why), zap.String("hash", r.cfg.Hash),
		zap.Strings("added", changes.Added), zap.Strings("changed", changes.Changed), zap.Strings("removed", changes.Removed),
		zap.Strings("rerouted", changes.Rerouted), zap.Int("unchanged", len(changes.Unchanged)))
	return changes, nil
}

func (r *reloader) takeOver() (*worker.Changes, error) {
	before := contentOf(r.path)
	next, report := configs.Load(r.path, r.kinds)
	r.note(before, report)
	if next == nil {
		return nil, errors.New("nothing was changed: " + report.Err().Error())
	}
	if err := r.cfg.NeedsRestart(next); err != nil {
		return nil, err
	}
	if err := r.prepare(next); err != nil {
		return nil, fmt.Errorf("nothing was changed: %w", namingFile(err, r.path))
	}
	changes, err := r.worker.Reload(next.Table())
	if err != nil {
		return nil, err
	}
	for i := range report.Problems {
		r.log.Warn(report.Line(&report.Problems[i]))
	}
	r.cfg = next
	r.level.SetLevel(levelOf(next))
	r.settle(func(s *worker.ConfigStatus) {
		s.Reloads++
		r.used = next
		s.Hash, s.Loaded, s.LastError, s.LastErrorAt = next.Hash, time.Now(), "", time.Time{}
	})
	return changes, nil
}

// preparePatience bounds how long a reload waits for the companions that it needs.
const preparePatience = 30 * time.Second

// prepare makes sure of the companions that the next configuration needs, and of those
// for what it removes, before anything could be parked there.
func (r *reloader) prepare(next *configs.Config) error {
	if r.parked == nil {
		return nil
	}
	need := next.Parked()
	if next.Removed == string(worker.RemovedPark) {
		need = append(need, r.cfg.Entries()...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), preparePatience)
	defer cancel()
	return r.parked.Prepare(ctx, need)
}

func (r *reloader) settle(change func(*worker.ConfigStatus)) {
	r.stateMu.Lock()
	defer r.stateMu.Unlock()
	change(&r.state)
}

func (r *reloader) status() worker.ConfigStatus {
	r.stateMu.Lock()
	defer r.stateMu.Unlock()
	return r.state
}

// inUse is the configuration that the worker runs by.
func (r *reloader) inUse() *configs.Config {
	r.stateMu.Lock()
	defer r.stateMu.Unlock()
	return r.used
}

// watchEvery is how often the files are looked at. Their content is read, whatever
// the path leads to: a ConfigMap changes by the swap of a symbolic link, and file
// times say little.
const watchEvery = time.Second

// watch reloads when the files have changed, until ctx ends.
func (r *reloader) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if r.changed() {
				_, _ = r.reload("a file changed") // it has logged what came of it
			}
		}
	}
}

// changed says that the files are others than those that were read, and the same as
// at the last look: one that is just being written is not.
func (r *reloader) changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cfg.Reload.Watch || r.worker == nil {
		return false
	}
	now := contentOf(r.path) + contentsOf(r.files)
	settled := now == r.last
	r.last = now
	return settled && now != r.loaded
}

func contentsOf(files []string) string {
	var b strings.Builder
	for _, f := range files {
		b.WriteString(contentOf(f))
	}
	return b.String()
}

// contentOf stands for what is in a file, or for its not being there.
func contentOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "absent;"
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxWatched)); err != nil {
		return "unreadable;"
	}
	return hex.EncodeToString(h.Sum(nil)) + ";"
}

// maxWatched is beyond what is read of a configuration, or of a value.
const maxWatched = 2 << 20

func levelOf(cfg *configs.Config) zapcore.Level {
	level, err := zapcore.ParseLevel(cfg.Log.Level)
	if err != nil {
		return zapcore.InfoLevel // the configuration accepts no other word
	}
	return level
}
