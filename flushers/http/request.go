package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"sync"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/protocol"
)

var plains = sync.Pool{New: func() any { return new([]byte) }}

// body encodes a request; many says that it is the form of several groups. What it
// returns is always fresh memory: the transport may read it a little longer than the
// request lasts.
func (f *Flusher) body(r *request) (body []byte, many bool, err error) {
	if f.encoding == protocol.EncodingNone {
		size := int(f.size.Load())
		body, many, err = f.plain(make([]byte, 0, size+size/8), r)
		f.size.Store(int64(len(body)))
		return body, many, err
	}
	buf := plains.Get().(*[]byte)
	defer plains.Put(buf)
	if *buf, many, err = f.plain((*buf)[:0], r); err != nil || len(*buf) == 0 && !f.writer.PerLog() {
		return nil, many, err
	}
	if body, err = protocol.Compress(nil, *buf, f.encoding); err != nil {
		return nil, many, flushers.Permanent(fmt.Errorf("couldn't compress the request to %s: %w", r.place.shown, err))
	}
	return body, many, nil
}

// plain appends the body without compression.
func (f *Flusher) plain(dst []byte, r *request) (body []byte, many bool, err error) {
	switch {
	case f.writer.PerLog():
		body, err = f.writer.AppendLog(dst, r.groups[0], r.groups[0].Logs[0])
		return body, false, err
	case f.Format != formats.LogGroup:
		return f.writer.AppendGroups(dst, r.groups), true, nil
	case len(r.pieces) == 1 && len(r.raw) == 1:
		return append(dst, r.raw[0]...), false, nil
	case len(r.pieces) == 1:
		return f.writer.AppendGroup(dst, r.groups[0]), false, nil
	case len(r.raw) == len(r.pieces):
		return formats.AppendGroupList(dst, r.raw), true, nil
	}
	return f.writer.AppendGroups(dst, r.groups), true, nil
}

// post sends one request and turns its answer into an error class. A server that got half
// of a request may say 400 like of any other, and close the connection without a word: who
// says so is asked once more, on a connection of its own. A stream of HTTP/2 that is cut has
// no answer.
func (f *Flusher) post(ctx context.Context, b *flushers.Batch, r *request, body []byte, many bool) error {
	answer, err := f.ask(ctx, f.dest.Do, f.message(b, r, body, many))
	if err == nil && answer.Status == nethttp.StatusBadRequest && answer.Major == 1 && !answer.Closes {
		answer, err = f.ask(ctx, f.dest.DoAlone, f.message(b, r, body, many))
	}
	if err != nil {
		return err
	}
	err = f.judge(answer, r, body)
	if class, after := flushers.Classify(err); class == flushers.ClassRetryAfter {
		f.unreadyTil.Store(clock.Now() + int64(after))
	}
	return err
}

// ask sends a request by that.
func (f *Flusher) ask(ctx context.Context, do func(context.Context, *nethttp.Request) (*web.Answer, error), msg *nethttp.Request) (*web.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	answer, err := do(ctx, msg)
	if err == nil {
		f.counts.requests.Add(1)
	}
	return answer, err
}

// message is the request as net/http takes it. Headers that differ from request to
// request make a copy; the others are shared, as transports do not change them.
func (f *Flusher) message(b *flushers.Batch, r *request, body []byte, many bool) *nethttp.Request {
	header := r.place.one
	if many {
		header = r.place.many
	}
	msg := &nethttp.Request{
		Method: f.Method, URL: r.place.url, Host: r.place.host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}
	if len(body) == 0 {
		msg.Body, msg.GetBody = nethttp.NoBody, nil
	}
	if key := f.idempotency(b, r, header); key != "" || f.Sign.on() {
		msg.Header = header.Clone()
		if key != "" {
			msg.Header.Set(f.Idempotency, key)
		}
		f.Sign.sign(msg, body)
	}
	return msg
}
