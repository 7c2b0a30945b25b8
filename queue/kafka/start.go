package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// wanted is where a strand wants to read, before anybody asked what there is.
type wanted struct {
	position int64     // -1: nowhere in particular
	start    string    // with -1: StartEarliest, StartLatest or StartCommitted
	at       time.Time // with -1 and none of these
	refused  bool      // with a position: the leader said that it is not in the log, which may have grown since
	cut      int64     // with refused: where the log was seen to end before the position; -1: it was not seen
	former   topicID   // the topic had this id before it was made anew
}

// place is where a strand may read, and what that passes over.
type place struct {
	next   int64
	passed int64
	reason reason
}

// errNoCommit stops a strand that must have a committed offset.
var errNoCommit = errors.New("the group has no committed offset for it, and start is committed: " +
	"stop the group and set one with kafka-consumer-groups.sh --reset-offsets, or write start: earliest")

// errOutOfRange stops a strand that must not pass anything over.
var errOutOfRange = errors.New("is not in the log, and out_of_range is fail " +
	"(stop the group and set its offset, or write out_of_range: earliest)")

// choose decides where to read in a log that holds the positions from first to
// before end. byTime is the answer of the broker to wanted.at.
func choose(w wanted, log ends, byTime int64, policy string) (place, error) {
	if w.position < 0 {
		return chooseStart(w, log, byTime)
	}
	below, above := w.position < log.first, w.position > log.end
	switch {
	case !below && !above && !w.refused:
		return place{next: w.position}, nil
	case policy == OutOfRangeFail:
		return place{}, fmt.Errorf("position %d %w, which has %d to %d", w.position, errOutOfRange, log.first, log.end-1)
	case policy == OutOfRangeLatest && below:
		return place{next: log.end, passed: log.end - w.position, reason: outOfRange}, nil
	case below:
		return place{next: log.first, passed: log.first - w.position, reason: expired}, nil
	}
	return chooseCut(w, log, policy), nil
}

// chooseCut decides for a log that ends before the position, or did when the position
// was refused. What was written since lies above its cut, on both sides of the
// position.
func chooseCut(w wanted, log ends, policy string) place {
	cut := log.end
	if w.refused && w.cut >= 0 {
		cut = max(min(w.cut, log.end), log.first)
	}
	p := place{next: log.first, passed: max(w.position-cut, 0), reason: outOfRange}
	if policy == OutOfRangeLatest {
		p.next = cut
		if cut >= w.position { // nobody saw where it was cut
			p.passed = cut - log.first
		}
	}
	return p
}

func chooseStart(w wanted, log ends, byTime int64) (place, error) {
	switch w.start {
	case StartEarliest:
		return place{next: log.first}, nil
	case StartLatest:
		return place{next: log.end}, nil
	case StartCommitted:
		return place{}, errNoCommit
	}
	if byTime < 0 { // no message is that young
		return place{next: log.end}, nil
	}
	return place{next: byTime}, nil
}

// wantedOf is where a lease begins. Without a committed offset the configured start
// holds only for what was there, and unread by the group, when the source started.
func (s *Source) wantedOf(at wire.TopicPartition, committed int64) wanted {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case committed >= 0:
		return wanted{position: committed}
	case s.settled[at.Topic] || !s.first[at]:
		return wanted{position: -1, start: StartEarliest}
	}
	return wanted{position: -1, start: s.cfg.Start, at: s.startAt}
}

// isNew notes that a topic is not, or will not be, the one that was there when the
// source started: nobody has read what is in the next one of its name.
func (s *Source) isNew(topic string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.first, func(at wire.TopicPartition, _ bool) bool { return at.Topic == topic })
}

// locate finds the position to read from, however long that takes.
func (s *strand) locate(ctx context.Context) error {
	s.mu.Lock()
	w := s.want
	s.mu.Unlock()
	for n := 0; ; n++ {
		p, log, err := s.ask(ctx, &w)
		if err == nil {
			s.begin(w, p, log)
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("couldn't find where to read %s: %w", s, context.Cause(ctx))
		}
		s.fail(err, time.Now())
		if err := waitFor(ctx, retryIn(n), s.wake); err != nil {
			return fmt.Errorf("couldn't find where to read %s: %w", s, err)
		}
	}
}

