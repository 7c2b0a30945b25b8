package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// host is the worker as one source sees it.
type host struct {
	*heldPool
	w   *Worker
	src queue.Source
}

// Serve implements queue.Host.
func (h host) Serve(ctx context.Context, q queue.Strand) error {
	defer h.w.crash()
	s := h.w.newStrand(q)
	if m, ok := h.src.(queue.Meter); ok {
		s.source.meter.Store(&m)
	}
	h.w.addStrand(s)
	defer h.w.removeStrand(s)
	s.log.Debug("strand begins", zap.String("incarnation", s.info.Incarnation))
	err := s.consume(ctx)
	s.finish(ctx)
	s.look(time.Now()) // what it counted last
	if err != nil {
		return fmt.Errorf("strand %s: %w", s.info.Name, err)
	}
	return nil
}

// consume fetches and hands out until the strand ends; a bounded one after what it
// held has ended.
func (s *strand) consume(ctx context.Context) error {
	defer s.cutFetch()
	for {
		room, ok := s.awaitRoom(ctx)
		if !ok {
			return nil
		}
		fetching := s.fetchContext(ctx)
		if s.pausedBy() != nil {
			continue
		}
		ds, err := s.q.Fetch(fetching, room)
		s.take(ctx, ds)
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil: // an error of a Fetch that was cut short says nothing
			err = nil
		case errors.Is(err, io.EOF):
			s.awaitSettled(ctx, drain{})
			err = nil
		case fetching.Err() != nil: // cut short by a pause
			continue
		}
		return err
	}
}

// take makes parts of deliveries and offers them to their lanes. From here on each
// delivery is in s.msgs, and so in the duty of finish.
func (s *strand) take(ctx context.Context, ds []*queue.Delivery) {
	if len(ds) == 0 {
		return
	}
	failpoint.Hit(failpoint.FetchAfter)
	s.adopt()
	defer s.using.Store(nil)
	now := time.Now()
	s.compact()
	s.begin(ds)
	for i, d := range ds {
		m := s.newMessage(d, now)
		if s.tight(d) && !s.awaitHeld(ctx, len(ds)-i) {
			s.offer(ctx)
			for _, rest := range ds[i+1:] { // no part of theirs was received
				s.newMessage(rest, now)
			}
			return
		}
		s.intake(m)
		failpoint.Hit(failpoint.IntakeAfter)
	}
	s.offer(ctx)
}

func (s *strand) newMessage(d *queue.Delivery, now time.Time) *message {
	if len(s.slab) == 0 {
		s.slab = make([]message, 16)
	}
	m := &s.slab[0]
	s.slab = s.slab[1:]
	m.d, m.strand, m.received = d, s, now
	s.msgs = append(s.msgs, m)
	return m
}

// begin counts what came, once for the whole Fetch result.
func (s *strand) begin(ds []*queue.Delivery) {
	var bytes int64
	for _, d := range ds {
		n := d.Held()
		bytes += n
		s.largest = max(s.largest, n)
	}
	s.held.Add(int64(len(ds)))
	s.heldBytes.Add(bytes)
	s.source.messages.Add(int64(len(ds)))
}

// compact forgets settled messages: at once those at the front, the others when
// they are most.
func (s *strand) compact() {
	n := 0
	for n < len(s.msgs) && s.msgs[n].done.Load() {
		n++
	}
	clear(s.msgs[:n])
	s.msgs = s.msgs[n:]
	if int64(len(s.msgs)) < 2*s.held.Load()+1024 {
		return
	}
	kept := s.msgs[:0]
	for _, m := range s.msgs {
		if !m.done.Load() {
			kept = append(kept, m)
		}
	}
	clear(s.msgs[len(kept):])
	s.msgs = kept
}

// tight says that decompressing now, or turning into protobuf, would overdraw the
// budget further.
func (s *strand) tight(d *queue.Delivery) bool {
	if s.w.held.free.Load() >= 0 {
		return false
	}
	p, err := s.w.payload(d.Message())
	return err == nil && (p.Encoding != protocol.EncodingNone || p.Format.Rewritten(p.Value))
}

