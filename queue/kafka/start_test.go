package kafka

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	log := ends{first: 100, end: 200}
	for name, c := range map[string]struct {
		want   wanted
		byTime int64
		policy string
		place  place
		err    error
	}{
		"inside":                           {wanted{position: 150}, -1, OutOfRangeEarliest, place{next: 150}, nil},
		"the first":                        {wanted{position: 100}, -1, OutOfRangeFail, place{next: 100}, nil},
		"the end":                          {wanted{position: 200}, -1, OutOfRangeFail, place{next: 200}, nil},
		"expired, goes on at what is":      {wanted{position: 40}, -1, OutOfRangeEarliest, place{100, 60, expired}, nil},
		"expired, goes on at the end":      {wanted{position: 40}, -1, OutOfRangeLatest, place{200, 160, outOfRange}, nil},
		"expired, stops":                   {wanted{position: 40}, -1, OutOfRangeFail, place{}, errOutOfRange},
		"behind the end, starts over":      {wanted{position: 230}, -1, OutOfRangeEarliest, place{100, 30, outOfRange}, nil},
		"behind the end, goes on there":    {wanted{position: 230}, -1, OutOfRangeLatest, place{200, 30, outOfRange}, nil},
		"behind the end, stops":            {wanted{position: 230}, -1, OutOfRangeFail, place{}, errOutOfRange},
		"refused, and grown over since":    {wanted{position: 150, refused: true, cut: -1}, -1, OutOfRangeEarliest, place{next: 100, reason: outOfRange}, nil},
		"refused, and seen to end at 120":  {wanted{position: 150, refused: true, cut: 120}, -1, OutOfRangeEarliest, place{100, 30, outOfRange}, nil},
		"refused, goes on where it ended":  {wanted{position: 150, refused: true, cut: 120}, -1, OutOfRangeLatest, place{120, 30, outOfRange}, nil},
		"refused, goes on at the end":      {wanted{position: 150, refused: true, cut: -1}, -1, OutOfRangeLatest, place{200, 100, outOfRange}, nil},
		"refused, and the cut has expired": {wanted{position: 150, refused: true, cut: 40}, -1, OutOfRangeLatest, place{100, 50, outOfRange}, nil},
		"refused, and expired":             {wanted{position: 40, refused: true, cut: -1}, -1, OutOfRangeEarliest, place{100, 60, expired}, nil},
		"refused, stops":                   {wanted{position: 150, refused: true, cut: -1}, -1, OutOfRangeFail, place{}, errOutOfRange},
		"no commit: earliest":              {wanted{position: -1, start: StartEarliest}, -1, OutOfRangeFail, place{next: 100}, nil},
		"no commit: latest":                {wanted{position: -1, start: StartLatest}, -1, OutOfRangeFail, place{next: 200}, nil},
		"no commit: must have one":         {wanted{position: -1, start: StartCommitted}, -1, OutOfRangeLatest, place{}, errNoCommit},
		"no commit: a time":                {wanted{position: -1, start: "t", at: time.Unix(9, 0)}, 170, OutOfRangeEarliest, place{next: 170}, nil},
		"no commit: a time after all is":   {wanted{position: -1, start: "t", at: time.Unix(9, 0)}, -1, OutOfRangeEarliest, place{next: 200}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := choose(c.want, log, c.byTime, c.policy)
			if got != c.place || !errors.Is(err, c.err) {
				t.Errorf("chose %+v, %v; want %+v, %v", got, err, c.place, c.err)
			}
		})
	}
}

// The configured start is for what nobody has read yet, never for what is new.
func TestWantedOf(t *testing.T) {
	t.Parallel()
	at := func(topic string) wire.TopicPartition { return wire.TopicPartition{Topic: topic} }
	s := &Source{
		cfg:     &Config{Start: StartLatest},
		first:   map[wire.TopicPartition]bool{at("fresh"): true, at("known"): true},
		settled: map[string]bool{"known": true},
	}
	for topic, want := range map[string]string{"fresh": StartLatest, "known": StartEarliest, "later": StartEarliest} {
		if got := s.wantedOf(at(topic), -1); got.start != want || got.position != -1 {
			t.Errorf("topic %s without a commit: %+v, want %s", topic, got, want)
		}
		if got := s.wantedOf(at(topic), 7); got.position != 7 {
			t.Errorf("topic %s with a commit at 7: %+v", topic, got)
		}
	}
}

// What is written to a topic that was deleted and made anew was not there when the
// source started: start: latest and committed say nothing about it.
func TestStartOfATopicMadeAnew(t *testing.T) {
	t.Parallel()
	for _, start := range []string{StartLatest, StartCommitted} {
		s, at := newStand(t).strand.src, wire.TopicPartition{Topic: "logs"}
		s.cfg.Start = start
		s.first = map[wire.TopicPartition]bool{at: true, {Topic: "other"}: true}
		s.member = idleMember(t)
		s.follow(world(map[string]int{"logs": 1}), time.Now())
		if w := s.wantedOf(at, -1); w.start != start {
			t.Errorf("start %s: a topic that was there begins at %q", start, w.start)
		}
		s.follow(world(map[string]int{}), time.Now())
		s.follow(world(map[string]int{"logs": 1}), time.Now())
		if w := s.wantedOf(at, -1); w.start != StartEarliest {
			t.Errorf("start %s: the new topic begins at %q, want earliest", start, w.start)
		}
		if w := s.wantedOf(wire.TopicPartition{Topic: "other"}, -1); w.start != start {
			t.Errorf("start %s: another topic begins at %q", start, w.start)
		}
	}
}

// idleMember is one that never joins.
func idleMember(t *testing.T) *group.Member {
	t.Helper()
	m, err := group.New(group.Config{
		Client: new(solo), Group: "g", Session: 30 * time.Second, Rebalance: time.Minute, Heartbeat: 3 * time.Second, Drain: time.Second,
		Partitions: func(context.Context, []string) (map[string][]int32, error) { return nil, nil },
		Serve:      func(context.Context, *group.Lease) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}
