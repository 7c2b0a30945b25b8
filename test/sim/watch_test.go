package sim

import (
	"context"
	"fmt"

	"github.com/flushline/flushline/queue"
)

// serving is a source whose strands go through serve on their way to the host, which
// passes them on to it.
type serving struct {
	queue.Source
	serve func(ctx context.Context, to queue.Host, s queue.Strand) error
}

func (s *serving) Run(ctx context.Context, h queue.Host) error {
	return s.Source.Run(ctx, &servingHost{h, s.serve})
}

type servingHost struct {
	queue.Host
	serve func(ctx context.Context, to queue.Host, s queue.Strand) error
}

func (h *servingHost) Serve(ctx context.Context, s queue.Strand) error {
	return h.serve(ctx, h.Host, s)
}

// watched is a source that tells the book what its strands hand out.
func watched(s queue.Source, p *pod) queue.Source {
	return &serving{s, func(ctx context.Context, to queue.Host, s queue.Strand) error {
		return to.Serve(ctx, &watchedStrand{s, p})
	}}
}

type watchedStrand struct {
	queue.Strand
	p *pod
}

func (s *watchedStrand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	ds, err := s.Strand.Fetch(ctx, room)
	for _, d := range ds {
		m := d.Message()
		s.p.w.book.handedOut(m, place(m.Partition, m.Position))
	}
	return ds, err
}

// place names a position of a partition; a stream of JetStream is partition 0.
func place(partition int32, position int64) string { return fmt.Sprint(partition, "/", position) }

// watchedSink tells the book what is kept as dead letters, and fails when the world
// says so.
type watchedSink struct {
	queue.Sink
	p *pod
}

func (s *watchedSink) Put(ctx context.Context, ms []queue.Message) []error {
	how := letters(s.p.w.letters.Load())
	if how != lettersWork {
		s.p.w.saw("letters-fail")
	}
	switch how {
	case lettersRefused:
		return all(len(ms), errDown)
	case lettersHang:
		s.p.w.letterGate.wait(ctx)
		return all(len(ms), errDown)
	}
	errs := s.Sink.Put(ctx, ms)
	for i := range ms {
		if errs == nil || errs[i] == nil {
			s.p.w.book.buried(s.p.w.config.Deployment, &ms[i])
		}
	}
	if how == lettersUnconfirmed {
		return all(len(ms), context.DeadlineExceeded)
	}
	return errs
}

func all(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}
