package jobstate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/queue/job"
)

// lease is the right to a shard. One write is under way at a time; each names the
// revision that the one before it made.
type lease struct {
	state  *state
	n      int
	claim  string
	holder string
	first  []byte // the checkpoint when it was claimed

	lost     context.Context // ends when the shard may be another process's
	lose     context.CancelFunc
	renewing sync.WaitGroup // ends with lost

	turn     chan struct{} // held while writing; it guards what follows
	value    []byte        // stored last
	revision uint64
	writes   int64
	wrote    time.Time // when the last write was stored
	over     bool      // released, or about to be
}

// Checkpoint implements job.Lease.
func (l *lease) Checkpoint() []byte { return l.first }

// Lost implements job.Lease.
func (l *lease) Lost() <-chan struct{} { return l.lost.Done() }

// Save implements job.Lease.
func (l *lease) Save(ctx context.Context, value []byte) error {
	if len(value) > job.MaxValue {
		return fmt.Errorf("couldn't save the checkpoint of shard %d: it has %d bytes, at most %d can be kept", l.n, len(value), job.MaxValue)
	}
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if l.over {
		return fmt.Errorf("%w: it was released", job.ErrLost)
	}
	return l.write(ctx, l.holder, value)
}

func (l *lease) lock(ctx context.Context) error {
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("couldn't wait for another write of shard %d: %w", l.n, context.Cause(ctx))
	}
}

func (l *lease) unlock() { <-l.turn }

// write replaces the shard's value if it is still ours. A revision that does not
// match may be one of our own writes whose answer was lost; the value tells.
func (l *lease) write(ctx context.Context, holder string, checkpoint []byte) error {
	s := l.state
	ctx, cancel := s.conn.Within(ctx, s.lease/2)
	defer cancel()
	l.writes++
	value, err := encode(head{Holder: holder, Claim: l.claim, Write: l.writes, Lease: s.lease}, checkpoint)
	if err != nil {
		return err
	}
	for {
		if l.lost.Err() != nil {
			return job.ErrLost
		}
		revision, err := s.store(ctx, shardName(l.n), value, l.revision)
		if err == nil {
			l.stored(revision, value, checkpoint)
			return nil
		}
		if !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return fmt.Errorf("couldn't store shard %d of job %s in bucket %s: %w", l.n, s.job, s.bucket, err)
		}
		found, err := s.shard(ctx, l.n)
		if err != nil {
			return err
		}
		if found == nil || found.Claim != l.claim && !mutant.On(mutant.SaveUnfencedBucket) {
			l.lose()
			return job.ErrLost
		}
		l.revision = found.revision
		if found.Write == l.writes {
			l.stored(found.revision, value, checkpoint)
			return nil
		}
	}
}

// stored keeps our copy of the checkpoint: the caller may use its own again.
func (l *lease) stored(revision uint64, value, checkpoint []byte) {
	l.revision, l.value, l.wrote = revision, value[len(value)-len(checkpoint):], time.Now()
}

// renew writes the value again whenever a third of the lease has passed without a
// write, and as soon as the server is there again.
func (l *lease) renew() {
	third := l.state.lease / 3
	t := time.NewTimer(third)
	defer t.Stop()
	for {
		changed := l.state.conn.Changed()
		select {
		case <-l.lost.Done():
			return
		case <-changed:
		case <-t.C:
		}
		t.Reset(l.renewOnce(third))
	}
}

// renewOnce says when the next one is due.
func (l *lease) renewOnce(third time.Duration) time.Duration {
	select {
	case l.turn <- struct{}{}:
	case <-l.lost.Done():
		return 0
	}
	defer l.unlock()
	if l.over {
		return third
	}
	if rest := third - time.Since(l.wrote); rest > third/20 {
		return rest
	}
	if err := l.write(l.lost, l.holder, l.value); err != nil {
		return third / 4
	}
	return third
}

// Release implements job.Lease. It may be tried again when it failed.
func (l *lease) Release(ctx context.Context) error {
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	l.over = true
	err := l.write(ctx, "", l.value)
	if err != nil && !errors.Is(err, job.ErrLost) {
		return err
	}
	l.state.ended(l)
	l.lose()
	l.renewing.Wait()
	return nil
}
