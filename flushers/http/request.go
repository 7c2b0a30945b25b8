package http

import (
	"bytes"
	"context"
	"encoding/binary"
	nethttp "net/http"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/protocol"
)

const typeJSONLines = "application/x-ndjson"

// body encodes a batch. It is always fresh memory: the transport may read it a
// little longer than the request lasts.
func (f *Flusher) body(b *flushers.Batch) (body []byte, contentType string, err error) {
	if f.Format == FormatLogGroup {
		body, contentType, err = groupBytes(b)
	} else {
		contentType = typeJSONLines
		for _, g := range b.Groups {
			body = protocol.AppendJSONLines(body, g)
		}
	}
	if err != nil || len(body) == 0 || f.encoding == protocol.EncodingNone {
		return body, contentType, err
	}
	body, err = protocol.Compress(nil, body, f.encoding)
	return body, contentType, err
}

// groupBytes is the protobuf of one group, or a LogGroupList of several.
func groupBytes(b *flushers.Batch) (body []byte, contentType string, err error) {
	raw := b.Raw
	if len(raw) != len(b.Groups) {
		raw = make([][]byte, len(b.Groups))
		for i, g := range b.Groups {
			if raw[i], err = g.Marshal(); err != nil {
				return nil, "", err
			}
		}
	}
	if len(raw) == 1 {
		return bytes.Clone(raw[0]), protocol.TypeLogGroup, nil
	}
	for _, group := range raw {
		body = append(body, 1<<3|2) // field 1 of LogGroupList, length-delimited
		body = binary.AppendUvarint(body, uint64(len(group)))
		body = append(body, group...)
	}
	return body, protocol.TypeLogGroupList, nil
}

// post sends one request and turns its answer into an error class. A server that got half
// of a request may say 400 like of any other, and close the connection without a word: who
// says so is asked once more, on a connection of its own. A stream of HTTP/2 that is cut has
// no answer.
func (f *Flusher) post(ctx context.Context, body []byte, contentType string) error {
	answer, err := f.ask(ctx, f.dest.Do, body, contentType)
	if err == nil && answer.Status == nethttp.StatusBadRequest && answer.Major == 1 && !answer.Closes {
		answer, err = f.ask(ctx, f.dest.DoAlone, body, contentType)
	}
	if err != nil {
		return err
	}
	err = f.judge(answer, body)
	if class, after := flushers.Classify(err); class == flushers.ClassRetryAfter {
		f.unreadyTil.Store(clock.Now() + int64(after))
	}
	return err
}

// ask sends a request by that.
func (f *Flusher) ask(ctx context.Context, do func(context.Context, *nethttp.Request) (*web.Answer, error), body []byte, contentType string) (*web.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodPost, f.URL, bytes.NewReader(body))
	if err != nil {
		return nil, flushers.Misconfigured(err)
	}
	req.Header = f.header.Clone()
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", contentType)
	}
	if f.host != "" {
		req.Host = f.host
	}
	if f.User != "" || !f.Password.IsZero() {
		req.SetBasicAuth(f.User, f.Password.Reveal())
	}
	return do(ctx, req)
}
