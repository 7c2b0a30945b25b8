package nats

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Burst is messages that are published without waiting, one after the other, and the
// answers to all of them. It is used from one goroutine and only once.
type Burst struct {
	conn *Conn
	line int64
	all  *awaited
	stop error // why nothing more is sent
}

// Burst begins one of n messages. stream has to answer that it has them; an empty one
// is any. Await has to be called, or its answers are remembered for ever.
func (c *Conn) Burst(stream string, n int) (*Burst, error) {
	b := &Burst{conn: c, line: c.line.number()}
	to, err := c.answers()
	if err != nil {
		return nil, err
	}
	b.all = to.begin(stream, n)
	return b, nil
}

// Publish sends the i-th message, whose Reply it sets, and says whether it did: what
// could not be sent is told by Await. It stops where the connection changed, as what
// was sent on the old one may be lost and the rest must not come before it, and after
// an error that is not the message's own. m is the caller's again when it returns.
func (b *Burst) Publish(i int, m *nats.Msg) bool {
	if now := b.conn.line.number(); b.stop == nil && (now != b.line || now == 0) {
		b.stop = ErrAway
	}
	if b.stop != nil {
		b.all.unsent(i, b.stop)
		return false
	}
	m.Reply = b.all.reply(i)
	b.all.sending(i, m.Subject)
	err := b.conn.nc.PublishMsg(m)
	if err == nil {
		return true
	}
	b.all.unsent(i, err)
	if !ofTheMessage(err) {
		b.stop = errors.Join(ErrAway, err)
	}
	return false
}

// Skip says that the i-th message will not be sent.
func (b *Burst) Skip(i int) { b.all.unsent(i, errSkipped) }

var errSkipped = errors.New("it was not to be sent")

// Await waits until the server has answered all that were sent, the connection is
// another one, patience or ctx is over, and says what became of each: nil says that it
// is stored, a *jetstream.APIError what the stream said, nats.ErrNoResponders that no
// stream listens to the subject, nats.ErrPermissionViolation that we may not publish
// there, ErrNoAnswer and ErrAway that it is not known.
func (b *Burst) Await(ctx context.Context, patience time.Duration) []error {
	return b.all.await(ctx, b.conn, b.line, patience)
}

// Had is how many of the messages the stream had before: it knows their ids. Call it
// after Await.
func (b *Burst) Had() int { return b.all.had }

// ofTheMessage says that an error is about a single message.
func ofTheMessage(err error) bool {
	return errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadHeaderMsg) || errors.Is(err, nats.ErrBadSubject)
}

// forbidden tells those who wait for answers that the server refused what they
// published, or their subscription. The server says it beside all answers, with the
// subject in its text.
func (c *Conn) forbidden(err error) {
	c.publishing.Lock()
	a := c.answered
	subject, publish := quotedAfter(err.Error(), "Publish to ")
	if !publish {
		var subscribe bool
		if subject, subscribe = quotedAfter(err.Error(), "Subscription to "); !subscribe || a == nil || subject != a.subject() {
			a = nil
		} else {
			c.answered = nil // the next burst asks for it again
		}
	}
	c.publishing.Unlock()
	if a != nil {
		a.refused(subject, err)
	}
}

// quotedAfter is the quoted text behind some words.
func quotedAfter(text, words string) (quoted string, ok bool) {
	_, rest, ok := strings.Cut(text, words+`"`)
	end := strings.IndexByte(rest, '"')
	if !ok || end < 0 {
		return "", false
	}
	return rest[:end], true
}
