package cmd

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
)

// letterSource hands out the letters of a box as messages, and resolves those whose parts
// have all ended: flushed, or stored as new letters. A letter that was not, or only in
// part, stays.
type letterSource struct {
	box queue.LetterBox

	// each calls visit for the letters to replay and the messages that they become.
	each func(ctx context.Context, visit func(*queue.Letter, queue.Message) error) error
	rate rate
	tell *replayTold

	position atomic.Int64 // letters handed out
	open     atomic.Int64 // those that have not ended
	again    atomic.Int64 // parts that became new letters
}

var _ queue.Source = (*letterSource)(nil)

// Run implements queue.Source: one strand, which ends with the box. Another goroutine
// reads the box and resolves; it holds one letter that nobody asked for yet.
func (s *letterSource) Run(ctx context.Context, h queue.Host) error {
	st := &letterStrand{
		src: s, host: h, in: make(chan *lettered), acked: make(chan struct{}, 1),
		broken: make(chan struct{}), served: make(chan struct{}),
	}
	done := make(chan struct{})
	go func() { defer close(done); st.keep(ctx) }()
	err := h.Serve(ctx, st)
	close(st.served)
	<-done
	if st.why != nil {
		return st.why
	}
	return err
}

// letterStrand is all letters that are replayed.
type letterStrand struct {
	src  *letterSource
	host queue.Host
	in   chan *lettered // closed at the end of the box
	next *lettered      // taken from in, and not handed out yet; of Fetch

	mu    sync.Mutex
	ended []*lettered   // acknowledged and not resolved
	acked chan struct{} // ended has some

	broken chan struct{} // closed when box or broker fail
	why    error         // then
	served chan struct{} // closed when Serve has returned
}

// lettered is a letter on its way through the worker.
type lettered struct {
	queue.Delivery
	strand  *letterStrand
	letter  *queue.Letter // once it is handed out only what resolves it
	message queue.Message // until it is handed out
	bytes   int64
}

// keep is the only goroutine that uses the box.
func (s *letterStrand) keep(ctx context.Context) {
	switch err := s.read(ctx); {
	case err == nil:
		close(s.in)
	case ctx.Err() == nil:
		s.fail(err)
	}
	for {
		select {
		case <-s.acked:
			s.fail(s.resolve(ctx))
		case <-s.served:
			s.fail(s.resolve(ctx))
			return
		}
	}
}

// fail ends the strand with the first error of the box.
func (s *letterStrand) fail(err error) {
	if err != nil && s.why == nil {
		s.why = err
		close(s.broken)
	}
}

func (s *letterStrand) read(ctx context.Context) error {
	var due time.Time
	return s.src.each(ctx, func(l *queue.Letter, m queue.Message) error {
		one := &lettered{strand: s, letter: l, message: m}
		for {
			in, wait := s.in, time.Until(due)
			var pace <-chan time.Time
			if wait > 0 {
				in, pace = nil, time.After(wait)
			}
			select {
			case in <- one:
				due = later(due, time.Now()).Add(s.src.rate.per(int(m.Size())))
				return nil
			case <-pace:
			case <-s.acked:
				if err := s.resolve(ctx); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			case <-s.served:
				return errEnough
			}
		}
	})
}

// resolve tells the box what has ended, also when the process stops.
func (s *letterStrand) resolve(ctx context.Context) error {
	s.mu.Lock()
	ls := s.ended
	s.ended = nil
	s.mu.Unlock()
	if len(ls) == 0 {
		return nil
	}
	failpoint.Hit(failpoint.LettersDelivered)
	var bytes int64
	places := make([]*queue.Letter, len(ls))
	for i, one := range ls {
		places[i] = one.letter
		bytes += one.bytes
	}
	if err := s.src.box.Resolve(context.WithoutCancel(ctx), places); err != nil {
		return unavailable(fmt.Errorf("%s delivered and may not be resolved: the next replay may deliver them again, with the same ids: %w", wereLetters(len(ls)), err))
	}
	s.src.tell.done(len(ls), bytes)
	return nil
}

// Info implements queue.Strand.
func (s *letterStrand) Info() queue.Info {
	return queue.Info{Source: "dlq", Name: "letters", Incarnation: "1", Bounded: true, Accounted: true}
}

