package jobstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
)

// Claim implements job.State.
func (s *state) Claim(ctx context.Context, n int) (job.Lease, error) {
	l, err := s.claim(ctx, n)
	if err != nil {
		return nil, err
	}
	if !s.began(l) {
		l.lose()
		return nil, errors.New("couldn't claim a shard: the job's state was closed")
	}
	l.renewing.Go(l.renew)
	return l, nil
}

func (s *state) newLease(n int) *lease {
	l := &lease{state: s, n: n, claim: rand.Text(), holder: ourselves(), turn: make(chan struct{}, 1)}
	l.lost, l.lose = context.WithCancel(context.Background())
	return l
}

func (s *state) claim(ctx context.Context, n int) (*lease, error) {
	l := s.newLease(n)
	w := watch{lease: s.lease}
	for {
		found, err := s.shard(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("couldn't claim shard %d of job %s: %w", n, s.job, err)
		}
		dead, alive := w.see(found, time.Now())
		if alive {
			return nil, &job.HeldError{Shard: n, By: found.Holder, Seen: time.Now()}
		}
		if dead {
			won, err := l.take(ctx, found)
			if err != nil {
				return nil, fmt.Errorf("couldn't claim shard %d of job %s: %w", n, s.job, err)
			}
			if won {
				return l, nil
			}
			l = s.newLease(n)
			continue // somebody was faster, and is seen now
		}
		t := time.NewTimer(w.every())
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("couldn't claim shard %d of job %s, which %s may hold: %w", n, s.job, found.Holder, context.Cause(ctx))
		}
	}
}

// watch judges a holder by what is seen of it. It is a pure state machine.
type watch struct {
	lease time.Duration // ours

	began    bool
	revision uint64
	last     time.Time
	quiet    time.Duration // for which it was watched closely and did nothing
}

// every is how often to look.
func (w *watch) every() time.Duration { return min(max(w.lease/20, 5*time.Millisecond), time.Second) }

// see says whether the shard is free, or its holder lives; neither: look again. Time
// for which nobody looked does not count: the server was away then for the holder,
// too.
func (w *watch) see(found *shard, now time.Time) (free, alive bool) {
	if found == nil || found.Holder == "" {
		return true, false
	}
	if !w.began {
		w.began, w.revision, w.last = true, found.revision, now
		return false, false
	}
	if found.revision != w.revision {
		return false, true
	}
	w.quiet += min(now.Sub(w.last), 2*w.every())
	w.last = now
	return w.quiet >= max(found.Lease, w.lease), false
}

// take makes us the holder at the revision that was seen; false: somebody else wrote
// meanwhile.
func (l *lease) take(ctx context.Context, found *shard) (won bool, err error) {
	if found != nil {
		l.first, l.value, l.revision = found.checkpoint, found.checkpoint, found.revision
	}
	err = l.write(ctx, l.holder, l.value)
	switch {
	case errors.Is(err, job.ErrLost):
		return false, nil
	case err == nil:
		return true, nil
	}
	// Perhaps only the answer was lost.
	now, failed := l.state.shard(ctx, l.n)
	if failed != nil || now == nil || now.Claim != l.claim {
		return false, errors.Join(err, failed)
	}
	l.revision, l.wrote = now.revision, time.Now()
	return true, nil
}

// store writes a value at a revision; 0: where nothing is.
func (s *state) store(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if revision > 0 {
		return s.kv.Update(ctx, s.key(key), value, revision)
	}
	revision, err := s.kv.Create(ctx, s.key(key), value)
	if errors.Is(err, jetstream.ErrKeyExists) {
		err = errors.Join(err, jetstream.ErrKeyRevisionMismatch)
	}
	return revision, err
}
