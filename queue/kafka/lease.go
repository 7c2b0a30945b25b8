package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// lease serves one lease until it ends. A topic that is made anew meanwhile ends
// the strand as Lost; the lease goes on with another.
func (s *Source) lease(ctx context.Context, l *group.Lease) {
	w := s.wantedOf(l.TopicPartition, l.Committed)
	for incarnation := 0; ; incarnation++ {
		again := s.live(ctx, l, w, incarnation)
		if again == nil {
			return
		}
		w = *again
		s.storing <- struct{}{} // no commit of what was may follow
		l.Rewind()
		<-s.storing
	}
}

// live serves one strand. It returns when all that was settled has reached the
// coordinator or was given up; again is where the lease goes on, if it does.
func (s *Source) live(ctx context.Context, l *group.Lease, w wanted, incarnation int) (again *wanted) {
	own, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	defer context.AfterFunc(ctx, func() { end(endOf(ctx, l)) })()
	st := s.newStrand(l, w, incarnation, func(why string) { end(&queue.End{Reason: queue.Lost, Why: why}) })
	if w.position >= 0 {
		st.beginAt(w.position)
	}
	s.enter(st)
	stopped := context.AfterFunc(own, st.close) // what is not handed out yet never will be
	defer stopped()

	err := s.host.Serve(own, st)

	if ctx.Err() != nil {
		end(endOf(ctx, l))
	}
	ended := own.Err() != nil
	st.close()
	s.leave(st)
	s.finish(own, st)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, context.Cause(own)) || !ended {
		s.fatal(fmt.Errorf("couldn't go on with %s: %w", st, cmp.Or(err, errLeft)))
	}
	if ctx.Err() != nil || !ended {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.again
}

// endOf is why a lease ends, for its strand: it may yet be lost while it drains, and
// somebody else then reads what it holds.
func endOf(ctx context.Context, l *group.Lease) error {
	var end *queue.End
	if !errors.As(context.Cause(ctx), &end) {
		return context.Cause(ctx)
	}
	of := *end
	of.Lost = l.Lost()
	return &of
}

var errLeft = errors.New("nobody serves it any more")

// fatal ends Run.
func (s *Source) fatal(err error) {
	if s.broken.CompareAndSwap(nil, &err) {
		s.stop(&queue.End{Reason: queue.Stopping, Why: err.Error()})
	}
}

// lostTo says whether a context ended because the strand is no longer ours, or has
// ended and it is no longer ours by now.
func lostTo(ctx context.Context) bool {
	var end *queue.End
	if !errors.As(context.Cause(ctx), &end) {
		return false
	}
	select {
	case <-end.Lost:
		return true
	default:
		return end.Reason == queue.Lost
	}
}

// deadline is until when the end of a strand may take.
func deadline(ctx context.Context) (time.Time, bool) {
	var end *queue.End
	if errors.As(context.Cause(ctx), &end) && !end.Deadline.IsZero() {
		return end.Deadline, true
	}
	return time.Time{}, false
}

// newStrand makes the strand of a lease.
func (s *Source) newStrand(l *group.Lease, w wanted, incarnation int, lose func(string)) *strand {
	at := l.TopicPartition
	st := &strand{
		TopicPartition: at,
		src:            s,
		lease:          l,
		doubtful:       l.Doubtful,
		info: queue.Info{
			Source:      s.opt.Name,
			Name:        at.String(),
			Incarnation: fmt.Sprintf("%s/%d/%d", s.cluster, l.Generation, incarnation),
		},
		host: s.host, give: s.host.Give,
		log:     s.log.With(zap.Stringer("partition", at)),
		wake:    make(chan struct{}, 1),
		lose:    lose,
		next:    -1,
		replica: -1,
		scale:   newScale(),
		ends:    ends{-1, -1},
		moved:   time.Now(),
		seen:    time.Now(),
		want:    w,
		first:   incarnation == 0,
	}
	st.position.Store(-1)
	if id := s.atlas.id(at.Topic); id != w.former {
		st.id = id
	}
	if st.id != (topicID{}) || w.former == (topicID{}) {
		st.seed = wire.Seed(s.cluster, at.Topic, st.id)
	} else {
		st.unsure = time.Now() // not read before its new id is known, from which ids derive
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passed[at] == nil {
		s.passed[at] = new(passed)
	}
	st.passed = s.passed[at]
	return st
}

// enter makes a strand known to the loops and the watch.
func (s *Source) enter(st *strand) {
	s.mu.Lock()
	s.strands[st.TopicPartition] = st
	s.vacant = time.Time{}
	s.mu.Unlock()
	if st.seed == nil {
		s.kick()
	}
	s.route(st)
	level := zap.InfoLevel
	if s.role.companion {
		level = zap.DebugLevel // one for each sweep
	}
	st.log.Log(level, "serving", zap.Int64("committed", st.want.position), zap.String("incarnation", st.info.Incarnation))
}

func (s *Source) leave(st *strand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strands[st.TopicPartition] == st {
		delete(s.strands, st.TopicPartition)
	}
	if len(s.strands) == 0 {
		s.vacant = time.Now()
	}
}

// served are the strands that live.
func (s *Source) served() []*strand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.strands))
}

// unfinished are the strands that live or have not made their last commit.
func (s *Source) unfinished() []*strand {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.strands))
	for _, st := range s.cursors {
		if s.strands[st.TopicPartition] != st {
			all = append(all, st)
		}
	}
	return all
}

func (s *Source) vacantSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.vacant
}
