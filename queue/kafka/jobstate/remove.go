package jobstate

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/flushline/flushline/queue/kafka"
)

// atATime is how many shards are claimed side by side.
const atATime = 16

// Remove implements job.State. It claims every shard first, so that nobody works at one
// when the topic is deleted.
func (s *state) Remove(ctx context.Context) error {
	_, there, err := s.there(ctx)
	if err != nil {
		return fmt.Errorf("couldn't remove job %s: %w", s.name, err)
	}
	if !there {
		return nil
	}
	leases := make([]*lease, s.of)
	claims, claiming := errgroup.WithContext(ctx)
	claims.SetLimit(atATime)
	for i := range leases {
		claims.Go(func() (err error) {
			leases[i], err = s.claim(claiming, i)
			return err
		})
	}
	err = claims.Wait()
	for _, l := range leases {
		if l == nil {
			continue
		}
		if err != nil {
			_ = l.Release(ctx) // it becomes free by itself, too
		}
		l.stop()
	}
	if err != nil {
		return err
	}
	if err := kafka.DeleteJobTopic(ctx, s.client, s.topic); err != nil {
		return fmt.Errorf("couldn't remove job %s: %w", s.name, err)
	}
	s.book.Doubt()
	s.mu.Lock()
	s.begun = nil
	s.mu.Unlock()
	return nil
}