// awaitHeld waits until the held pool is no longer overdrawn, or the strand holds
// nothing but the messages that have still to be taken in: nobody else would end
// the wait.
func (s *strand) awaitHeld(ctx context.Context, waiting int) bool {
	s.offer(ctx)
	s.waiting.Store(true)
	s.w.held.watch(s.wake)
	defer s.w.held.unwatch(s.wake)
	defer s.waiting.Store(false)
	ctx, cancel := s.untilDrained(ctx)
	defer cancel()
	for s.w.held.free.Load() < 0 && s.held.Load() > int64(waiting) {
		s.setState(strandBudgetExhausted, "decoding the next message would exceed `limits.in_flight`")
		select {
		case <-ctx.Done():
			return false
		case <-s.wake:
		}
	}
	return true
}

// intake is pass one: it fixes the parts of a message.
func (s *strand) intake(m *message) {
	p, err := s.w.payload(m.d.Message())
	if err == nil {
		err = damage(m.d.Message().Header(queue.HeaderDamage))
	}
	if err == nil {
		err = s.scan(m, &p)
	}
	switch {
	case err != nil && mutant.On(mutant.SkipUndecodable):
		s.skip(m, SkippedEmpty)
	case err != nil:
		s.reject(m, ReasonUndecodable, err)
	case len(m.groups) == 0:
		s.skip(m, SkippedEmpty)
	case s.info.Parked:
		s.routeParked(m)
	default:
		s.routeGroups(m)
	}
}

func (w *Worker) payload(m *queue.Message) (protocol.Payload, error) { return w.cfg.Payload.Of(m) }

// Of says how the value of a message is to be read. An empty header says nothing.
func (d *Payload) Of(m *queue.Message) (p protocol.Payload, err error) {
	p = protocol.Payload{Value: m.Value, Format: d.Format, Encoding: d.Encoding, Time: m.Time}
	if t, _ := m.Header(protocol.HeaderContentType); t != "" {
		if p.Format, err = protocol.ParseContentType(t); err != nil {
			return p, err
		}
	}
	if t, _ := m.Header(protocol.HeaderContentEncoding); t != "" {
		p.Encoding, err = protocol.ParseEncoding(t)
	}
	return p, err
}

// scan finds the groups. What pass one made of the value is charged and replaces
// the bytes received.
func (s *strand) scan(m *message, p *protocol.Payload) error {
	if int64(len(p.Value)) > s.w.cfg.Limits.Message {
		return fmt.Errorf("the message has %d bytes, more than %d (limits.message, or decode.max_message of the source)", len(p.Value), s.w.cfg.Limits.Message)
	}
	body, groups, err := p.Scan(&s.w.limits, m.group[:0])
	if err != nil {
		return err
	}
	if body.Fresh {
		grown := int64(len(body.Bytes) - len(p.Value))
		s.w.held.Charge(grown)
		m.d.Charge(grown)
		s.heldBytes.Add(grown)
		s.largest = max(s.largest, m.d.Held())
		m.d.SetValue(body.Bytes)
	}
	m.groups, m.format = groups, body.Format
	return nil
}

// routeGroups makes a part for each group and flusher entry.
func (s *strand) routeGroups(m *message) {
	msg := m.d.Message()
	base := s.w.keyer.ofMessage(msg)
	only, notOurs, err := s.onlyTo(msg)
	switch {
	case notOurs:
		s.skip(m, SkippedNotOurs)
		return
	case err != nil:
		s.reject(m, ReasonUnknownTarget, err)
		return
	}
	indexes := originalIndexes(msg, len(m.groups))
	var lost []doomed
	m.open.Store(1) // this loop's own, so that no end settles the message before all parts are made
	m.holds.Store(1)
	for i := range m.groups {
		g := &m.groups[i]
		key, err := s.w.keyer.ofGroup(base, msg, g)
		reason := ReasonNoKey
		var t *target
		unwanted := err != nil && s.w.only.narrow() // what has no key matches nothing
		if err == nil {
			t = s.target(&key)
			unwanted = t.route == leftOut
			if t.route == nil {
				err, reason = fmt.Errorf("no route matches %s", key), ReasonNoRoute
			}
		}
		if unwanted {
			s.leaveOut(m.newPart(g, indexes.at(i)))
			continue
		}
		if err != nil {
			p := m.newPart(g, indexes.at(i))
			lost = append(lost, doomed{p: p, reason: reason, err: err})
			continue
		}
		goes := false
		for j := range t.slots() {
			if sl := t.slot(j); only == nil || sl.entry == only {
				s.stage(t, sl, m.newPart(g, indexes.at(i)))
				goes = true
			}
		}
		switch {
		case goes:
		case only.route != t.route.name:
			p := m.newPart(g, indexes.at(i))
			lost = append(lost, doomed{p: p, reason: ReasonUnknownTarget, err: fmt.Errorf("%s no longer goes to %s", key, only.name())})
		default: // the one it is meant for is not wanted
			s.leaveOut(m.newPart(g, indexes.at(i)))
		}
	}
	m.partEnded(1)
	s.lose(lost)
}

