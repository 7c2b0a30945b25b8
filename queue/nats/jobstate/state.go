package jobstate

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

const (
	manifestKey = "manifest"
	pieceKey    = "piece."
	shardKey    = "shard."
)

// state is one job in a bucket.
type state struct {
	conn   *nats.Conn
	kv     jetstream.KeyValue
	bucket string
	job    string
	lease  time.Duration

	mu      sync.Mutex
	leases  map[*lease]bool // that are renewed
	closed  bool
	attempt string // whose pieces counted when the manifest was read last
}

// Describe implements job.State.
func (s *state) Describe() string { return "nats bucket " + s.bucket + ", job " + s.job }

// Manifest implements job.State.
func (s *state) Manifest(ctx context.Context) ([]byte, error) {
	_, manifest, err := s.begun(ctx)
	return manifest, err
}

// begun reads which attempt was published, and its manifest; nothing without an
// error: none was.
func (s *state) begun(ctx context.Context) (attempt string, manifest []byte, err error) {
	found, err := s.read(ctx, manifestKey)
	if found == nil || err != nil {
		return "", nil, err
	}
	name, manifest, ok := bytes.Cut(found.value, []byte("\n"))
	if !ok || !job.NameRule.Match(name) {
		return "", nil, fmt.Errorf("couldn't read %s of bucket %s: it does not begin with the name of an attempt", s.key(manifestKey), s.bucket)
	}
	s.mu.Lock()
	s.attempt = string(name)
	s.mu.Unlock()
	return string(name), manifest, nil
}

// Piece implements job.State.
func (s *state) Piece(ctx context.Context, i int) ([]byte, error) {
	s.mu.Lock()
	attempt := s.attempt
	s.mu.Unlock()
	if attempt == "" {
		var err error
		if attempt, _, err = s.begun(ctx); err != nil {
			return nil, err
		}
	}
	var found *entry
	var err error
	if attempt != "" {
		found, err = s.read(ctx, pieceName(attempt, i))
	}
	if found == nil && err == nil {
		err = fmt.Errorf("piece %d of the plan of job %s is not in bucket %s: was the job removed meanwhile?", i, s.job, s.bucket)
	}
	if err != nil {
		return nil, err
	}
	return found.value, nil
}

func pieceName(attempt string, i int) string { return pieceKey + attempt + "." + strconv.Itoa(i) }

// Checkpoint implements job.State.
func (s *state) Checkpoint(ctx context.Context, shard int) ([]byte, error) {
	found, err := s.shard(ctx, shard)
	if found == nil || err != nil {
		return nil, err
	}
	return found.checkpoint, nil
}

// Close implements job.State. Shards that were not released stay held for one
// lease.
func (s *state) Close() error {
	s.mu.Lock()
	s.closed = true
	leases := s.leases
	s.leases = nil
	s.mu.Unlock()
	for l := range leases {
		l.lose()
		l.renewing.Wait()
	}
	return nil
}

// began takes a lease into the care of Close; false: that was called already.
func (s *state) began(l *lease) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.leases[l] = true
	}
	return !s.closed
}

func (s *state) ended(l *lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.leases, l)
}
