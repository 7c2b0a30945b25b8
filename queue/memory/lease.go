package memory

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/flushline/flushline/queue"
)

// partition is one log and whoever consumes it.
type partition struct {
	q    *Queue
	id   int32
	seed queue.OriginSeed

	mu          sync.Mutex
	log         log
	lease       *lease
	incarnation int64
	fail        error

	wake     chan struct{} // something for Fetch to look at
	assigned chan struct{} // Assign was called
}

func newPartition(q *Queue, id int32) *partition {
	return &partition{
		q: q, id: id,
		seed:     queue.NewOriginSeed(q.cfg.SourceID, q.cfg.Name),
		log:      log{first: 1, low: 1, next: 1},
		wake:     make(chan struct{}, 1),
		assigned: make(chan struct{}, 1),
	}
}

func (p *partition) publish(m queue.Message, now time.Time) {
	p.mu.Lock()
	p.log.append(m, p.id, now)
	p.mu.Unlock()
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lease is one serving of a partition: the Strand.
type lease struct {
	p    *partition
	host queue.Host
	give func(int64)
	info queue.Info

	ctx  context.Context
	end  context.CancelCauseFunc
	lost bool          // nothing may be settled any more; under p.mu
	gone chan struct{} // closed when lost
	over bool          // Serve returned; under p.mu
}

// Info implements queue.Strand.
func (l *lease) Info() queue.Info { return l.info }

// Fetch implements queue.Strand.
func (l *lease) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		first, total, err := l.look(room)
		if err != nil {
			return nil, err
		}
		if total > 0 {
			return l.take(ctx, first, total)
		}
		select {
		case <-ctx.Done():
		case <-l.p.wake:
		}
	}
}

func (l *lease) look(room queue.Room) (first, total int64, err error) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if err := l.p.fail; err != nil {
		l.p.fail = nil
		return 0, 0, err
	}
	if first, total = l.p.log.peek(room); total == 0 && l.info.Bounded {
		return 0, 0, io.EOF
	}
	return first, total, nil
}

// take asks the host for the bytes and hands out what fits them. Only Fetch hands
// out, so what was looked at is still there.
func (l *lease) take(ctx context.Context, first, total int64) ([]*queue.Delivery, error) {
	least := min(first, l.p.q.cfg.FirstBytes)
	got, err := l.host.Take(ctx, least, total)
	if err != nil {
		return nil, err
	}
	if got < first {
		l.host.Charge(first - got)
		got = first
	}
	ds, used := l.handOut(got)
	if used < got {
		l.host.Give(got - used)
	}
	return ds, nil
}

func (l *lease) handOut(bytes int64) (ds []*queue.Delivery, used int64) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	g := &l.p.log
	var slab []record
	for ; g.next < g.end(); g.next++ {
		e := g.at(g.next)
		if e.state != stored {
			continue
		}
		if used+e.held > bytes {
			break
		}
		if len(slab) == 0 {
			slab = make([]record, 16)
		}
		r := &slab[0]
		slab = slab[1:]
		r.fill(l, e)
		ds = append(ds, &r.Delivery)
		used += e.held
	}
	g.out += int64(len(ds))
	return ds, used
}

// Status implements queue.Strand.
func (l *lease) Status() queue.Status {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	g := &l.p.log
	st := queue.Status{
		State:       queue.StateConsuming,
		Position:    g.next - 1,
		Committed:   g.low - 1,
		End:         g.end() - 1,
		Lag:         g.waiting,
		Unsettled:   g.out,
		Redelivered: g.redone,
	}
	if g.out > 0 && g.low < g.next {
		st.Oldest = g.at(g.low).msg.Time
	}
	if l.over || l.ctx.Err() != nil {
		st.State = queue.StateEnded
	}
	return st
}

// record is a delivery and its settler.
type record struct {
	queue.Delivery
	lease *lease
	pos   int64
}

func (r *record) fill(l *lease, e *entry) {
	e.state = out
	if e.attempts++; e.attempts > 1 {
		l.p.log.redone++
	}
	r.lease, r.pos = l, e.msg.Position
	r.Init(e.msg, l.p.origin(&e.msg), int(e.attempts), e.held, r, l.give)
}

func (p *partition) origin(m *queue.Message) queue.Origin {
	if h, ok := m.Header(queue.HeaderOrigin); ok {
		if o, ok := queue.ParseOrigin(h); ok {
			return o
		}
	}
	return p.seed.At(p.id, m.Position, m.Time)
}

// Account implements queue.Accountant.
func (r *record) Account(d *queue.Delivery, ends []queue.PartEnd) {
	if hear := r.lease.p.q.cfg.Account; hear != nil {
		hear(d, ends)
	}
}

// Ack implements queue.Settler.
func (r *record) Ack(*queue.Delivery) {
	p, q := r.lease.p, r.lease.p.q
	p.mu.Lock()
	if r.lease.lost || r.lease.over {
		p.mu.Unlock()
		q.fenced.Add(1)
		return
	}
	first := p.log.ack(r.pos)
	p.mu.Unlock()
	if first {
		q.noteAck(Place{p.id, r.pos})
	}
}

// Release implements queue.Settler.
func (r *record) Release(*queue.Delivery) {
	p, q := r.lease.p, r.lease.p.q
	if r.lease.ctx.Err() == nil {
		q.early.Add(1)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.lease.lost || r.lease.over {
		q.fenced.Add(1)
		return
	}
	p.log.release(r.pos)
}
