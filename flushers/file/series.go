package file

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// series is one path: its numbered files, of which at most one is open, and those
// who want to append. The first of them leads: it writes what all waiting ones
// brought and syncs once, then the next leads. So ten thousand lanes that write
// one file cost a few syncs, and a lane alone pays for no coordination.
type series struct {
	store *store
	key   seriesKey
	name  name

	users  int           // guarded by the store
	opened bool          // guarded by the store: it has a slot
	elem   *list.Element // guarded by the store

	mu      sync.Mutex
	waiting []*write
	led     bool // somebody leads, or was told to

	owner  sync.Mutex // of what follows: the leader, or who closes an idle file
	file   file       // nil: closed
	path   string     // of file
	size   int64      // of file: all of it is synced
	born   time.Time  // of file
	known  int64      // size of the newest file when we closed it; 0: not known
	number int        // of the newest file; 0: not looked for yet
	spoilt bool       // the newest file must not be used any more
}

// write is one append. answer gets the result, or errLead.
type write struct {
	data   []byte
	answer chan error
}

// errLead is the answer to the write whose caller has to lead.
var errLead = errors.New("it is your turn to lead")

// append returns nil when data is durable. When ctx ends first, data may still be
// written; it must not be changed.
func (s *series) append(ctx context.Context, data []byte, log *zap.Logger) error {
	if err := ctx.Err(); err != nil || len(data) == 0 {
		return err
	}
	w := &write{data: data, answer: make(chan error, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	first := !s.led
	s.led = true
	s.mu.Unlock()
	if first {
		return s.lead(ctx, w, log)
	}
	select {
	case err := <-w.answer:
		if errors.Is(err, errLead) {
			return s.lead(ctx, w, log)
		}
		return err
	case <-ctx.Done():
		return s.leave(ctx, w)
	}
}

// leave takes back a write whose caller waits no longer. One that a leader has
// already taken may become durable all the same.
func (s *series) leave(ctx context.Context, w *write) error {
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(o *write) bool { return o == w })
	s.mu.Unlock()
	select {
	case err := <-w.answer:
		if !errors.Is(err, errLead) {
			return err
		}
		s.pass()
	default:
	}
	return ctx.Err()
}

// lead writes for all who wait. w is the first of them.
func (s *series) lead(ctx context.Context, w *write, log *zap.Logger) error {
	s.owner.Lock()
	err := s.prepare(ctx, int64(len(w.data)), log)
	if err != nil && ctx.Err() != nil {
		s.owner.Unlock()
		return s.resign(w, err)
	}
	batch := s.take()
	if err == nil {
		err = s.commit(batch)
	}
	s.owner.Unlock()
	s.pass()
	for _, o := range batch {
		if o != w {
			o.answer <- err
		}
	}
	return err
}

// resign leaves the leadership without having written: only this caller's time
// is up.
func (s *series) resign(w *write, err error) error {
	s.mu.Lock()
	s.waiting = slices.DeleteFunc(s.waiting, func(o *write) bool { return o == w })
	s.mu.Unlock()
	s.pass()
	return err
}

// pass lets the next one lead.
func (s *series) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.led = false
		return
	}
	s.waiting[0].answer <- errLead
}

// take is what goes into the open file: at least one write, and no more than
// max_size allows.
func (s *series) take() []*write {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, size := 1, s.size+int64(len(s.waiting[0].data))
	for n < len(s.waiting) {
		if size += int64(len(s.waiting[n].data)); size > s.key.layout.maxSize {
			break
		}
		n++
	}
	batch := s.waiting[:n:n]
	s.waiting = slices.Clone(s.waiting[n:])
	return batch
}
