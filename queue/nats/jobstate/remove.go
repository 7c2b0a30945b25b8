package jobstate

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// removers is how many shards are claimed at a time: one of a holder that died
// takes a lease.
const removers = 32

// Remove implements job.State. All shards are claimed first, so that a holder which
// lives is seen, and one that only seemed dead cannot save any more.
func (s *state) Remove(ctx context.Context) error {
	subjects, err := s.subjects(ctx, shardKey+"*")
	if err != nil {
		return fmt.Errorf("couldn't remove job %s: %w", s.job, err)
	}
	claims := make([]*lease, len(subjects))
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(removers)
	for i, subject := range subjects {
		n, err := strconv.Atoi(strings.TrimPrefix(subject, s.subject(shardKey)))
		if err != nil {
			continue // not ours; it goes with the rest
		}
		g.Go(func() error {
			l, err := s.claim(all, n)
			claims[i] = l
			return err
		})
	}
	if err := g.Wait(); err != nil {
		s.giveBack(ctx, claims)
		return err
	}
	if err := s.purge(ctx, ">"); err != nil {
		s.giveBack(ctx, claims)
		return err
	}
	s.mu.Lock()
	s.attempt = ""
	s.mu.Unlock()
	return nil
}

// giveBack releases claims of a removal that failed. What it cannot release is free
// after a lease.
func (s *state) giveBack(ctx context.Context, claims []*lease) {
	for _, l := range claims {
		if l != nil {
			_ = l.Release(context.WithoutCancel(ctx))
		}
	}
}
