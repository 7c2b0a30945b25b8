package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
)

// Deadlines of the calls that are not Flush.
const (
	initLimit  = 30 * time.Second
	readySlow  = time.Second      // slower than this counts as false
	readyLimit = 20 * time.Second // abandoned after
	otherLimit = 5 * time.Second  // SetUrgent, Stop
	// flushGrace is what a flusher that watches its context has beyond the flush
	// timeout to return by itself, which spares a new instance.
	flushGrace = time.Second
)

// instance is one flusher of one lane, and the Context it was given.
type instance struct {
	f       flushers.Flusher
	batcher flushers.BatchFlusher // nil: Flush
	entry   *entry
	lane    *lane

	ctx    context.Context
	cancel context.CancelCauseFunc

	concurrent int
	hint       flushers.Hint
	urgent     atomic.Bool    // what it was told
	calls      sync.WaitGroup // Flush calls inside it, abandoned ones included
	stopped    chan struct{}  // closed when Stop returned or was given up
	stopOnce   sync.Once
	overOnce   sync.Once
	spent      atomic.Bool  // a call was abandoned: make another
	users      atomic.Int32 // the lane while it may make calls, and abandoned calls

	mu       sync.Mutex
	releases []func() // of shared values it did not release itself
}

var errCallAbandoned = errors.New("a call of this instance outlasted its limit")

func newInstance(l *lane) *instance {
	inst := &instance{
		entry: l.entry, lane: l, concurrent: 1, stopped: make(chan struct{}),
	}
	inst.users.Store(1)
	inst.ctx, inst.cancel = context.WithCancelCause(l.w.hard)
	return inst
}

// left says whether the last user of a spent instance has let go of it. It has to
// be stopped then.
func (inst *instance) left() bool { return inst.users.Add(-1) == 0 }

// init makes the flusher and runs Init; a panic is its error.
func (inst *instance) init() (err error) {
	defer contain(&err)
	inst.f = inst.entry.New()
	inst.batcher, _ = inst.f.(flushers.BatchFlusher)
	if err := inst.f.Init(inst); err != nil {
		return err
	}
	if err := inst.ask(); err != nil { // it has begun: what it opened is closed
		return errors.Join(err, inst.stopCall())
	}
	return nil
}

// ask learns the wishes of a flusher that has begun.
func (inst *instance) ask() (err error) {
	defer contain(&err)
	if c, ok := inst.f.(flushers.Concurrent); ok {
		inst.concurrent = max(1, c.Concurrent())
	}
	if h, ok := inst.f.(flushers.Hinter); ok {
		inst.hint = h.BatchHint()
	}
	return nil
}

func (inst *instance) setUrgent(flag bool) (err error) {
	defer contain(&err)
	inst.urgent.Store(flag)
	inst.f.SetUrgent(flag)
	return nil
}

func (inst *instance) flush(b *batch, began time.Time) (err error) {
	defer contain(&err)
	k := &inst.lane.key
	if inst.batcher == nil {
		return inst.f.Flush(k.Project, k.Logstore, k.Config, b.groups)
	}
	ctx := &timeout{parent: inst.ctx, limit: began.Add(inst.entry.FlushTimeout)}
	defer ctx.end()
	return inst.batcher.FlushBatch(ctx, &flushers.Batch{
		Project: k.Project, Logstore: k.Logstore, Config: k.Config,
		Groups: b.groups, Raw: b.raw, IDs: b.ids, Attempt: b.attempt, FirstSeen: b.oldest(),
	})
}

// stop tells the instance that it is replaced or idle, or that the process exits,
// waits for its calls, and stops it. It returns when Stop did, or gives up and ends
// the instance's context; calls after the first wait for that.
func (inst *instance) stop(urgent bool, patience time.Duration) {
	inst.stopOnce.Do(func() {
		go inst.stopNow(urgent)
	})
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-inst.stopped:
	case <-t.C:
		inst.lane.log().Warn("the flusher did not stop in time; it is left behind", zap.Duration("after", patience))
		inst.over()
	}
}

// over lets the next instance of the lane begin.
func (inst *instance) over() {
	inst.overOnce.Do(func() { close(inst.stopped) })
	inst.cancel(context.Canceled)
}

func (inst *instance) stopNow(urgent bool) {
	defer inst.over()
	inst.calls.Wait()
	if !inst.urgent.Load() || !urgent { // it may have been told already
		if err := inst.setUrgent(urgent); err != nil {
			inst.lane.log().Error("SetUrgent failed", zap.Error(err))
		}
	}
	if err := inst.stopCall(); err != nil {
		inst.lane.log().Error("Stop failed", zap.Error(err))
	}
	inst.discard()
}

func (inst *instance) stopCall() (err error) {
	defer contain(&err)
	return inst.f.Stop()
}

// discard ends the runtime context and the shared values of an instance that
// failed Init or has stopped.
func (inst *instance) discard() {
	inst.cancel(context.Canceled)
	inst.mu.Lock()
	releases := inst.releases
	inst.releases = nil
	inst.mu.Unlock()
	for _, release := range releases {
		release()
	}
}

// The methods of flushers.Context.

func (inst *instance) GetConfigName() string              { return inst.lane.key.Config }
func (inst *instance) GetProject() string                 { return inst.lane.key.Project }
func (inst *instance) GetLogstore() string                { return inst.lane.key.Logstore }
func (inst *instance) GetRuntimeContext() context.Context { return inst.ctx }
func (inst *instance) Logger() *zap.Logger                { return inst.lane.log() }
func (inst *instance) Metrics() flushers.Metrics          { return inst.entry.kindMetrics() }

// Shared remembers the release, so that an instance that failed Init or forgot it
// holds nothing back.
func (inst *instance) Shared(key string, open func() (io.Closer, error)) (io.Closer, func(), error) {
	v, release, err := inst.lane.w.shared.Get(inst.entry.Kind.Name+"\x00"+key, open)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't open what instances of %s share: %w", inst.entry.Kind.Name, err)
	}
	inst.mu.Lock()
	inst.releases = append(inst.releases, release)
	inst.mu.Unlock()
	return v, release, nil
}

func (l *lane) log() *zap.Logger {
	return l.w.cfg.Logger.With(zap.String("route", l.entry.route.name), zap.String("flusher", l.entry.Name),
		zap.String("project", l.key.Project), zap.String("logstore", l.key.Logstore), zap.String("config", l.key.Config))
}
