package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers"
	queue "github.com/flushline/flushline/queue/nats"
)

// Error codes of JetStream for a message that a stream does not take.
const (
	codeAccountFull    = 10002 // the account's limits are used up
	codeTooLarge       = 10054 // max_msg_size
	codeOtherStream    = 10060 // than Nats-Expected-Stream
	codeStoreFailed    = 10077 // at its limits with discard new, or the disk is full
	codeHeaderTooLarge = 10097
	codeSealed         = 10109
	codeSameInProcess  = 10158 // the replicas have not agreed yet on the one before
	codeNoIncrement    = 10169 // of a stream that counts
)

const (
	soon  = time.Second     // a leader is elected meanwhile
	later = 5 * time.Second // somebody reads, or makes room
)

// judge classes what became of a message, which says what the worker does next.
func (r *run) judge(err error, p *piece) error {
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		return r.refusal(api, p)
	case errors.Is(err, nats.ErrNoResponders):
		if r.nobody == nil {
			r.nobody = r.f.nobody(r.ctx, p.subject)
		}
		return r.nobody
	case errors.Is(err, nats.ErrPermissionViolation):
		return flushers.Misconfigured(fmt.Errorf("couldn't publish to %q: %w: grant the user of this entry the right to publish there, and to subscribe to _INBOX.>", p.subject, err))
	case errors.Is(err, nats.ErrMaxPayload):
		return flushers.TooLarge(fmt.Errorf("couldn't publish %d bytes to %q: %w: the server takes %d bytes with headers (max_payload); raise it, or set compression",
			p.size, p.subject, err, r.f.to.conn.NATS().MaxPayload()))
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg):
		return flushers.Permanent(fmt.Errorf("couldn't publish to %q: %w", p.subject, err))
	case errors.Is(err, queue.ErrNoAnswer) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("couldn't publish to %q: %w", p.subject, errors.Join(err, context.DeadlineExceeded))
	}
	return fmt.Errorf("couldn't publish to %q: %w", p.subject, err)
}

// refusal is what a stream answered.
func (r *run) refusal(api *jetstream.APIError, p *piece) error {
	err := fmt.Errorf("the stream refused a message for %q: %w", p.subject, api)
	switch code := int(api.ErrorCode); {
	case code == codeTooLarge:
		return flushers.TooLarge(fmt.Errorf("%w: it has %d bytes, and the stream a max_msg_size", err, p.size))
	case code == codeHeaderTooLarge:
		return flushers.TooLarge(err)
	case code == codeOtherStream:
		return flushers.Misconfigured(fmt.Errorf("%w: another stream than %s listens there; mend stream or subject, or `nats stream edit` the subjects of both", err, r.f.Stream))
	case code == codeSealed, code == codeNoIncrement:
		return flushers.Misconfigured(fmt.Errorf("%w: such a stream takes no logs; choose another one", err))
	case code == codeStoreFailed:
		return flushers.RetryAfter(fmt.Errorf("%w: it is at its limits and discards what is new, or cannot be written", err), later)
	case code == codeAccountFull:
		return flushers.RetryAfter(fmt.Errorf("%w: raise the limits of the account, or make room", err), later)
	case code == codeSameInProcess, api.Code == 429, api.Code >= 500:
		return flushers.RetryAfter(err, soon)
	}
	return err
}

// nobody explains why no stream answered for a subject. Without a stream somebody has to
// make one; one without a leader has one soon.
func (f *Flusher) nobody(ctx context.Context, subject string) error {
	err := fmt.Errorf("no stream answers for the subject %q: %w", subject, nats.ErrNoResponders)
	streams, asked := f.to.streams.of(ctx, f.to.conn, subject)
	switch {
	case asked != nil:
		return flushers.RetryAfter(fmt.Errorf("%w (and the server does not say which streams there are: %w)", err, asked), later)
	case len(streams) == 0:
		return flushers.Misconfigured(fmt.Errorf("%w: none listens to it; %s", err, f.mend()))
	}
	return flushers.RetryAfter(fmt.Errorf("%w: %s listens to it and has no leader now", err, strings.Join(streams, ", ")), soon)
}

// mend is the command that makes a stream listen.
func (f *Flusher) mend() string {
	filter := f.filter()
	if f.Stream != "" {
		return fmt.Sprintf("`nats stream add %s --subjects '%s' --defaults`, or `nats stream edit %[1]s --subjects` with it among the others", f.Stream, filter)
	}
	return fmt.Sprintf("`nats stream add NAME --subjects '%s' --defaults`", filter)
}
