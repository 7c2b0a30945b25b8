package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

const summary = "Notes what came and when, and is dead or slow as its test says."

func (h *hand) kind() flushers.Kind {
	return flushers.Kind{
		Name: "switched", Summary: summary, Atomic: true, NoRetain: true,
		New: func() flushers.Flusher { return &switched{hand: h} },
	}
}

// switched is the destination of one logstore.
type switched struct {
	hand    *hand
	store   uint32
	name    string
	runtime context.Context
	free    time.Time // of a slow one: when it has done what it took
}

func (s *switched) Init(c flushers.Context) error {
	s.name, s.runtime = c.GetLogstore(), c.GetRuntimeContext()
	n, err := strconv.ParseUint(strings.TrimPrefix(s.name, "store-"), 10, 32)
	s.store = uint32(n)
	return err
}

func (s *switched) Description() string { return summary }

func (s *switched) IsReady(string, string, int64) bool { return true }

// Flush reads the number and the time of a group out of its topic.
func (s *switched) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	m := (*s.hand.moods.Load())[s.name]
	if m.dead {
		return errors.New("the destination is dead")
	}
	all := make([]came, 0, len(groups)) // kept, it would be weighed with the lane
	for _, g := range groups {
		number, published, _ := strings.Cut(g.Topic, " ")
		n, err := strconv.ParseUint(number, 10, 32)
		at, err2 := strconv.ParseInt(published, 10, 64)
		if err = errors.Join(err, err2); err != nil {
			return flushers.Permanent(fmt.Errorf("this is no group of the test: %w", err))
		}
		all = append(all, came{uint32(n), at})
	}
	if err := s.work(len(groups), m.rate); err != nil {
		return err
	}
	return s.hand.note(s.store, all)
}

// catchUp is how much of the time that it was not asked for anything a slow destination
// makes up for: a busy machine does not make it slower than it says.
const catchUp = 100 * time.Millisecond

// work lasts as long as a destination of that rate needs for n groups.
func (s *switched) work(n int, rate float64) error {
	if rate == 0 {
		return nil
	}
	now := time.Now()
	if idle := now.Add(-catchUp); s.free.Before(idle) {
		s.free = idle
	}
	s.free = s.free.Add(time.Duration(float64(n) / rate * float64(time.Second)))
	t := time.NewTimer(s.free.Sub(now))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.runtime.Done():
		return s.runtime.Err()
	}
}

func (s *switched) SetUrgent(bool) {}

func (s *switched) Stop() error { return nil }

// BatchHint keeps batches of a slow destination short, so that what is noted says when
// it came.
func (s *switched) BatchHint() flushers.Hint { return flushers.Hint{Groups: 256} }
