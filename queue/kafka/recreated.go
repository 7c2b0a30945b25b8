package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// A topic that is deleted and made anew has other messages at the positions we
// know. Kafka tells nobody. Brokers from 2.8 say the topic's id whenever we ask who
// leads what, and another id is proof. What shows it before that, and at all on older
// brokers, is that the topic was away, that a leader epoch went back, or that the log
// ends before where we are. A strand of such a topic is suspect: it is not read and
// commits nothing until it is known whether its partition is still the one it was.

// identify takes in the id that the topic had when brokers were asked.
func (s *strand) identify(id topicID, asked time.Time) {
	s.mu.Lock()
	was, none := s.id, topicID{}
	other := was != none && id != none && id != was
	switch {
	case other:
	case was == none:
		s.id = id
		if s.seed == nil && id != none {
			s.seed, s.unsure = wire.Seed(s.src.cluster, s.Topic, id), time.Time{}
			s.pokeLeader()
		}
	case !s.unsure.IsZero() && !s.unsure.After(asked):
		s.unsure = time.Time{}
		s.pokeLeader()
	}
	s.mu.Unlock()
	if other {
		s.recreated(fmt.Sprintf("its id is %s and was %s", id, was))
	}
}

// resumeLocked notes that a strand is fetched from. While it is read, an answer says
// that the topic is away; after a pause it is not read before brokers said its id
// again, unless they just have. So pauses cost one request a second at most.
func (s *strand) resumeLocked(now time.Time) {
	since := now.Add(-paused)
	if s.id != (topicID{}) && s.unsure.IsZero() && s.seen.Before(since) && s.src.atlas.asked().Before(since) {
		s.unsure = now
		s.src.kick()
	}
	s.seen = now
}

// suspicionLocked is why the topic may be another one, and why that is not known yet.
func (s *strand) suspicionLocked() string {
	if s.unknown == nil {
		return s.suspect
	}
	return because(s.suspect+"; couldn't find out whether it was made anew", s.unknown)
}

// barredLocked says whether the log may not be the one that the position is about.
func (s *strand) barredLocked() bool { return s.suspect != "" || !s.unsure.IsZero() }

// suspect doubts every strand that match names.
func (s *Source) suspect(match func(wire.TopicPartition) bool, why string) {
	for _, st := range s.served() {
		if match(st.TopicPartition) {
			st.doubt(why)
		}
	}
}

func (s *strand) doubt(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts++
	if s.suspect == "" {
		s.suspect, s.doubtedAt = why, time.Now()
	}
}

func (s *strand) doubted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.suspect != ""
}

// clear has suspicions looked into once the topic can be asked.
func (s *Source) clear(st *strand) {
	_, led := s.atlas.leads(st.TopicPartition)
	st.mu.Lock()
	open := led && st.suspect != "" && st.again == nil && !st.checking
	st.checking = st.checking || open
	st.mu.Unlock()
	if open {
		s.loops.Go(func() { s.check(s.running, st) })
	}
}

// check decides a suspicion. If it cannot, the next metadata brings it back.
func (s *Source) check(ctx context.Context, st *strand) {
	st.mu.Lock()
	doubts := st.doubts
	st.mu.Unlock()
	other, why, err := s.isAnother(ctx, st)
	st.mu.Lock()
	st.checking = false
	was := st.suspect
	if err == nil && !other && st.doubts != doubts {
		err = errDoubtedAgain
	}
	st.unknown = err
	if err == nil && !other && st.again == nil {
		st.suspect = ""
		st.trouble.clear()
		st.pokeLeader()
		poke(st.wake)
	}
	st.mu.Unlock()
	switch {
	case err != nil:
		st.log.Warn("couldn't find out whether the topic was made anew", zap.String("because", was), zap.Error(err))
		s.troubled.Store(true)
	case other:
		st.recreated(was + ", and " + why)
	default:
		st.log.Info("the topic is the one it was", zap.String("doubted_because", was))
	}
}

var errDoubtedAgain = errors.New("there was a reason to doubt it meanwhile")

// resolve looks into a suspicion until it is known, the topic counts as deleted, or
// ctx ends: a strand that has ended is in nobody else's care. It says whether the
// partition is the one it was.
func (s *Source) resolve(ctx context.Context, st *strand) bool {
	for n := 0; st.doubted(); n++ {
		if _, led := s.atlas.leads(st.TopicPartition); led {
			s.check(ctx, st)
		}
		st.mu.Lock()
		other := st.again != nil
		st.mu.Unlock()
		if other || s.deleted(st.Topic) || st.doubted() && waitFor(ctx, retryIn(n), nil) != nil {
			return false
		}
	}
	return true
}

// deleted says that a topic is away for so long that it will not come back.
func (s *Source) deleted(topic string) bool {
	if away, ok := s.atlas.missing()[topic]; ok {
		return time.Since(away.since) >= goneAfter
	}
	return s.atlas.pattern != nil && !slices.Contains(s.atlas.subscription(), topic)
}

// isAnother says whether a partition is not the one that the strand began with.
func (s *Source) isAnother(ctx context.Context, st *strand) (other bool, why string, err error) {
	b, ok := s.atlas.leads(st.TopicPartition)
	if !ok {
		return false, "", errNoLeader
	}
	log, err := s.bounds(ctx, b.Addr(), st.TopicPartition, false)
	if err != nil {
		return false, "", err
	}
	st.mu.Lock()
	next := st.next
	st.mu.Unlock()
	if next > log.end {
		return true, fmt.Sprintf("it now ends at %d, before our position %d", log.end, next), nil
	}
	gone, err := s.commitGone(ctx, st)
	return gone, "the group's offset went with the old one", err
}

// commitGone says that an offset which was committed is no longer there: brokers
// delete the offsets of a topic together with it.
func (s *Source) commitGone(ctx context.Context, st *strand) (bool, error) {
	st.mu.Lock()
	committed := st.committedLocked().committed
	st.mu.Unlock()
	if committed < 0 {
		return false, nil
	}
	got, err := s.committed(ctx, []wire.TopicPartition{st.TopicPartition})
	if err != nil {
		return false, fmt.Errorf("couldn't look up the offset of %s: %w", st, err)
	}
	one, ok := got[st.TopicPartition]
	if !ok {
		return true, nil
	}
	if one.Err != nil {
		return false, fmt.Errorf("couldn't look up the committed offset of %s: %w", st, one.Err)
	}
	return one.Offset < 0, nil
}

// recreated ends the strand as Lost: what it holds belongs to a log that is no
// more. What was in that log and never came to us is counted.
func (s *strand) recreated(why string) {
	s.mu.Lock()
	if s.again != nil {
		s.mu.Unlock()
		return
	}
	unread := int64(0)
	if s.next >= 0 {
		unread = s.ends.end - s.next
	}
	s.suspect = why
	s.again = &wanted{position: -1, start: StartEarliest, former: s.id}
	s.mu.Unlock()
	s.src.isNew(s.Topic)
	s.passed.add(recreated, max(unread, 0))
	s.log.Warn("the topic was deleted and made anew: it is read from its earliest message", zap.String("because", why))
	s.lose("the topic was deleted and made anew: " + why)
}
