package job

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

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

// Source is a bounded queue.Source: Run returns nil when every slice of the shard
// has ended.
type Source struct {
	cfg  Config
	ends ends

	// How many messages were handed out, have ended, and are known by the newest
	// checkpoint that is stored to have ended; since the start.
	handed, ended, covered atomic.Int64
	starved                atomic.Bool            // a Fetch waits for a checkpoint
	changed                atomic.Bool            // there is something to store
	full                   chan struct{}          // store at once
	saving                 atomic.Pointer[string] // why the last checkpoint could not be stored; nil: it was
	most                   int                    // bytes of a checkpoint

	stop   context.CancelCauseFunc // of Run's strands
	serves sync.WaitGroup

	mu         sync.Mutex
	kept       checkpoint           // what has ended: of slices that are open, up to this start
	past       ordinals             // slices that have ended
	left       map[int64]*openSlice // that an earlier start left, and this one has not come to
	open       map[int64]*strand
	running    bool
	closedEnds int64     // messages that ended since the start, of slices that are not open
	began      time.Time // zero: not running
	err        error     // the first that ends Run
	undone     error     // what could not be delivered or kept
}

// New makes the source of one shard. It reads the checkpoint that the lease brought.
func New(cfg Config) (*Source, error) {
	if cfg.Shard < 0 || cfg.Shard >= len(cfg.Manifest.Shards) {
		return nil, fmt.Errorf("there is no shard %d: the job has %d, counted from 0", cfg.Shard, len(cfg.Manifest.Shards))
	}
	if cfg.Open <= 0 {
		cfg.Open = 16
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	s := &Source{cfg: cfg, full: make(chan struct{}, 1), most: MaxValue, open: map[int64]*strand{}}
	s.ends.all.Store(&[]queue.PartEnd{})
	var value []byte
	if cfg.Lease != nil {
		value = cfg.Lease.Checkpoint()
	}
	kept, err := parseCheckpoint(value)
	if err != nil {
		return nil, err
	}
	s.kept, s.past, s.left = *kept, kept.past(), map[int64]*openSlice{}
	for i := range kept.Open {
		s.left[kept.Open[i].N] = &kept.Open[i]
	}
	return s, nil
}

// Done says that the checkpoint had the shard as finished before Run.
func (s *Source) Done() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.Finished && !s.running
}

// Run implements queue.Source. It may be called once. Errors: a *ChangedError;
// ErrLost; a *GivenBackError; a plan that cannot be read; a last checkpoint that
// could not be stored; a defect of a Reader, which says so.
//
// The goroutines it starts: one that stores checkpoints, one that waits for the end,
// and two for each slice that is open.
func (s *Source) Run(ctx context.Context, h queue.Host) error {
	if s.Done() {
		return nil
	}
	run, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	s.stop = stop
	s.begin()
	patient, impatient := lasting(ctx, lastPatience)
	err := s.store(patient, false)
	impatient()
	if err != nil { // a start that is killed has to be known as one
		if ctx.Err() != nil && !errors.Is(err, ErrLost) {
			err = nil // it was stopped before it began
		}
		return s.ending(err)
	}
	watching := s.watch(ctx)
	keeping, rest := context.WithCancel(context.WithoutCancel(ctx)) // also while the strands end
	kept := make(chan struct{})
	go func() { defer close(kept); s.keep(keeping) }()

	whole := s.feed(run, h)
	s.serves.Wait()
	rest()
	<-kept
	watching()
	err = s.finish(whole)
	if errors.Is(err, ErrLost) {
		return s.ending(err)
	}
	last, enough := lasting(ctx, lastPatience) // from now on, if it was stopped
	defer enough()
	return s.ending(errors.Join(err, s.storeLast(last, err != nil)))
}

// lastPatience is how long a checkpoint is tried to be stored when the job is stopped:
// the first one, and the last one after the strands have ended.
const lastPatience = 5 * time.Second

// lasting is a context that ends some time after another one.
func lasting(ctx context.Context, more time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		pause(longer, more)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

func (s *Source) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.began = true, time.Now()
	s.kept.start(s.cfg.Manifest, s.cfg.Shard)
}

// watch ends the strands when ctx ends or the shard is lost.
func (s *Source) watch(ctx context.Context) (stop func()) {
	var lost <-chan struct{}
	if s.cfg.Lease != nil {
		lost = s.cfg.Lease.Lost()
	}
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			end := &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(stopWithin)}
			var wanted *queue.End
			if errors.As(context.Cause(ctx), &wanted) {
				*end = *wanted
			}
			end.Lost = lost
			s.stop(end)
		case <-lost:
		case <-over:
			return
		}
		select {
		case <-lost:
			s.fail(ErrLost)
		case <-over:
		}
	}()
	return func() { close(over); <-done }
}

// stopWithin bounds a stop of which nobody said how long it may take.
const stopWithin = 25 * time.Second

// fail ends the strands because of an error that ends the job.
func (s *Source) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	end := &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(stopWithin), Why: err.Error()}
	if errors.Is(err, ErrLost) {
		end.Reason = queue.Lost
	} else if s.cfg.Lease != nil {
		end.Lost = s.cfg.Lease.Lost()
	}
	s.stop(end)
}

// finish says what Run came to when no strand lives any more. whole: the plan was
// read to its end.
func (s *Source) finish(whole bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Finished = whole && len(s.open) == 0
	if s.err != nil {
		return s.err
	}
	return s.undone
}

func (s *Source) ending(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.began.IsZero() {
		s.kept.Elapsed += time.Since(s.began)
		s.began = time.Time{}
	}
	return err
}

// GivenBackError says that messages of a slice were read to its end and could
// neither be delivered nor kept.
type GivenBackError struct {
	Slice    string
	Messages int64
}

func (e *GivenBackError) Error() string {
	return fmt.Sprintf("%d messages of %s could neither be delivered nor be put into a dead letter queue; they were given back", e.Messages, e.Slice)
}
