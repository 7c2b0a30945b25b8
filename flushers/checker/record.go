package checker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// Call is one Flush as the script saw it.
type Call struct {
	Key       protocol.Key
	Note      string // of the entry
	IDs       []protocol.ID
	Groups    []*protocol.LogGroup // nil if the script is Raw
	Raw       [][]byte             // a copy
	Attempt   int
	FirstSeen time.Time
	Start     time.Time

	// Set when the call has returned.
	Returned bool
	Panicked bool
	End      time.Time
	Err      error

	sum uint64 // of the groups when the call began
}

// Len is how many groups the call carries.
func (c *Call) Len() int { return max(len(c.Groups), len(c.Raw)) }

// Stored is one group that a Flush took.
type Stored struct {
	Key   protocol.Key
	Note  string
	ID    protocol.ID // zero if the script is Plain
	Group *protocol.LogGroup
	Raw   []byte
}

// Stats counts calls over all instances.
type Stats struct {
	Inits   int // calls of Init
	Live    int // instances whose Init succeeded, stopped ones included
	Stops   int // calls of Stop
	Asked   int // calls of IsReady
	Urgent  int // calls of SetUrgent(true)
	Calm    int // calls of SetUrgent(false)
	Flushes int // Flush calls that began
	Running int // Flush calls that have not returned
	Failed  int // Flush calls that returned an error or panicked
	Groups  int // groups stored, repeated ones included
}

// Stats is a snapshot.
func (s *Script) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Calls are all Flush calls in the order they began, running ones included.
func (s *Script) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Call, len(s.calls))
	for i, c := range s.calls {
		out[i] = *c
	}
	return out
}

// Stored are the groups in the order their Flush calls returned.
func (s *Script) Stored() []Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.stored)
}

// Groups are those of Stored.
func (s *Script) Groups() []*protocol.LogGroup {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*protocol.LogGroup, 0, len(s.stored))
	for _, st := range s.stored {
		out = append(out, st.Group)
	}
	return out
}

// Count is how often each id was stored; more than once is a duplicate.
func (s *Script) Count() map[protocol.ID]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[protocol.ID]int, len(s.stored))
	for _, st := range s.stored {
		out[st.ID]++
	}
	return out
}

// WaitGroups returns when n groups were stored, or with an error that says how
// many there are when ctx ends.
func (s *Script) WaitGroups(ctx context.Context, n int) error {
	return s.Wait(ctx, fmt.Sprintf("%d groups", n), func(st Stats) bool { return st.Groups >= n })
}

// Wait returns when done says so; it is asked again after each change. what is
// for the error.
func (s *Script) Wait(ctx context.Context, what string, done func(Stats) bool) error {
	for {
		s.mu.Lock()
		st, changed := s.stats, s.changed
		s.mu.Unlock()
		if done(st) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w; the checker has %+v", what, context.Cause(ctx), st)
		}
	}
}

// update changes the counts and wakes the waiters.
func (s *Script) update(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Script) began(c *Call) {
	s.update(func(st *Stats) {
		st.Flushes++
		st.Running++
		if !s.CountOnly {
			s.calls = append(s.calls, c)
		}
	})
}

// returned records the end of a call and the groups it took.
func (s *Script) returned(c *Call, err error, panicked bool) {
	s.update(func(st *Stats) {
		c.Returned, c.Panicked, c.End, c.Err = true, panicked, time.Now(), err
		st.Running--
		if panicked || err != nil {
			st.Failed++
		}
		for i := range c.Len() {
			if !panicked && took(err, i) {
				st.Groups++
				s.store(c, i)
			}
		}
	})
}

// took says whether the group at index i was stored by a call that returned err.
func took(err error, i int) bool {
	if err == nil {
		return true
	}
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		return false
	}
	_, failed := partial.Failed[i]
	return !failed
}

func (s *Script) store(c *Call, i int) {
	if s.CountOnly {
		return
	}
	st := Stored{Key: c.Key, Note: c.Note}
	if i < len(c.IDs) {
		st.ID = c.IDs[i]
	}
	if i < len(c.Groups) {
		st.Group = c.Groups[i]
	}
	if i < len(c.Raw) {
		st.Raw = c.Raw[i]
	}
	s.stored = append(s.stored, st)
}
