package nats

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// absence is the strand of a consumer that cannot be read: it has a state and
// never a message.
type absence struct {
	info  queue.Info
	log   *zap.Logger
	state atomic.Pointer[queue.Status]
	end   context.CancelCauseFunc
	ctx   context.Context
	done  chan struct{}
	err   error // of Serve; read after done
}

// absent serves a strand for the time of an absence.
func (s *Source) absent(ctx context.Context, h queue.Host, one Consumer) *absence {
	a := &absence{
		info: queue.Info{Source: s.opt.Name, Name: one.Stream + "/" + one.Durable},
		log:  s.log.With(zap.String("stream", one.Stream), zap.String("durable", one.Durable)),
		done: make(chan struct{}),
	}
	a.state.Store(&queue.Status{State: queue.StateJoining, Position: -1, Committed: -1, End: -1})
	a.ctx, a.end = context.WithCancelCause(ctx)
	go func() {
		defer close(a.done)
		a.err = h.Serve(a.ctx, a)
	}()
	return a
}

// say shows why the consumer cannot be read.
func (a *absence) say(err error) {
	st := queue.Status{State: queue.StateMisconfigured, Position: -1, Committed: -1, End: -1, Cause: err.Error()}
	switch {
	case Missing(err):
		st.State = queue.StateMissing
		st.Cause = fmt.Sprintf("%s does not exist: create it with flushline setup; it is served as soon as it is there", a.info.Name)
	case Away(err), errors.Is(err, errChanging):
		st.State = queue.StateBrokerAway
	}
	if before := a.state.Swap(&st); before.State != st.State {
		a.log.Warn("strand is now "+st.State, zap.String("why", st.Cause))
	}
}

// ended is closed when Serve returned by itself; nil for no absence.
func (a *absence) ended() <-chan struct{} {
	if a == nil {
		return nil
	}
	return a.done
}

// over ends the absence and waits for Serve. The error is terminal.
func (a *absence) over() error {
	if a == nil {
		return nil
	}
	a.end(&queue.End{Reason: queue.Lost, Why: "the consumer can be read"})
	<-a.done
	if a.err != nil && !errors.Is(a.err, context.Cause(a.ctx)) {
		return fmt.Errorf("couldn't go on with %s: %w", a.info.Name, a.err)
	}
	return nil
}

// Info implements queue.Strand.
func (a *absence) Info() queue.Info { return a.info }

// Status implements queue.Strand.
func (a *absence) Status() queue.Status { return *a.state.Load() }

// Fetch implements queue.Strand: there is nothing to wait for but the end.
func (a *absence) Fetch(ctx context.Context, _ queue.Room) ([]*queue.Delivery, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-a.ctx.Done():
		return nil, context.Cause(a.ctx)
	}
}
