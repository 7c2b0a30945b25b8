package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// mover is a worker whose only flusher are the companions of another entry.
type mover struct {
	parked   *Parked
	from, to queue.Lane
	stop     context.CancelCauseFunc

	mu    sync.Mutex
	open  map[wire.TopicPartition]bool // not swept yet
	moved int64
	err   error
}

// run serves the partitions of the entry until each was swept.
func (m *mover) run(ctx context.Context) (int64, error) {
	p, err := m.parked.only(m.from)
	if err != nil {
		return 0, err
	}
	p.swept = m.swept
	ctx, m.stop = context.WithCancelCause(ctx)
	defer m.stop(nil)
	err = p.Run(ctx, m)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		err = m.err
	case len(m.open) > 0 && err == nil:
		err = context.Cause(ctx)
	}
	if err != nil {
		err = fmt.Errorf("couldn't move all that is parked for %s: %d records were moved: %w", m.from.Entry(), m.moved, err)
	}
	return m.moved, err
}

// only is the same companion, as far as it is about one entry, with sweeps that go on
// over whatever is not taken.
func (p *Parked) only(entry queue.Lane) (*Parked, error) {
	name, err := parkedName(p.cfg, regexp.QuoteMeta(entry.Route), regexp.QuoteMeta(entry.Flusher))
	if err != nil {
		return nil, err
	}
	return &Parked{
		client: p.client, cfg: p.cfg, opt: p.opt, log: p.log, sources: p.sources,
		name:    name,
		entries: map[string]queue.Lane{}, sinks: map[string]*Sink{}, found: map[string]*Sink{},
		served: map[*parkedStrand]struct{}{}, told: map[string]bool{},
	}, nil
}

func (m *mover) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
	m.stop(&queue.End{Reason: queue.Stopping, Why: err.Error()})
}

// swept hears that a partition was gone through.
func (m *mover) swept(at wire.TopicPartition, v sweepVerdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.again {
		return
	}
	delete(m.open, at)
	if len(m.open) == 0 {
		m.stop(&queue.End{Reason: queue.Stopping, Why: "all is moved"})
	}
}

// Gate implements queue.ParkedHost.
func (m *mover) Gate(lane queue.Lane) queue.Gate {
	same := func(want, got string) bool { return want == "" || want == got }
	if lane.Entry() == m.from.Entry() && same(m.from.Project, lane.Project) && same(m.from.Logstore, lane.Logstore) && same(m.from.Config, lane.Config) {
		return queue.GateOpen
	}
	return queue.GateShut
}

var errServedToo = errors.New("a worker has begun to serve parked records: stop it and run this again")

// Serve implements queue.Host.
func (m *mover) Serve(ctx context.Context, s queue.Strand) error {
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: moveRecords, Bytes: moveBytes})
		switch {
		case ctx.Err() != nil:
			for _, d := range ds {
				d.Release()
				d.Free()
			}
			var end *queue.End
			if errors.As(context.Cause(ctx), &end) && end.Reason != queue.Stopping {
				m.fail(errServedToo)
			}
			return nil
		case err != nil:
			m.fail(err)
			return err
		}
		m.put(ctx, s, ds)
	}
}

// put moves records. One that cannot be put stays.
func (m *mover) put(ctx context.Context, s queue.Strand, ds []*queue.Delivery) {
	ms := make([]queue.Message, len(ds))
	for i, d := range ds {
		ms[i] = m.changed(d.Message())
	}
	sink, err := m.sink(ctx, s)
	var errs []error
	if err == nil {
		errs = sink.Put(context.WithoutCancel(ctx), ms)
	}
	for i, d := range ds {
		failure := err
		if i < len(errs) && failure == nil {
			failure = errs[i]
		}
		if failure != nil {
			m.fail(failure)
			d.Defer()
		} else {
			m.mu.Lock()
			m.moved++
			m.mu.Unlock()
			d.Ack()
		}
		d.Free()
	}
}

// sink is that of the companion that a strand's records are moved to.
func (m *mover) sink(ctx context.Context, s queue.Strand) (*Sink, error) {
	at, ok := s.(*parkedStrand)
	if !ok {
		return nil, fmt.Errorf("strand %s is none of parked records", s.Info().Name)
	}
	source, _, _ := m.parked.parse(at.Topic)
	return m.parked.sink(ctx, source, m.to)
}

// changed is a record as it lies there.
func (m *mover) changed(was *queue.Message) queue.Message {
	now := *was
	lane, _, _ := parkedLane(was, m.parked.cfg.Group)
	lane.Route, lane.Flusher = m.to.Route, m.to.Flusher
	now.Subject = lane.String()
	now.Headers = setHeader(was.Headers, queue.HeaderTo, m.parked.cfg.Group+"/"+m.to.Entry())
	return now
}

// Take implements queue.Host: what is asked for is bounded by who asks.
func (m *mover) Take(_ context.Context, least, most int64) (int64, error) {
	return max(least, most), nil
}

// Give implements queue.Host.
func (m *mover) Give(int64) {}

// Charge implements queue.Host.
func (m *mover) Charge(int64) {}
