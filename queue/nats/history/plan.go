package history

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
)

// How a stretch is cut: pieces for each shard, so that shards end at about the same
// time, but none so small that its consumer costs more than its messages.
const (
	piecesAShard = 4
	leastPiece   = 1000
)

// PlanRange plans the messages from one bound up to, not including, another of each
// stream that cfg names, for so many shards. Where a stream ends is fixed by this
// call. It changes nothing; for a bound in time it asks a consumer that it deletes
// again.
//
// It is an error if a bound lies outside of a stream, if a stream deletes what was
// acknowledged, or if the server cannot be asked. What retention has taken already
// is in the plan's Lost.
func PlanRange(ctx context.Context, conn *nats.Conn, cfg *nats.Config, from, to job.Bound, of int) (*job.Plan, error) {
	if of < 1 {
		return nil, fmt.Errorf("couldn't plan for %d shards: there is at least one", of)
	}
	chosen, err := choose(cfg, &from, &to)
	if err != nil {
		return nil, err
	}
	plan := &job.Plan{Kind: Kind, Range: "from " + from.Text + " to " + to.Text}
	var all []job.Slice
	for _, one := range chosen {
		s, err := measure(ctx, conn, one, &from, &to)
		if err != nil {
			return nil, fmt.Errorf("couldn't plan %s from %s to %s: %w", one.Stream, from.Text, to.Text, err)
		}
		s.name = nameOf(cfg, one)
		if lost, any := s.lost(); any {
			plan.Lost = append(plan.Lost, lost)
		}
		all = s.cut(all, of)
	}
	for i := range all {
		all[i].Shard = i % of
	}
	plan.Slices = func(yield func(job.Slice, error) bool) {
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
	}
	return plan, nil
}

// Kind of the plans and slices of this package.
const Kind = "nats"

// nameOf is what the slices of a consumer's stream are called: the stream, and the
// durable where several consumers read it.
func nameOf(cfg *nats.Config, one nats.Consumer) string {
	n := 0
	for _, other := range cfg.List() {
		if other.Stream == one.Stream {
			n++
		}
	}
	if n > 1 {
		return one.Stream + "/" + one.Durable
	}
	return one.Stream
}

// stretch is the range of one stream.
type stretch struct {
	name     string
	stamp    string
	from, to int64 // what is there
	asked    int64 // what was asked for; -1: a time before which something may have been
}

// cut appends the slices of a stretch.
func (s *stretch) cut(all []job.Slice, of int) []job.Slice {
	whole := s.to - s.from
	if whole <= 0 {
		return all
	}
	n := min(max(whole/leastPiece, 1), int64(of)*piecesAShard)
	for i := range n {
		// The first whole%n pieces are one longer; no product, so nothing overflows.
		from := s.from + i*(whole/n) + min(i, whole%n)
		to := from + whole/n
		if i < whole%n {
			to++
		}
		all = append(all, job.Slice{
			Name: fmt.Sprintf("%s %d-%d", s.name, from, to-1), From: from, To: to, Stamp: s.stamp,
		})
	}
	return all
}

// lost is what retention took of a stretch.
func (s *stretch) lost() (job.Lost, bool) {
	l := job.Lost{Slice: s.name, From: s.asked, To: s.from}
	switch {
	case s.asked < 0:
		l.Count = -1
		l.Why = "the stream's first message is younger than the time that was asked for, and older ones were deleted"
		return l, true
	case s.asked < s.from:
		l.Slice = fmt.Sprintf("%s %d-%d", s.name, s.asked, s.from-1)
		l.Count = s.from - s.asked
		l.Why = "below the stream's first message: retention or somebody has deleted it"
		return l, true
	}
	return l, false
}

// measure resolves both bounds in one stream.
func measure(ctx context.Context, conn *nats.Conn, one nats.Consumer, from, to *job.Bound) (*stretch, error) {
	info, err := askStream(ctx, conn, one.Stream)
	if err != nil {
		return nil, err
	}
	if info.Config.Retention != jetstream.LimitsPolicy {
		return nil, job.Impossible(fmt.Errorf("stream %s has retention %v: its acknowledged messages are gone, so there is no history to read; keep one with retention limits, or a mirror of it, for that",
			one.Stream, info.Config.Retention))
	}
	r := &resolver{conn: conn, one: one, info: info, first: first(&info.State), end: int64(info.State.LastSeq) + 1}
	asked, err := r.sequence(ctx, "from", from)
	if err != nil {
		return nil, err
	}
	until, err := r.sequence(ctx, "to", to)
	if err != nil {
		return nil, err
	}
	if asked > until {
		return nil, job.Impossible(fmt.Errorf("it would end before it begins: from is sequence %d, to is %d; the stream has %d to %d", asked, until, r.first, r.end-1))
	}
	s := &stretch{stamp: nats.StreamID(one.Stream, info.Created), from: min(max(asked, r.first), until), to: until, asked: asked}
	if r.goneBefore(from) {
		s.asked = -1
	}
	return s, nil
}

// first is the sequence of the first message; of an empty stream, of the next one.
func first(st *jetstream.StreamState) int64 {
	if st.Msgs == 0 {
		return int64(st.LastSeq) + 1
	}
	return int64(max(st.FirstSeq, 1))
}

// choose is the consumers whose streams are read: all, or those that the bounds
// name.
func choose(cfg *nats.Config, from, to *job.Bound) ([]nats.Consumer, error) {
	if !from.Time.IsZero() && !to.Time.IsZero() && from.Time.After(to.Time) {
		return nil, job.Impossible(fmt.Errorf("couldn't plan from %s to %s: it would end before it begins", from.Text, to.Text))
	}
	list := cfg.List()
	for _, b := range []*job.Bound{from, to} {
		for _, place := range b.Partitions() {
			if err := checkPlace(cfg, place); err != nil {
				return nil, job.Impossible(fmt.Errorf("couldn't use the bound %s: %w", b.Text, err))
			}
		}
	}
	list = slices.DeleteFunc(slices.Clone(list), func(one nats.Consumer) bool {
		return !named(from, one.Stream) || !named(to, one.Stream)
	})
	if len(list) == 0 {
		return nil, job.Impossible(fmt.Errorf("couldn't plan from %s to %s: no stream is named by both", from.Text, to.Text))
	}
	return list, nil
}

func checkPlace(cfg *nats.Config, place job.Place) error {
	if place.Partition != 0 {
		return job.Impossible(fmt.Errorf("a stream has no partition %d: write a sequence for all streams, or STREAM[0]:SEQUENCE", place.Partition))
	}
	streams := map[string]bool{}
	for _, one := range cfg.List() {
		streams[one.Stream] = true
	}
	if place.Topic == "" && len(streams) > 1 {
		return job.Impossible(errors.New("several streams are read: write STREAM[0]:SEQUENCE for each, or a sequence for all"))
	}
	if place.Topic != "" && !streams[place.Topic] {
		return job.Impossible(fmt.Errorf("the source does not read a stream %s", place.Topic))
	}
	return nil
}

// named says whether a bound speaks of a stream.
func named(b *job.Bound, stream string) bool {
	if b.Places == nil {
		return true
	}
	_, ok := place(b, stream)
	return ok
}

func place(b *job.Bound, stream string) (int64, bool) {
	if at, ok := b.Places[job.Place{Topic: stream}]; ok {
		return at, true
	}
	at, ok := b.Places[job.Place{}]
	return at, ok
}
