package memory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/queue"
)

// Config is how a queue is made. The zero value is one endless strand.
type Config struct {
	Name       string                                 // of the source; "memory"
	Strands    int                                    // partitions, each a strand of its own; 1
	Bounded    bool                                   // a strand ends with io.EOF when all that was published is handed out
	KeepOrder  bool                                   // remember the order of acknowledgements for AckOrder
	SourceID   string                                 // what origins derive from; "memory"
	Account    func(*queue.Delivery, []queue.PartEnd) // hears how the parts of a message ended, right before its acknowledgement
	FirstBytes int64                                  // most bytes Fetch waits for; a larger message is charged beyond them; 1 MiB
}

// Queue stores messages and is a Source of them. All methods may be called from
// any goroutine; Run from one at a time.
type Queue struct {
	cfg     Config
	parts   []*partition
	running atomic.Bool

	published atomic.Int64
	acked     counter
	fenced    atomic.Int64
	early     atomic.Int64

	orderMu sync.Mutex
	order   []Place
}

// Place is where a message lies.
type Place struct {
	Partition int32
	Position  int64
}

// New makes an empty queue.
func New(cfg Config) *Queue {
	if cfg.Name == "" {
		cfg.Name = "memory"
	}
	if cfg.SourceID == "" {
		cfg.SourceID = "memory"
	}
	if cfg.FirstBytes <= 0 {
		cfg.FirstBytes = 1 << 20
	}
	q := &Queue{cfg: cfg}
	for i := range max(cfg.Strands, 1) {
		q.parts = append(q.parts, newPartition(q, int32(i)))
	}
	return q
}

// Run serves each partition as a strand until ctx ends, or until all of them have
// ended when the queue is bounded. A strand ended by EndStrand is served again
// after Assign.
func (q *Queue) Run(ctx context.Context, h queue.Host) error {
	if !q.running.CompareAndSwap(false, true) {
		return fmt.Errorf("couldn't run queue %q: it is running already; a memory queue has one consumer", q.cfg.Name)
	}
	defer q.running.Store(false)
	errs := make([]error, len(q.parts))
	var wg sync.WaitGroup
	for i, p := range q.parts {
		wg.Go(func() { errs[i] = p.run(ctx, h) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// run serves lease after lease of one partition.
func (p *partition) run(ctx context.Context, h queue.Host) error {
	for ctx.Err() == nil {
		l := p.begin(ctx, h)
		err := h.Serve(l.ctx, l)
		ended := l.ctx.Err() != nil
		p.finish(l)
		if err != nil && !errors.Is(err, io.EOF) && !ended {
			return fmt.Errorf("couldn't serve strand %s: %w", l.info.Name, err)
		}
		if !ended {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-p.assigned:
		}
	}
	return nil
}

// begin makes the next lease, which starts over at the first message that is not
// acknowledged.
func (p *partition) begin(ctx context.Context, h queue.Host) *lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.incarnation++
	l := &lease{p: p, host: h, give: h.Give, gone: make(chan struct{}), info: queue.Info{
		Source:      p.q.cfg.Name,
		Name:        p.q.cfg.Name + "[" + strconv.Itoa(int(p.id)) + "]",
		Incarnation: strconv.FormatInt(p.incarnation, 10),
		Bounded:     p.q.cfg.Bounded,
		Accounted:   p.q.cfg.Account != nil,
	}}
	l.ctx, l.end = context.WithCancelCause(ctx)
	p.lease = l
	p.log.rewind()
	return l
}

func (p *partition) finish(l *lease) {
	l.end(&queue.End{Reason: queue.Closed, Deadline: time.Now()})
	p.mu.Lock()
	defer p.mu.Unlock()
	l.over = true
	p.lease = nil
}
