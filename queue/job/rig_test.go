package job_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// tape is an input in memory: what lies at each position of each of its slices.
type tape struct {
	mu     sync.Mutex
	at     map[string][]cell
	grown  chan struct{} // closed when something was added
	gone   map[string]bool
	opened atomic.Int64
	live   atomic.Int64 // readers that are not closed

	batch  func(slice string, at int64) int // messages and holes of a Read; nil: 16
	before func(slice string, at int64) error
	tails  bool // slices without an end wait for more
}

// cell is a message, or the reason why there is none; damaged: also a part that
// could not be read.
type cell struct {
	value   string
	hole    string
	damaged bool
	headers []queue.Header
}

func newTape() *tape {
	return &tape{at: map[string][]cell{}, gone: map[string]bool{}, grown: make(chan struct{})}
}

func (p *tape) add(slice string, cells ...cell) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[slice] = append(p.at[slice], cells...)
	close(p.grown)
	p.grown = make(chan struct{})
}

// fill adds a slice of n messages and returns its plan.
func (p *tape) fill(slice string, n int) job.Slice {
	cells := make([]cell, n)
	for i := range cells {
		cells[i].value = fmt.Sprintf("%s/%d", slice, i)
	}
	p.add(slice, cells...)
	return job.Slice{Name: slice, To: int64(n)}
}

// slice is a plan of all that a slice has.
func (p *tape) slice(name string) job.Slice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return job.Slice{Name: name, To: int64(len(p.at[name]))}
}

func (p *tape) Open(_ context.Context, s *job.Slice, at int64) (job.Reader, error) {
	if p.before != nil {
		if err := p.before(s.Name, -1); err != nil {
			return nil, err
		}
	}
	p.opened.Add(1)
	p.live.Add(1)
	seed := queue.NewOriginSeed("tape", s.Name)
	return &head{tape: p, slice: *s, next: at, seed: seed}, nil
}

// head reads a slice.
type head struct {
	tape  *tape
	slice job.Slice
	next  int64
	seed  queue.OriginSeed
}

func (h *head) Seed() *queue.OriginSeed { return &h.seed }

func (h *head) Close() error {
	h.tape.live.Add(-1)
	return nil
}

func (h *head) Read(ctx context.Context, bytes int64) (job.Batch, error) {
	for {
		if h.tape.before != nil {
			if err := h.tape.before(h.slice.Name, h.next); err != nil {
				return job.Batch{}, err
			}
		}
		b, more := h.look(bytes)
		if b.Next > h.next {
			h.next = b.Next
			return b, nil
		}
		if h.slice.To >= 0 || !h.tape.tails {
			return b, io.EOF
		}
		select {
		case <-more:
		case <-ctx.Done():
			return job.Batch{}, ctx.Err()
		}
	}
}

func (h *head) look(bytes int64) (job.Batch, <-chan struct{}) {
	h.tape.mu.Lock()
	defer h.tape.mu.Unlock()
	cells := h.tape.at[h.slice.Name]
	to := int64(len(cells))
	if h.slice.To >= 0 {
		to = min(to, h.slice.To)
	}
	most := 16
	if h.tape.batch != nil {
		most = h.tape.batch(h.slice.Name, h.next)
	}
	b := job.Batch{Next: h.next}
	var held int64
	for ; b.Next < to && most > 0 && (held == 0 || held < bytes); most-- {
		c := &cells[b.Next]
		if c.hole != "" {
			if b.Passed == nil {
				b.Passed = map[string]int64{}
			}
			b.Passed[c.hole]++
			b.Next++
			continue
		}
		m := queue.Message{Value: []byte(c.value), Position: b.Next, Time: time.Unix(1_700_000_000, 0), Headers: c.headers}
		if c.damaged {
			b.Damage = append(b.Damage, job.Damage{Offset: b.Next, Length: 1, Why: "torn"})
			m.Headers = append(slices.Clone(m.Headers), queue.Header{Key: queue.HeaderDamage, Value: "torn"})
		}
		var o queue.Origin
		if text, ok := m.Header(queue.HeaderOrigin); ok {
			o, _ = queue.ParseOrigin(text)
		}
		b.Messages, b.Origins = append(b.Messages, m), append(b.Origins, o)
		held += m.Held()
		b.Next++
	}
	return b, h.tape.grown
}

