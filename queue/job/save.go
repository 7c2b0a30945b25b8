package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
)

// How often a checkpoint is stored when something changed, and how many messages
// must have ended for one to be worth while before that.
const (
	saveEvery = time.Second
	saveWorth = ahead / 8
)

// A Save that does not return for so long counts as failed.
const saveTimeout = 30 * time.Second

// reserve lets up to n messages be handed out, as far as the newest checkpoint is
// not too old.
func (s *Source) reserve(n int) int {
	if s.cfg.Lease == nil || mutant.On(mutant.NoAheadLimit) {
		return n
	}
	for {
		handed, covered := s.handed.Load(), s.covered.Load()
		got := min(int64(n), ahead-(handed-covered))
		if got <= 0 {
			s.starved.Store(true)
			if s.covered.Load() != covered { // stored meanwhile: who stores looks at starved afterwards
				continue
			}
			s.hurry()
			return 0
		}
		if s.handed.CompareAndSwap(handed, handed+got) {
			if handed+got-covered >= ahead/2 {
				s.hurry()
			}
			return int(got)
		}
	}
}

func (s *Source) unreserve(n int) {
	if s.cfg.Lease != nil {
		s.handed.Add(-int64(n))
	}
}

// hurry has a checkpoint stored at once if it would make room.
func (s *Source) hurry() {
	if s.ended.Load()-s.covered.Load() >= saveWorth {
		poke(s.full)
	}
}

// behind is why nothing is handed out.
func (s *Source) behind() string {
	if why := s.saving.Load(); why != nil {
		return *why
	}
	return fmt.Sprintf("%d messages are unended or in no checkpoint yet: so many may come twice after a crash", ahead)
}

func (s *Source) messageEnded() {
	s.ended.Add(1)
	if !s.changed.Load() {
		s.changed.Store(true)
	}
	if s.starved.Load() {
		s.hurry()
	}
}

// keep stores checkpoints until ctx ends or the shard is lost.
func (s *Source) keep(ctx context.Context) {
	if s.cfg.Lease == nil {
		return
	}
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.full:
		}
		if s.changed.Swap(false) {
			if err := s.store(ctx, false); err != nil {
				return // it is lost, or ctx has ended
			}
		}
	}
}

// storeLast stores the checkpoint that a Run leaves at its end: soon, if the Run
// failed.
func (s *Source) storeLast(ctx context.Context, failed bool) error {
	if failed {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lastPatience)
		defer cancel()
	}
	err := s.store(ctx, true)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost):
		return ErrLost
	}
	return fmt.Errorf("couldn't store the last checkpoint; the next start goes on from the one before, and what ended since comes twice: %w", err)
}

// store stores the checkpoint of the moment, and tries until ctx ends.
func (s *Source) store(ctx context.Context, clean bool) error {
	if s.cfg.Lease == nil {
		return nil
	}
	again := newBackoff()
	for {
		if s.lost() {
			return ErrLost
		}
		c, covered := s.gather(clean)
		err := s.put(ctx, &c)
		switch {
		case err == nil:
			s.stored(covered)
			return nil
		case errors.Is(err, ErrLost):
			s.fail(ErrLost)
			return err
		case ctx.Err() != nil:
			return err
		}
		s.notStored(err)
		if !pause(ctx, again.NextBackOff()) {
			return err
		}
	}
}

func (s *Source) lost() bool {
	select {
	case <-s.cfg.Lease.Lost():
		return true
	default:
		return false
	}
}

func (s *Source) put(ctx context.Context, c *checkpoint) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(value) > s.most {
		return fmt.Errorf("the checkpoint would have %d bytes, more than %d: too many messages wait for too few between them", len(value), s.most)
	}
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	if err := failpoint.Err(failpoint.CheckpointBefore); err != nil {
		return err
	}
	err = s.cfg.Lease.Save(ctx, value)
	failpoint.Hit(failpoint.CheckpointAfter)
	return err
}

func (s *Source) stored(covered int64) {
	if s.saving.Swap(nil) != nil {
		s.cfg.Log.Info("the checkpoint is stored again")
	}
	s.covered.Store(covered)
	if s.starved.Swap(false) {
		s.wakeAll()
	}
}

func (s *Source) notStored(err error) {
	why := "the checkpoint cannot be stored: " + err.Error()
	if s.saving.Swap(&why) == nil {
		s.cfg.Log.Error("the checkpoint cannot be stored; reading stops when too much would come twice", zap.Error(err))
	}
}

func (s *Source) wakeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		poke(st.wake)
	}
}
