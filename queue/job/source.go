package job

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// Config is what a Source needs.
type Config struct {
	Name     string // of the source, in metrics and status
	Manifest *Manifest
	Slices   func(context.Context) Slices // of the whole plan, in order; called once by Run
	Input    Input
	Shard    int
	Lease    Lease // nil: nothing is kept, and a later start begins anew
	Open     int   // slices that are read at a time; 16
	Gate     *Gate // nil: nothing holds reading back
	Log      *zap.Logger
}

// New makes the source of one shard. It reads the checkpoint that the lease brought.
func New(cfg Config) (*Source, error) { return nil, errors.New("not there yet") }

// Source is a bounded queue.Source: Run returns nil when every slice of the shard
// has ended.
type Source struct{}

// Done says that the checkpoint had the shard as finished before Run.
func (s *Source) Done() bool { return false }

// Run implements queue.Source. It may be called once. Errors: a *ChangedError; ErrLost.
func (s *Source) Run(ctx context.Context, h queue.Host) error { return nil }

// Report may be called at any time, also after Run, from any goroutine.
func (s *Source) Report() Report { return Report{} }