// ask asks the leader what the log holds and decides.
func (s *strand) ask(ctx context.Context, w *wanted) (place, ends, error) {
	b, ok := s.src.atlas.leads(s.TopicPartition)
	if !ok {
		s.src.kick()
		return place{}, ends{}, errNoLeader
	}
	log, err := s.src.bounds(ctx, b.Addr(), s.TopicPartition, w.start == StartLatest)
	if err != nil {
		s.src.kick()
		return place{}, ends{}, err
	}
	if w.position > log.end && (!w.refused || w.cut < 0) { // the next answer may come after producers
		w.refused, w.cut = true, log.end
	}
	if w.refused || w.position > 0 && w.position < log.first {
		gone, err := s.src.commitGone(ctx, s)
		if err != nil {
			return place{}, ends{}, err
		}
		if gone {
			s.recreated("our position is not in the log and the group's offset is gone")
			return place{}, ends{}, errRecreated
		}
	}
	byTime := int64(-1)
	if !w.at.IsZero() {
		if byTime, err = s.src.offsetAt(ctx, b.Addr(), s.TopicPartition, w.at.UnixMilli(), false); err != nil {
			return place{}, ends{}, err
		}
	}
	p, err := choose(*w, log, byTime, s.src.cfg.OutOfRange)
	return p, log, err
}

var (
	errNoLeader  = errors.New("it has no leader")
	errRecreated = errors.New("the topic was made anew")
)

// begin takes over a position. One that no commit names is committed at once: the
// next owner shall not choose again.
func (s *strand) begin(w wanted, p place, log ends) {
	if p.passed > 0 {
		s.passed.add(p.reason, p.passed)
		s.log.Error("messages were passed over", zap.Stringer("reason", p.reason), zap.Int64("messages", p.passed),
			zap.Int64("wanted", w.position), zap.Int64("goes_on_at", p.next), zap.Int64("log_start", log.first), zap.Int64("log_end", log.end))
	} else if w.position < 0 {
		s.log.Info("begins without a committed offset", zap.Int64("position", p.next), zap.String("start", w.describe()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble.clear()
	s.ends = log
	s.moved = time.Now()
	switch {
	case s.cursor == nil:
		s.beginAtLocked(p.next)
	case p.next >= s.cursor.mark.Next():
		s.cursor.mark.Advance(p.next)
		s.next = p.next
	default: // a watermark never goes back
		s.again = &wanted{position: p.next}
		s.lose(fmt.Sprintf("the log was cut back: reading goes on at %d", p.next))
		return
	}
	s.pokeLeader()
}

// beginAt makes the cursor of a strand whose position is known.
func (s *strand) beginAt(position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginAtLocked(position)
}

func (s *strand) beginAtLocked(position int64) {
	s.next = position
	from := inheritance{Cluster: s.src.cluster, Partition: s.TopicPartition, Committed: -1}
	switch {
	case s.from != nil:
		from = *s.from
	case s.first: // what was committed before is about another log, else
		from.Committed, from.Metadata = s.lease.Committed, s.lease.Metadata
	}
	s.cursor = newCursor(from, position, min(s.src.cfg.Span, maxSpan), time.Now())
	s.src.commitFor(s)
	if from.Committed < 0 {
		s.src.commits.poke()
	}
}

func (w *wanted) describe() string {
	if w.start == "" || !w.at.IsZero() {
		return w.at.Format(time.RFC3339)
	}
	return w.start
}

// bounds asks for the first and the next position of a log.
func (s *Source) bounds(ctx context.Context, addr string, at wire.TopicPartition, stable bool) (log ends, err error) {
	if log.first, err = s.offsetAt(ctx, addr, at, wire.Earliest, false); err != nil {
		return log, err
	}
	log.end, err = s.offsetAt(ctx, addr, at, wire.Latest, stable && s.cfg.Isolation == ReadCommitted)
	return log, err
}

func (s *Source) offsetAt(ctx context.Context, addr string, at wire.TopicPartition, t int64, stable bool) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	got, err := s.client.ListOffsets(ctx, addr, stable, []wire.OffsetAt{{TopicPartition: at, Time: t}})
	if err != nil {
		return -1, fmt.Errorf("couldn't ask for the offsets of %s: %w", at, err)
	}
	one, ok := got[at]
	if !ok {
		return -1, fmt.Errorf("couldn't ask for the offsets of %s: %s did not answer for it", at, addr)
	}
	if one.Err != nil {
		return -1, fmt.Errorf("couldn't ask for the offsets of %s: %w", at, one.Err)
	}
	return one.Offset, nil
}
