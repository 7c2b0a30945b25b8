package jobstate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
)

// Publish implements job.State. Pieces lie under the name of an attempt, which the
// manifest names; that it is created, and not replaced, decides who began the job.
func (s *state) Publish(ctx context.Context, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) error {
	switch already, _, err := s.begun(ctx); {
	case err != nil:
		return err
	case already != "":
		return job.ErrBegun
	}
	attempt := rand.Text()
	value, err := s.putAll(ctx, attempt, pieces, manifest)
	if err != nil {
		s.forget(ctx, attempt)
		return fmt.Errorf("couldn't begin job %s: %w", s.job, err)
	}
	switch won, err := s.begin(ctx, attempt, value); {
	case err != nil: // the job may have begun: its pieces stay
		return fmt.Errorf("couldn't begin job %s: %w", s.job, err)
	case !won:
		s.forget(ctx, attempt)
		return job.ErrBegun
	}
	s.sweep(ctx, attempt)
	return nil
}

// putAll stores the pieces and makes the manifest.
func (s *state) putAll(ctx context.Context, attempt string, pieces iter.Seq2[[]byte, error], manifest func(int) ([]byte, error)) ([]byte, error) {
	n := 0
	for piece, err := range pieces {
		if err == nil {
			err = s.put(ctx, pieceName(attempt, n), piece)
		}
		if err != nil {
			return nil, err
		}
		n++
	}
	value, err := manifest(n)
	if err != nil {
		return nil, err
	}
	return append([]byte(attempt+"\n"), value...), nil
}

func (s *state) put(ctx context.Context, key string, value []byte) error {
	limited, cancel := s.conn.Within(ctx, patience)
	defer cancel()
	if _, err := s.kv.Put(limited, s.key(key), value); err != nil {
		return fmt.Errorf("couldn't store %s in bucket %s: %w", s.key(key), s.bucket, err)
	}
	return nil
}

// begin says whether the manifest is that of the attempt. An answer that was lost is
// found out by reading it.
func (s *state) begin(ctx context.Context, attempt string, value []byte) (won bool, err error) {
	limited, cancel := s.conn.Within(ctx, patience)
	defer cancel()
	_, err = s.kv.Create(limited, s.key(manifestKey), value)
	if err == nil {
		return true, nil
	}
	now, _, failed := s.begun(ctx)
	switch {
	case failed != nil:
		return false, errors.Join(err, failed)
	case now == "" && errors.Is(err, jetstream.ErrKeyExists):
		return false, errors.New("somebody removes it at the same time")
	case now == "":
		return false, fmt.Errorf("couldn't store %s in bucket %s: %w", s.key(manifestKey), s.bucket, err)
	}
	return now == attempt, nil
}

// forget removes an attempt that will not count. What it cannot remove the next
// job of that name does.
func (s *state) forget(ctx context.Context, attempt string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.purge(ctx, pieceKey+attempt+".>")
}

// sweep removes what attempts left that lost or died.
func (s *state) sweep(ctx context.Context, winner string) {
	subjects, _ := s.subjects(ctx, pieceKey+">") // what it cannot see stays until the job is removed
	gone := map[string]bool{winner: true}
	for _, subject := range subjects {
		rest := strings.TrimPrefix(subject, s.subject(pieceKey))
		attempt, _, _ := strings.Cut(rest, ".")
		if !gone[attempt] {
			gone[attempt] = true
			s.forget(ctx, attempt)
		}
	}
}
