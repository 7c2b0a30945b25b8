package jobstate

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/leaders"
)

// Claim implements job.State.
func (s *state) Claim(ctx context.Context, n int) (job.Lease, error) {
	l, err := s.claim(ctx, n)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *state) claim(ctx context.Context, n int) (*lease, error) {
	t, there, err := s.there(ctx)
	if err == nil && !there {
		err = fmt.Errorf("topic %s does not exist: the job has not begun, or was removed", s.topic)
	}
	if err != nil {
		return nil, fmt.Errorf("couldn't claim shard %d: %w", n, err)
	}
	g, err := s.shardLog(n)
	if err != nil {
		return nil, err
	}
	w := &watch{log: g, session: s.session, began: time.Now()}
	for {
		if err := w.look(ctx); err != nil {
			return nil, fmt.Errorf("couldn't claim shard %d: %w", n, err)
		}
		free, held := w.verdict(time.Now())
		if held {
			return nil, &job.HeldError{Shard: n, By: w.seen.by, Seen: w.sign}
		}
		if free {
			break
		}
		if err := sleep(ctx, s.session/20); err != nil {
			return nil, fmt.Errorf("couldn't claim shard %d: it waits for the holder %s to show whether it lives: %w", n, w.seen.by, err)
		}
	}
	return s.take(ctx, n, w, t.ID)
}

// watch follows the signs of life of a holder.
type watch struct {
	log     *log
	session time.Duration
	began   time.Time
	seen    shard
	sign    time.Time // when a sign of it was read; zero: it gave none since we began
	quiet   time.Time // since when it may be dead: no sign, and the log could be read
}

// look reads what is new. Only what can be read can be quiet.
func (w *watch) look(ctx context.Context) error {
	before, first := w.seen.beats, w.quiet.IsZero()
	asked := time.Now()
	err := retried(ctx, func(ctx context.Context) error {
		asked = time.Now()
		end, err := w.log.end(ctx)
		if err != nil || end <= w.seen.next {
			return err
		}
		if err := w.log.read(ctx, w.seen.next, end, w.seen.apply); err != nil {
			return err
		}
		w.seen.next = end
		return nil
	})
	if err != nil {
		return err
	}
	now := time.Now()
	switch {
	case first:
		w.quiet = asked
	case w.seen.beats != before:
		w.sign, w.quiet = now, now
	case now.Sub(asked) > w.session/4: // it took so long that a sign may have been kept from us
		w.quiet = now
	}
	return nil
}

// verdict says whether the shard can be claimed, or somebody is alive who holds it.
// Until a session has passed it may be neither.
func (w *watch) verdict(now time.Time) (free, held bool) {
	switch {
	case !w.seen.held():
		return true, false
	case now.Sub(w.quiet) >= w.session:
		return true, false
	case now.Sub(w.began) >= w.session && !w.sign.IsZero() && now.Sub(w.sign) < w.session/2:
		return false, true
	}
	return false, false
}

// take writes the claim and looks whether it is the first of its epoch.
func (s *state) take(ctx context.Context, n int, w *watch, topic leaders.ID) (*lease, error) {
	epoch, id, tries := w.seen.epoch+1, newID(), 0
	err := retried(ctx, func(ctx context.Context) error {
		// Each attempt has a key of its own: of two records with one key compaction would
		// keep the later, and the claim would lose its place.
		tries++
		at, err := w.log.append(ctx, claimRecord(epoch, fmt.Sprintf("%s-%d", id, tries), s.me))
		if err != nil {
			return err
		}
		if err := w.log.read(ctx, w.seen.next, at+1, w.seen.apply); err != nil {
			return err
		}
		w.seen.next = at + 1
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("couldn't claim shard %d: %w", n, err)
	}
	if w.seen.epoch != epoch || !strings.HasPrefix(w.seen.id, id+"-") {
		// What is left of the claim counts for nothing; the next holder deletes it.
		return nil, &job.HeldError{Shard: n, By: w.seen.by, Seen: time.Now()}
	}
	signing, cancel := context.WithCancel(s.life)
	l := &lease{
		state: s, log: w.log, shard: n, epoch: epoch, began: w.seen.checkpoint,
		turn: make(chan struct{}, 1), lost: make(chan struct{}), over: make(chan struct{}),
		seen: w.seen, topic: topic, written: time.Now(),
		cancel: cancel,
	}
	l.seen.checkpoint = nil // its holder has it
	if err := s.remember(l); err != nil {
		cancel()
		return nil, err
	}
	l.beat.Go(func() { l.live(signing) })
	return l, nil
}

// whoAmI names this process for people.
func whoAmI() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}
