package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// side is what the strand of a parked lane has beside those of live traffic.
type side struct {
	name      string // of the strand, behind the stream's
	size      int64  // of the lane's oldest record
	companion *Parked
	probing   atomic.Bool  // one record at a time
	shut      atomic.Bool  // what is given back is left alone for the probe interval
	empty     atomic.Bool  // the lane is: its durable is to go
	most      atomic.Int64 // MaxAckPending of the durable, as it was last read
	strand    atomic.Pointer[strand]

	mu    sync.Mutex
	tails map[uint64]string // subjects of the chunks of records that are out
}

// served is what is handed to the Host. d may be nil.
func (d *side) served(st *strand) queue.Strand {
	if d == nil {
		return st
	}
	d.strand.Store(st)
	return &laneStrand{strand: st, side: d}
}

// ended hears of each acknowledgement.
func (d *side) ended(seq uint64) {
	d.mu.Lock()
	tail, ok := d.tails[seq]
	delete(d.tails, seq)
	d.mu.Unlock()
	if ok {
		d.companion.tidier.add(seq, tail)
	}
}

// deferred hears that a record was not taken: the gate may have shut.
func (d *side) deferred() { poke(d.companion.stir) }

func (d *side) hasTail(seq uint64, subject string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.tails == nil {
		d.tails = map[uint64]string{}
	}
	d.tails[seq] = subject
}

// trying says that a record that probes the lane is out.
func (d *side) trying() bool {
	st := d.strand.Load()
	return st != nil && d.probing.Load() && st.unsettled.Load() > 0
}

// ask makes the strand look at its durable, and fetch, now.
func (d *side) ask() {
	if st := d.strand.Load(); st != nil {
		poke(st.kick)
		poke(st.wake)
	}
}

// laneStrand hands out records as they were before they were cut to the server's size.
type laneStrand struct {
	*strand
	side *side
}

// Fetch implements queue.Strand.
func (l *laneStrand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	for {
		ds, err := l.strand.Fetch(ctx, room)
		if err != nil {
			return nil, err
		}
		ds = slices.DeleteFunc(ds, func(d *queue.Delivery) bool { return !l.whole(ctx, d) })
		if len(ds) > 0 {
			return ds, nil
		}
	}
}

// whole says whether a record can be handed out. If its chunks cannot be read now, it
// comes again later.
func (l *laneStrand) whole(ctx context.Context, d *queue.Delivery) bool {
	m := d.Message()
	m.Headers = withoutServers(m.Headers)
	if !pieced(m) {
		return true
	}
	before := m.Size()
	w, tail, err := l.conn.whole(ctx, l.consumer.Stream, *m)
	switch {
	case isDamage(err):
		m.Headers = append(m.Headers, queue.Header{Key: queue.HeaderDamage, Value: err.Error()})
		return true
	case err != nil:
		l.log.Warn("couldn't read the chunks of a parked record; it comes again", zap.Int64("sequence", m.Position), zap.Error(err))
		d.Defer()
		d.Free()
		return false
	}
	if tail != "" {
		l.side.hasTail(uint64(m.Position), tail)
	}
	d.SetValue(w.Value)
	m.Headers = w.Headers
	if more := m.Size() - before; more > 0 {
		l.host.Charge(more)
		d.Charge(more)
	}
	return true
}

// withoutServers drops the headers that a put adds for the server: the producer's own
// are kept under queue.HeaderWas.
func withoutServers(hs []queue.Header) []queue.Header {
	return slices.DeleteFunc(hs, func(h queue.Header) bool {
		return len(h.Key) > 5 && strings.EqualFold(h.Key[:5], "nats-")
	})
}

func pieced(m *queue.Message) bool {
	_, chunk := m.Header(queue.HeaderPartOf)
	_, wrapped := m.Header(queue.HeaderWrapped)
	return chunk || wrapped
}

// damageError says that a record will never be whole.
type damageError struct{ error }

func (e damageError) Unwrap() error { return e.error }

func isDamage(err error) bool {
	var d damageError
	return errors.As(err, &d)
}

// whole puts a record together: tail is where its other chunks lie, "" if there are
// none.
func (c *Conn) whole(ctx context.Context, stream string, m queue.Message) (w *queue.Whole, tail string, err error) {
	var j queue.Joiner
	if w, err = j.Add(m); w != nil || err != nil {
		return w, "", damaged(err)
	}
	id, _ := m.Header(queue.HeaderPartOf)
	tail = tailSubject(m.Subject, id)
	for seq := uint64(1); ; {
		next, err := c.following(ctx, stream, tail, seq)
		if errors.Is(err, errNoMessage) {
			return nil, "", damaged(fmt.Errorf("of the chunks of message %s %d are missing", id, len(j.Missing()[0].Missing)))
		}
		if err != nil {
			return nil, "", err
		}
		if w, err = j.Add(next); w != nil || err != nil {
			return w, tail, damaged(err)
		}
		seq = uint64(next.Position) + 1
	}
}

func damaged(err error) error {
	if err == nil {
		return nil
	}
	return damageError{err}
}