// Fetch implements queue.Strand.
func (s *letterStrand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	if s.next == nil {
		select {
		case one, more := <-s.in:
			if !more {
				return nil, io.EOF
			}
			s.next = one
		case <-s.broken:
			return nil, s.why
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var out []*queue.Delivery
	var bytes int64
	for s.next != nil && (len(out) == 0 || len(out) < room.Messages && bytes+s.next.message.Held() <= room.Bytes) {
		held, err := s.take(ctx, len(out) == 0)
		if err != nil {
			return out, err
		}
		if held == 0 {
			break
		}
		bytes += held
		out = append(out, s.handOut(held))
		select {
		case s.next = <-s.in: // nil at its end
		default:
		}
	}
	return out, nil
}

// take asks the budget for the next letter. Only the first of a Fetch may wait for it, and
// is charged for what is larger than a usual budget has.
func (s *letterStrand) take(ctx context.Context, wait bool) (int64, error) {
	held := s.next.message.Held()
	least := int64(0)
	if wait {
		least = min(held, mostTaken)
	}
	got, err := s.host.Take(ctx, least, held)
	switch {
	case err != nil:
		return 0, fmt.Errorf("couldn't take memory for a letter: %w", err)
	case got < held && !wait:
		s.host.Give(got)
		return 0, nil
	case got < held:
		s.host.Charge(held - got)
	}
	return held, nil
}

// mostTaken is what the first letter of a Fetch waits for.
const mostTaken = 1 << 20

func (s *letterStrand) handOut(held int64) *queue.Delivery {
	one := s.next
	s.next = nil
	f := one.letter.Facts()
	m, at := one.message, one.letter.Places[0]
	m.Subject, m.Position, m.Time = f.Subject, at.Position, one.letter.Time
	if f.Source != "" { // the letter that it may become again names the place of the original
		m.Headers = append(m.Headers, queue.Header{Key: headerWasSource, Value: f.Source})
	}
	origin := f.Origin
	if !f.HasOrigin {
		seed := queue.NewOriginSeed("letters", at.Part)
		origin = seed.At(0, at.Position, one.letter.Time)
	}
	one.bytes = one.letter.Size()
	one.letter, one.message = one.letter.Bare(), queue.Message{} // Free leaves nothing behind
	one.Init(m, origin, 1, held, one, s.host.Give)
	s.src.position.Add(1)
	s.src.open.Add(1)
	return &one.Delivery
}

// Account implements queue.Accountant.
func (o *lettered) Account(_ *queue.Delivery, ends []queue.PartEnd) {
	for i := range ends {
		if ends[i].Outcome == queue.DeadLettered {
			o.strand.src.again.Add(1)
		}
	}
}

// Ack implements queue.Settler.
func (o *lettered) Ack(*queue.Delivery) {
	s := o.strand
	s.src.open.Add(-1)
	s.mu.Lock()
	s.ended = append(s.ended, o)
	s.mu.Unlock()
	select {
	case s.acked <- struct{}{}:
	default:
	}
}

// Release implements queue.Settler: the letter stays.
func (o *lettered) Release(*queue.Delivery) { o.strand.src.open.Add(-1) }

// Status implements queue.Strand.
func (s *letterStrand) Status() queue.Status {
	return queue.Status{
		State: queue.StateConsuming, Position: s.src.position.Load(), Committed: -1, End: -1, Lag: -1, Unsettled: s.src.open.Load(),
	}
}

// headerWasSource carries x-flushline-source of a letter through a worker, as the
// producer's headers are carried.
const headerWasSource = queue.HeaderWas + "source"

// comeBack is where letters go that failed again: beside those they were before.
type comeBack struct{ queue.Sink }

// Put implements queue.Sink.
func (c comeBack) Put(ctx context.Context, ms []queue.Message) []error {
	for i := range ms {
		ms[i].Headers = withSource(ms[i].Headers)
	}
	return c.Sink.Put(ctx, ms)
}

// withSource gives x-flushline-source the value of headerWasSource.
func withSource(in []queue.Header) []queue.Header {
	m := queue.Message{Headers: in}
	was, has := m.Header(headerWasSource)
	if !has {
		return in
	}
	out := make([]queue.Header, 0, len(in))
	for _, h := range in {
		switch h.Key {
		case headerWasSource:
			continue
		case queue.HeaderSource:
			h.Value = was
		}
		out = append(out, h)
	}
	return out
}