// memLease keeps a checkpoint in memory.
type memLease struct {
	mu    sync.Mutex
	value []byte
	saves int
	fail  func() error // nil: it works
	lost  chan struct{}
	saved chan struct{} // told of each save, if somebody listens
}

func newLease(value []byte) *memLease {
	return &memLease{value: value, lost: make(chan struct{}), saved: make(chan struct{}, 1)}
}

func (l *memLease) Checkpoint() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.value)
}

func (l *memLease) Save(ctx context.Context, value []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.fail != nil {
		if err := l.fail(); err != nil {
			return err
		}
	}
	if len(value) > job.MaxValue {
		return errors.New("too large")
	}
	l.value, l.saves = slices.Clone(value), l.saves+1
	select {
	case l.saved <- struct{}{}:
	default:
	}
	return nil
}

func (l *memLease) set(fail func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fail = fail
}

func (l *memLease) Lost() <-chan struct{}         { return l.lost }
func (l *memLease) Release(context.Context) error { return nil }

// configOf is a job of one shard over some slices.
func configOf(in job.Input, lease job.Lease, plan ...job.Slice) job.Config {
	m := &job.Manifest{Job: "test", Kind: "tape", Range: "all", Shards: make([]job.ShardSize, 1)}
	for i := range plan {
		m.Shards[0].Slices++
		m.Shards[0].Bytes += plan[i].Size
		if plan[i].To >= 0 {
			m.Shards[0].Positions += plan[i].To - plan[i].From
		}
	}
	return job.Config{
		Name: "job", Manifest: m, Input: in, Lease: lease,
		Slices: func(context.Context) job.Slices { return planOf(plan, nil) },
	}
}

func newSource(t *testing.T, cfg job.Config) *job.Source {
	t.Helper()
	s, err := job.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// server is a worker that hands each strand to a function.
type server struct {
	bytes atomic.Int64 // taken and charged, not given back
	serve func(ctx context.Context, s queue.Strand) error
}

func (h *server) Serve(ctx context.Context, s queue.Strand) error { return h.serve(ctx, s) }

func (h *server) Take(_ context.Context, _, most int64) (int64, error) {
	h.bytes.Add(most)
	return most, nil
}
func (h *server) Give(n int64)   { h.bytes.Add(-n) }
func (h *server) Charge(n int64) { h.bytes.Add(n) }

// seen is what a server got, by value.
type seen struct {
	mu sync.Mutex
	of map[string]int
}

func (s *seen) add(ds []*queue.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[string]int{}
	}
	for _, d := range ds {
		s.of[string(d.Message().Value)]++
	}
}

func (s *seen) all() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.of)
}

var delivered = []queue.PartEnd{{Route: "r", Flusher: "f", Outcome: queue.Flushed}}

func ack(ds ...*queue.Delivery) {
	for _, d := range ds {
		d.Account(delivered)
		d.Ack()
		d.Free()
	}
}

func giveBack(ds ...*queue.Delivery) {
	for _, d := range ds {
		d.Release()
		d.Free()
	}
}

var room = queue.Room{Messages: 512, Bytes: 4 << 20}

// deliverAll acknowledges what comes.
func deliverAll(got *seen) func(context.Context, queue.Strand) error {
	return func(ctx context.Context, s queue.Strand) error {
		for {
			ds, err := s.Fetch(ctx, room)
			got.add(ds)
			ack(ds...)
			if err != nil {
				if ctx.Err() != nil || errors.Is(err, io.EOF) {
					err = nil
				}
				return err
			}
		}
	}
}

// bubble runs a test where time is virtual.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func stopping(drain time.Duration) *queue.End {
	return &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(drain)}
}
