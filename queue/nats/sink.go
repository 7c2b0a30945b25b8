package nats

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
)

const (
	burstMessages = 256     // published before the first answer is awaited
	burstBytes    = 4 << 20 //
	ackPatience   = 5 * time.Second
	putPatience   = 30 * time.Second // in all, if the caller's context has no earlier end
)

// Sink stores messages in one JetStream stream. Put publishes ahead and awaits
// every answer. Each message, or chunk of one, gets a random message id that only
// its own retries use again, so that a retry stores nothing twice within the
// stream's duplicate window and two records never share an id.
//
// What is too large for the server or the stream, headers counted, is compressed
// and then cut into chunks; queue.Joiner puts them together. Headers that begin
// with Nats- would be obeyed by the server, so they are stored behind
// queue.HeaderWas.
//
// A Sink may be used from any goroutine.
type Sink struct {
	conn    *Conn
	stream  string
	prefix  string // of subjects, with its final dot; empty: subjects are the caller's
	maxSize int    // of the stream; 0: no limit of its own

	// tails says that chunks other than the first lie under a subject of their own and
	// are stored before it: what is found under the subject of the message is then
	// whole, and one message each.
	tails bool
}

// NewPublisher makes a sink that stores each message under its own Subject, which
// must be a subject of the stream.
func NewPublisher(ctx context.Context, conn *Conn, stream string) (*Sink, error) {
	return newSink(ctx, conn, stream, "")
}

func newSink(ctx context.Context, conn *Conn, stream, prefix string) (*Sink, error) {
	info, err := conn.stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	return &Sink{conn: conn, stream: stream, prefix: prefix, maxSize: max(int(info.Config.MaxMsgSize), 0)}, nil
}

// Describe implements queue.Sink.
func (s *Sink) Describe() string { return "nats stream " + s.stream }

// Put implements queue.Sink. Of a sink with a prefix of its own (dead letters)
// Subject is what follows it, <route>.<flusher>.<project>.<logstore>.<config>; an
// empty one becomes "unrouted". What the server refuses for good fails at once;
// what may pass by itself (no leader, a lost connection) is tried again until ctx
// ends, 30 s at most.
//
// The order is kept, except that a message which the server refuses is missing
// from it.
func (s *Sink) Put(ctx context.Context, ms []queue.Message) []error {
	ctx, cancel := context.WithTimeout(ctx, putPatience)
	defer cancel()
	var out []put
	errs := make([]error, len(ms))
	for i := range ms {
		pieces, err := s.prepare(&ms[i])
		if err != nil {
			errs[i] = s.failed(err)
			continue
		}
		out = append(out, s.puts(i, pieces)...)
	}
	began := time.Now()
	s.store(ctx, out)
	failed := false
	for i := range out {
		if err := out[i].result(time.Since(began)); err != nil && errs[out[i].of] == nil {
			errs[out[i].of] = s.failed(err)
		}
	}
	s.clean(ctx, out)
	for _, err := range errs {
		failed = failed || err != nil
	}
	if !failed {
		return nil
	}
	return errs
}

func (s *Sink) puts(of int, pieces []*nats.Msg) []put {
	out := make([]put, len(pieces))
	for i, m := range pieces {
		out[i] = put{of: of, msg: m, cut: len(pieces) > 1}
	}
	if k := len(pieces); s.tails && k > 1 {
		whole := &tailSet{}
		for i := range out {
			out[i].set = whole
		}
		out = append(out[1:k:k], out[0])
		out[k-1].head = true
	}
	return out
}

func (s *Sink) failed(err error) error {
	return fmt.Errorf("couldn't put into %s: %w", s.Describe(), err)
}

// put is one message on the wire.
type put struct {
	of    int // which message of the caller
	msg   *nats.Msg
	err   error
	final bool     // stored, or refused for good
	cut   bool     // one of several chunks
	set   *tailSet // of a chunk where tails are apart
	head  bool     // the chunk that is stored last of its set
}

// store publishes all in order, bursts at a time, and begins again with those
// that did not get through.
func (s *Sink) store(ctx context.Context, all []put) {
	open := make([]*put, len(all))
	for i := range all {
		open[i] = &all[i]
	}
	for n := 0; ; n++ {
		open = s.round(ctx, open)
		if len(open) == 0 || !sleep(ctx, backoff(n)) {
			return
		}
	}
}

