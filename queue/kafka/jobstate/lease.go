package jobstate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// lease is a shard that this process holds.
type lease struct {
	state *state
	log   *log
	shard int
	epoch int64
	began []byte // the checkpoint when it was claimed

	turn chan struct{} // holds one while something is stored
	lost chan struct{}
	over chan struct{} // closed when nothing is to be stored any more
	once struct{ lost, over sync.Once }
	beat sync.WaitGroup

	cancel context.CancelFunc // of the signs of life

	// With the turn.
	seen    shard
	topic   leaders.ID
	written time.Time // when something was stored last
}

// Checkpoint implements job.Lease.
func (l *lease) Checkpoint() []byte { return l.began }

// Lost implements job.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost }

// errOver is for a holder that has let go, or whose state was closed: the shard may be
// another process's.
var errOver = fmt.Errorf("the shard was let go: %w", job.ErrLost)

// Save implements job.Lease. It tries once: its caller knows when to try again.
func (l *lease) Save(ctx context.Context, value []byte) error {
	if len(value) > job.MaxValue {
		return fmt.Errorf("couldn't save shard %d: the checkpoint has %d bytes, and at most %d are kept", l.shard, len(value), job.MaxValue)
	}
	if err := l.enter(ctx); err != nil {
		return fmt.Errorf("couldn't save shard %d: %w", l.shard, err)
	}
	defer l.leave()
	old := l.seen.outdated(l.epoch)
	if err := l.store(ctx, append([]wire.Record{checkpointRecord(l.epoch, value)}, old...)...); err != nil {
		return fmt.Errorf("couldn't save shard %d: %w", l.shard, err)
	}
	for i := range old {
		delete(l.seen.keys, string(old[i].Key))
	}
	return nil
}

// enter waits for the turn to store something.
func (l *lease) enter(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var err error
	select {
	case <-l.lost:
		err = job.ErrLost
	default:
		select {
		case <-l.over:
			err = errOver
		default:
			return nil
		}
	}
	l.leave()
	return err
}

func (l *lease) leave() { <-l.turn }

// store stores records in the holder's name. What lies right behind what was stored
// before was stored while the shard was ours; else it is read what lies between.
func (l *lease) store(ctx context.Context, records ...wire.Record) error {
	t, err := l.state.book.Topic(ctx, l.log.Topic, time.Second)
	if err != nil {
		return err
	}
	if t.ID != l.topic { // the job was removed and begun anew
		l.lose("the job was removed")
		return job.ErrLost
	}
	at, err := l.log.append(ctx, records...)
	if err != nil {
		return err
	}
	if at > l.seen.next {
		if err := l.log.read(ctx, l.seen.next, at, l.seen.apply); err != nil {
			return err
		}
	}
	if (l.seen.epoch != l.epoch || at < l.seen.next) && !mutant.On(mutant.SaveUnfencedTopic) {
		l.lose("claimed by " + l.seen.by)
		return job.ErrLost
	}
	l.seen.next = at + int64(len(records))
	l.written = time.Now()
	return nil
}

func (l *lease) lose(why string) {
	l.once.lost.Do(func() {
		l.state.logger.Warn("the shard is another process's by now", zap.Int("shard", l.shard), zap.String("why", why))
		close(l.lost)
	})
}

// live gives signs of life until the lease is over: a checkpoint is one, too.
func (l *lease) live(ctx context.Context) {
	every := l.state.session / 4
	ticks := time.NewTicker(every / 4)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		case <-l.lost:
			return
		}
		if err := l.sign(ctx, every); err != nil && !errors.Is(err, job.ErrLost) && ctx.Err() == nil {
			l.state.logger.Warn("couldn't say that the shard is held", zap.Int("shard", l.shard), zap.Error(err))
		}
	}
}

// sign gives a sign of life if the last one is old.
func (l *lease) sign(ctx context.Context, every time.Duration) error {
	if l.enter(ctx) != nil {
		return nil // it is over
	}
	defer l.leave()
	if time.Since(l.written) < every-every/8 {
		return nil
	}
	return l.store(ctx, beatRecord(l.epoch, false))
}

// Release implements job.Lease.
func (l *lease) Release(ctx context.Context) error {
	defer l.stop()
	err := retried(ctx, func(ctx context.Context) error {
		if err := l.enter(ctx); err != nil {
			return err
		}
		defer l.leave()
		return l.store(ctx, beatRecord(l.epoch, true))
	})
	if err != nil && !errors.Is(err, job.ErrLost) {
		return fmt.Errorf("couldn't let go of shard %d: %w", l.shard, err)
	}
	return nil
}

// stop ends the lease without a word.
func (l *lease) stop() {
	l.once.over.Do(func() { close(l.over) })
	l.cancel()
	l.state.forget(l)
	l.beat.Wait()
}
