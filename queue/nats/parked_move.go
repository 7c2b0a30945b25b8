package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue"
)

// ParkedLanes says what is parked for a consumer, as Parked.Lanes does. Without a
// companion it is a *queue.MissingError.
func ParkedLanes(ctx context.Context, conn *Conn, one Consumer) ([]queue.Backlog, error) {
	lanes, err := newBacklog(conn, one).lanes(ctx)
	return lanes, parkedMissing(err, one)
}

// DropParked removes what is parked for a lane, undelivered and for good, and says how
// many records that were.
func DropParked(ctx context.Context, conn *Conn, one Consumer, lane queue.Lane) (int64, error) {
	b := newBacklog(conn, one)
	subject := b.prefix + letterSubject(lane.String())
	n, err := conn.purged(ctx, b.stream, subject)
	if err == nil {
		err = conn.purge(ctx, b.stream, tailsUnder(subject))
	}
	return n, parkedMissing(err, one)
}

// What is moved with one put.
const (
	moveMessages = 64
	moveBytes    = 4 << 20
)

// MoveParked gives what is parked for a lane to another flusher entry; only Route and
// Flusher of to are read. Each record is stored for its new lane and then removed from
// the old one, oldest first, up to the newest that was there when it began. An
// interrupted move is finished by another; the records between those two steps are then
// there twice, and none is lost. moved counts what has left the old lane.
//
// While pods serve the old lane a record may be delivered there and moved, too: move
// lanes whose entry is gone or blocked.
func MoveParked(ctx context.Context, conn *Conn, one Consumer, from, to queue.Lane) (moved int64, err error) {
	to = queue.Lane{Route: to.Route, Flusher: to.Flusher, Project: from.Project, Logstore: from.Logstore, Config: from.Config}
	b := newBacklog(conn, one)
	m := &mover{conn: conn, stream: b.stream, subject: b.prefix + letterSubject(from.String()), to: to}
	if letterSubject(to.String()) == letterSubject(from.String()) {
		return 0, fmt.Errorf("couldn't move what is parked for %s: it is parked for that entry", from)
	}
	if m.sink, err = parkedSink(ctx, conn, one); err == nil {
		err = m.run(ctx)
	}
	return m.moved, parkedMissing(err, one)
}

func parkedMissing(err error, one Consumer) error {
	if isCode(err, jetstream.JSErrCodeStreamNotFound) {
		return &queue.MissingError{What: "stream", Name: parkedKind.stream(one)}
	}
	return err
}

type mover struct {
	conn    *Conn
	sink    *Sink
	stream  string
	subject string
	to      queue.Lane

	moved int64
	batch []queue.Message
	from  []movedRecord // of batch
	bytes int64
}

type movedRecord struct {
	seq  int64
	tail string
}

func (m *mover) run(ctx context.Context) error {
	last, err := m.conn.last(ctx, m.stream, m.subject)
	if errors.Is(err, errNoMessage) {
		return nil
	}
	if err != nil {
		return err
	}
	var damaged []error
	for seq := int64(1); seq <= last; {
		one, err := m.conn.following(ctx, m.stream, m.subject, uint64(seq))
		if errors.Is(err, errNoMessage) || err == nil && one.Position > last {
			break
		}
		if err != nil {
			return err
		}
		seq = one.Position + 1
		if err := m.add(ctx, one); isDamage(err) {
			damaged = append(damaged, fmt.Errorf("record %d stays where it is: %w", one.Position, err))
		} else if err != nil {
			return err
		}
		if len(m.batch) >= moveMessages || m.bytes >= moveBytes {
			if err := m.flush(ctx); err != nil {
				return err
			}
		}
	}
	return errors.Join(append(damaged, m.flush(ctx))...)
}

func (m *mover) add(ctx context.Context, one queue.Message) error {
	one.Headers = withoutServers(one.Headers)
	w, tail, err := m.conn.whole(ctx, m.stream, one)
	if err != nil {
		return err
	}
	m.batch = append(m.batch, queue.Message{
		Value: w.Value, Headers: redirected(w.Headers, m.to), Subject: m.to.String(),
	})
	m.from = append(m.from, movedRecord{one.Position, tail})
	m.bytes += w.Size()
	return nil
}

// redirected names the new entry in the headers of a record.
func redirected(hs []queue.Header, to queue.Lane) []queue.Header {
	out := make([]queue.Header, 0, len(hs)+1)
	moves := 0
	for _, h := range hs {
		switch {
		case strings.EqualFold(h.Key, queue.HeaderTo):
			if deployment, _, ok := strings.Cut(h.Value, "/"); ok {
				h.Value = deployment + "/" + to.Entry()
			}
		case strings.EqualFold(h.Key, queue.HeaderMoves):
			moves, _ = strconv.Atoi(h.Value) // what is no number counts as none
			continue
		}
		out = append(out, h)
	}
	return append(out, queue.Header{Key: queue.HeaderMoves, Value: strconv.Itoa(moves + 1)})
}

// flush stores what was read and removes what was stored.
func (m *mover) flush(ctx context.Context) error {
	if len(m.batch) == 0 {
		return nil
	}
	errs := m.sink.Put(ctx, m.batch)
	for i, old := range m.from {
		if errs != nil && errs[i] != nil {
			continue
		}
		if err := m.conn.Remove(ctx, m.stream, old.seq); err != nil {
			return err
		}
		m.moved++
		if old.tail != "" {
			if err := m.conn.purge(ctx, m.stream, old.tail); err != nil {
				return err
			}
		}
	}
	m.batch, m.from, m.bytes = nil, nil, 0
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("couldn't move every record; those that are left stay where they are: %w", err)
		}
	}
	return nil
}
