package worker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/failpoint"
)

// instance is one flusher of one lane, and the Context it was given.
type instance struct {
	f       flushers.Flusher
	batcher flushers.BatchFlusher // nil: Flush
	entry   *entry
	version *version
	lane    *lane

	ctx    context.Context
	cancel context.CancelCauseFunc

	concurrent int
	hint       flushers.Hint
	urgent     atomic.Bool    // what it was told
	calls      sync.WaitGroup // Flush calls inside it, abandoned ones included
	spent      atomic.Bool    // a call was abandoned: make another
	users      atomic.Int32   // the lane while it may make calls, and abandoned calls

	mu       sync.Mutex
	stopped  chan struct{} // nil until it is to stop; closed when Stop returned or was given up
	releases []func()      // of shared values it did not release itself
	done     bool          // it has stopped, or never began: nothing is shared with it any more
}

var (
	errCallAbandoned = errors.New("a call of this instance outlasted its limit")
	errInstanceOver  = errors.New("this instance has stopped: its Context shares nothing any more")
)

func newInstance(l *lane) *instance {
	inst := &instance{entry: l.entry, version: l.version, lane: l, concurrent: 1}
	inst.users.Store(1)
	inst.ctx, inst.cancel = context.WithCancelCause(l.w.hard)
	return inst
}

// left says whether the last user of a spent instance has let go of it. It has to
// be stopped then.
func (inst *instance) left() bool { return inst.users.Add(-1) == 0 }

// init makes the flusher and runs Init. What fails leaves nothing behind.
func (inst *instance) init() (v *verdict) {
	defer func() {
		if v != nil {
			inst.discard()
		}
	}()
	defer contain(callInit, &v)
	if err := failpoint.Err(failpoint.InitBefore); err != nil {
		return judge(err, 0)
	}
	inst.f = inst.version.New()
	inst.batcher, _ = inst.f.(flushers.BatchFlusher)
	if v := judge(inst.f.Init(inst), 0); v != nil {
		return v
	}
	if v := inst.ask(); v != nil { // it has begun: what it opened is closed
		if stopped := inst.stopCall(); stopped != nil {
			v.text += "; and Stop: " + stopped.text
		}
		return v
	}
	return nil
}

// ask learns the wishes of a flusher that has begun.
func (inst *instance) ask() (v *verdict) {
	defer contain(callInit, &v)
	if c, ok := inst.f.(flushers.Concurrent); ok {
		n := c.Concurrent()
		inst.concurrent = min(max(1, n), flushers.MaxConcurrent)
		inst.bounded("Concurrent", n != inst.concurrent, zap.Int("said", n), zap.Int("taken_as", inst.concurrent))
	}
	if h, ok := inst.f.(flushers.Hinter); ok {
		hint := h.BatchHint()
		inst.hint = flushers.Hint{
			Groups: max(0, hint.Groups), Bytes: max(0, hint.Bytes),
			Wait: min(max(0, hint.Wait), inst.lane.w.drain()), // as the option is
		}
		inst.bounded("BatchHint", hint != inst.hint, zap.Any("said", hint), zap.Any("taken_as", inst.hint))
	}
	return nil
}

// bounded says that a wish of the flusher is not honoured as it is.
func (inst *instance) bounded(what string, differs bool, fields ...zap.Field) {
	if differs {
		inst.lane.log().Warn("the flusher answered "+what+" beyond what is possible", fields...)
	}
}

func (inst *instance) setUrgent(flag bool) (v *verdict) {
	defer contain(callSetUrgent, &v)
	inst.urgent.Store(flag)
	inst.f.SetUrgent(flag)
	return nil
}

func (inst *instance) flush(b *batch, began time.Time) (v *verdict) {
	defer contain(callFlush, &v)
	k, n := &inst.lane.key, len(b.parts)
	if err := failpoint.Err(failpoint.FlushBefore); err != nil {
		return judge(err, n)
	}
	if inst.batcher == nil {
		return judge(inst.f.Flush(k.Project, k.Logstore, k.Config, b.groups), n)
	}
	ctx := &timeout{parent: inst.ctx, limit: began.Add(inst.version.FlushTimeout)}
	defer ctx.end()
	return judge(inst.batcher.FlushBatch(ctx, &flushers.Batch{
		Project: k.Project, Logstore: k.Logstore, Config: k.Config,
		Groups: b.groups, Raw: b.raw, IDs: b.ids, Attempt: b.attempt, FirstSeen: b.oldest(),
	}), n)
}
