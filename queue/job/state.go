package job

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// State keeps one job: its manifest in pieces, and a checkpoint for each shard. It
// is a directory, a NATS key-value bucket or a compacted Kafka topic. What is kept
// is opaque to it; no value is larger than MaxValue. Its methods may be called from
// any goroutine.
type State interface {
	// Describe names the place for people: "directory ./jobs/nightly".
	Describe() string

	// Manifest is what Publish stored; nil without an error: the job has not begun.
	Manifest(ctx context.Context) ([]byte, error)

	// Publish stores the pieces, and after the last one what manifest then makes: in
	// one step, so that a job has begun or has not. Several processes may try at a
	// time: one wins, the others get ErrBegun and what they stored is not seen.
	Publish(ctx context.Context, pieces iter.Seq2[[]byte, error], manifest func(pieces int) ([]byte, error)) error

	// Piece is the i-th piece that the manifest's Publish stored.
	Piece(ctx context.Context, i int) ([]byte, error)

	// Claim makes this process the holder of a shard. While another one may hold it,
	// Claim waits for as long as a holder that died keeps it; then it is a *HeldError.
	Claim(ctx context.Context, shard int) (Lease, error)

	// Checkpoint is what a shard's holder saved last, read without a claim; nil: none.
	Checkpoint(ctx context.Context, shard int) ([]byte, error)

	// Remove forgets the job. It is a *HeldError while a shard is held.
	Remove(ctx context.Context) error

	Close() error
}

// Lease is the right to a shard. Its methods may be called from any goroutine, Save
// from one at a time.
type Lease interface {
	// Checkpoint is what was saved last when the shard was claimed; nil: none.
	Checkpoint() []byte

	// Save replaces the checkpoint durably. ErrLost: another process has the shard, and
	// nothing was stored. Other errors may be tried again; whether it was stored is
	// then not known, but a later Save replaces it in any case.
	Save(ctx context.Context, value []byte) error

	// Lost is closed when the shard may be another process's.
	Lost() <-chan struct{}

	// Release lets the next process claim the shard at once.
	Release(ctx context.Context) error
}

// MaxValue is the size in bytes of the largest value of a State.
const MaxValue = 512 << 10

// ErrBegun says that the job has a manifest already.
var ErrBegun = errors.New("the job has begun already")

// ErrLost says that a shard is held by another process.
var ErrLost = errors.New("another process holds the shard")

// HeldError says who holds a shard.
type HeldError struct {
	Shard int
	By    string    // host and process
	Seen  time.Time // its last sign of life, by our clock; zero: not known
}

func (e *HeldError) Error() string {
	seen := ""
	if !e.Seen.IsZero() {
		seen = fmt.Sprintf(" (last sign of life %v ago)", time.Since(e.Seen).Round(100*time.Millisecond))
	}
	return fmt.Sprintf("shard %d of the job is held by %s%s: one process works at a shard; stop it, or start another --index", e.Shard, e.By, seen)
}