// round tries each of them once and returns those to try again. After a failure
// nothing more is published, so that what comes later cannot overtake it.
func (s *Sink) round(ctx context.Context, open []*put) (again []*put) {
	for len(open) > 0 {
		if open[0].hopeless() {
			open = open[1:]
			continue
		}
		n := burst(open)
		s.burst(ctx, open[:n])
		for _, p := range open[:n] {
			if !p.final {
				again = append(again, p)
			}
		}
		open = open[n:]
		if len(again) > 0 {
			return append(again, open...)
		}
	}
	return nil
}

func burst(open []*put) (n int) {
	bytes := 0
	for n < len(open) && n < burstMessages {
		bytes += len(open[n].msg.Data)
		if n > 0 && (bytes > burstBytes || open[n].head) { // a head waits for what its tails became
			break
		}
		n++
	}
	return n
}

// burst publishes without waiting and then awaits every answer.
func (s *Sink) burst(ctx context.Context, ps []*put) {
	b, err := s.conn.Burst(s.stream, len(ps))
	if err != nil {
		for _, p := range ps {
			p.note(err)
		}
		return
	}
	for i, p := range ps {
		if b.Publish(i, p.msg) && p.cut {
			failpoint.Hit(failpoint.ChunkSent)
		}
	}
	for i, err := range b.Await(ctx, ackPatience) {
		if p := ps[i]; err != nil {
			p.note(err)
		} else {
			p.err, p.final = nil, true
		}
	}
}

// note keeps an error and decides whether trying again can help.
func (p *put) note(err error) {
	if err == nil {
		return
	}
	p.err = explainPut(err, p.msg.Subject)
	var api *jetstream.APIError
	p.final = ofTheMessage(err) || errors.Is(err, nats.ErrConnectionClosed) ||
		(errors.As(err, &api) && api.Code >= 400 && api.Code < 500 && !passes(api))
	if errors.As(err, &api) && full(api) {
		p.final = true
	}
	if p.final && p.set != nil && p.set.err == nil {
		p.set.err = p.err
	}
}

// passes says of a refusal that it is over soon: the replicas have not agreed yet on
// the same message, sent before a connection was lost, or have too much to do.
func passes(err *jetstream.APIError) bool { return err.Code == 409 || err.Code == 429 }

// codeStoreFailed is the server's error code for a message its store refused: a
// stream at its limits that discards new messages, or a disk that is full.
const codeStoreFailed = 10077

func full(err *jetstream.APIError) bool { return err.ErrorCode == codeStoreFailed }

func explainPut(err error, subject string) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && full(api):
		return fmt.Errorf("the stream is full or cannot be written: %w", err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("no stream takes the subject %q: the stream does not list it, is missing or has no leader: %w", subject, err)
	}
	return err
}

// prepare encodes a message and cuts it to the server's size.
func (s *Sink) prepare(m *queue.Message) ([]*nats.Msg, error) {
	subject, err := s.subject(m.Subject)
	if err != nil {
		return nil, err
	}
	stored := queue.Message{Value: m.Value, Headers: storedHeaders(m.Headers)}
	pieces, err := queue.Split(stored, s.limit(), func(m *queue.Message) int { return s.wireSize(m) })
	if err != nil {
		return nil, err
	}
	out := make([]*nats.Msg, len(pieces))
	for i := range pieces {
		out[i] = &nats.Msg{Subject: subject, Data: pieces[i].Value, Header: wireHeader(pieces[i].Headers)}
		out[i].Header.Set(jetstream.MsgIDHeader, newMsgID())
		out[i].Header.Set(jetstream.ExpectedStreamHeader, s.stream)
		if s.tails && i > 0 {
			id, _ := pieces[i].Header(queue.HeaderPartOf)
			out[i].Subject = tailSubject(subject, id)
		}
	}
	return out, nil
}

// Fits says whether a message is stored as it is: in one piece and not compressed.
func (s *Sink) Fits(m *queue.Message) bool {
	stored := queue.Message{Value: m.Value, Headers: storedHeaders(m.Headers)}
	return s.wireSize(&stored) <= s.limit()
}

// limit is asked for each put: a server may come back with another one.
func (s *Sink) limit() int {
	limit := int(s.conn.nc.MaxPayload())
	if s.maxSize > 0 && (limit <= 0 || s.maxSize < limit) {
		limit = s.maxSize
	}
	if limit <= 0 {
		limit = 1 << 20 // no server was reached yet; its smallest usual limit
	}
	return limit
}

// msgIDBytes are random: 96 bits.
const msgIDBytes = 12

func newMsgID() string {
	var b [msgIDBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
