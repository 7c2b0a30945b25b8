package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/group"
)

func (s *Source) serveLease(ctx context.Context, l *group.Lease) {
	if s.role.serve != nil {
		s.role.serve(ctx, l)
		return
	}
	s.lease(ctx, l)
}

func (s *Source) newMember() (*group.Member, error) {
	return group.New(group.Config{
		Client:      s.client,
		Group:       s.cfg.Group,
		Instance:    s.cfg.InstanceID,
		LeaveOnStop: s.cfg.LeaveOnStop,
		Session:     s.cfg.Session,
		Rebalance:   s.cfg.Rebalance,
		Heartbeat:   s.cfg.Heartbeat,
		Drain:       s.opt.Drain,
		Partitions:  s.partitionsOf,
		Serve:       s.serveLease,
		Log:         s.opt.Log.With(zap.String("source", s.opt.Name)),
	})
}

// partitionsOf answers the leader of a round: fresh, because an assignment lasts.
// A topic that is away is left out, so that its partitions keep their owners.
func (s *Source) partitionsOf(ctx context.Context, topics []string) (map[string][]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, err := s.client.Metadata(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("couldn't ask for the partitions to share out: %w", err)
	}
	all := map[string][]int32{}
	for name, t := range c.Topics {
		for _, p := range t.Partitions {
			all[name] = append(all[name], p.ID)
		}
	}
	return all, nil
}

// errHeldBack is the result of a commit for a strand whose topic may be another
// one by now.
var errHeldBack = errors.New("commits are held back until it is known whether the topic was made anew")

// store commits marks under their leases.
func (s *Source) store(ctx context.Context, marks []mark) []error {
	s.storing <- struct{}{} // before it is asked whose marks may still be stored
	defer func() { <-s.storing }()
	errs := make([]error, len(marks))
	var send []group.Mark
	var index []int
	for i, m := range marks {
		st := s.ofCursor(m.cursor)
		if st == nil || st.doubted() {
			errs[i] = errHeldBack
			continue
		}
		send = append(send, group.Mark{Lease: st.lease, Offset: m.offset, Metadata: m.metadata})
		index = append(index, i)
	}
	if len(send) == 0 {
		return errs
	}
	for k, err := range s.member.Commit(ctx, send) {
		i := index[k]
		errs[i] = err
		if errors.Is(err, kafkago.UnknownTopicOrPartition) {
			if st := s.ofCursor(marks[i].cursor); st != nil { // it may have been lost meanwhile
				st.doubt("the coordinator does not know the topic")
			}
			s.kick()
		}
	}
	for _, i := range index {
		if st := s.ofCursor(marks[i].cursor); errs[i] == nil && st != nil && s.role.stored != nil {
			s.role.stored(st, marks[i].offset)
		}
	}
	return errs
}

func (s *Source) ofCursor(c *cursor) *strand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursors[c]
}

// commitFor has the committer look after a strand's cursor.
func (s *Source) commitFor(st *strand) {
	s.mu.Lock()
	s.cursors[st.cursor] = st
	s.mu.Unlock()
	s.commits.add(st.cursor)
}

// afterEnd is how long a last commit may take at least.
const afterEnd = 5 * time.Second

// finish makes the last commit of a strand that was not lost.
func (s *Source) finish(ended context.Context, st *strand) {
	st.mu.Lock()
	c := st.cursor
	st.mu.Unlock()
	if c == nil {
		return // it never knew where to begin
	}
	defer func() {
		s.mu.Lock()
		delete(s.cursors, c)
		s.mu.Unlock()
	}()
	if lostTo(ended) {
		s.commits.drop(c)
		return
	}
	until, ok := deadline(ended)
	if !ok || time.Until(until) < afterEnd {
		until = time.Now().Add(afterEnd) // the group waits as long behind the deadline
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ended), until)
	defer cancel()
	if _, _, news := c.last(); !news || !s.resolve(ctx, st) {
		s.commits.drop(c)
		return
	}
	if err := s.commits.final(ctx, c); err != nil {
		st.log.Warn("couldn't commit at the end of the lease: what ended since the last commit comes again", zap.Error(err))
	}
}