// newPart appends a part. Parts already made stay where they are: lanes point at
// them.
func (m *message) newPart(g *protocol.Group, index uint32) *part {
	p := &m.first
	if m.parts > 0 {
		p = new(part)
		m.more = append(m.more, p)
	}
	m.parts++
	p.m, p.group, p.index = m, g, index
	if g != nil {
		p.size = uint32(len(g.Data))
	}
	m.open.Add(1)
	m.holds.Add(1)
	return p
}

// untilDrained is a context for waits of intake: with a stop of the process it lasts
// as long as the drain does, because what waits inside can still be flushed and would
// hold up the drain if it were left there. Any other end of ctx ends it.
func (s *strand) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	drained, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := context.AfterFunc(ctx, func() {
		defer cancel()
		var end *queue.End
		if !errors.As(context.Cause(ctx), &end) || end.Reason != queue.Stopping {
			return
		}
		t := time.NewTimer(time.Until(end.Deadline))
		defer t.Stop()
		select {
		case <-t.C:
		case <-end.Lost:
		case <-s.w.hurry:
		case <-drained.Done():
		}
	})
	return drained, func() {
		ended()
		cancel()
	}
}

// skip ends a message that has nothing to deliver.
func (s *strand) skip(m *message, reason string) {
	m.open.Store(0)
	m.holds.Store(0)
	p := m.newPart(nil, 0)
	b := &s.source.lost
	b.mu.Lock()
	b.of(s.source.index).received++
	p.counted = true
	b.endLocked(p, skipped, reason)
	b.mu.Unlock()
	m.partEnded(1)
}

// reject sends a whole message to the dead letters.
func (s *strand) reject(m *message, reason string, err error) {
	s.lose([]doomed{{p: m.newPart(nil, 0), reason: reason, err: err}})
}

func (s *strand) lose(lost []doomed) {
	if len(lost) == 0 {
		return
	}
	b := &s.source.lost
	b.mu.Lock()
	b.of(s.source.index).received += int64(len(lost))
	for _, d := range lost {
		d.p.counted = true
		b.doomLocked(d.p)
	}
	b.mu.Unlock()
	s.w.letters.add(lost)
}

// onlyTo reads x-flushline-to: a record meant for one flusher entry.
func (s *strand) onlyTo(m *queue.Message) (only *entry, notOurs bool, err error) {
	to, ok := m.Header(queue.HeaderTo)
	if !ok {
		return nil, false, nil
	}
	deployment, rest, _ := strings.Cut(to, "/")
	if deployment != s.w.cfg.Deployment {
		return nil, true, nil
	}
	for _, r := range s.table.routes {
		for _, e := range r.entries {
			if e.name() == rest {
				return e, false, nil
			}
		}
	}
	return nil, false, fmt.Errorf("%s names %q, which is no route/flusher of this configuration", queue.HeaderTo, rest)
}

// indexes are the positions of groups in their original message.
type indexes []uint32

func (x indexes) at(i int) uint32 {
	if i < len(x) {
		return x[i]
	}
	return uint32(i)
}

// originalIndexes reads x-flushline-groups; a list that does not fit the groups is
// ignored.
func originalIndexes(m *queue.Message, groups int) indexes {
	v, ok := m.Header(queue.HeaderGroups)
	if !ok {
		return nil
	}
	var x indexes
	for f := range strings.SplitSeq(v, ",") {
		n, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			return nil
		}
		x = append(x, uint32(n))
	}
	if len(x) != groups {
		return nil
	}
	return x
}
