package nats

import (
	"context"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// tailSet is the chunks of one message of a Sink whose tails are apart.
type tailSet struct {
	err     error // why it cannot be stored
	cleaned bool
}

// tailToken stands between a message's subject and the id of its tails.
const tailToken = ".chunk."

// tailSubject is where all chunks but the first of a message lie.
func tailSubject(subject, id string) string { return subject + tailToken + id }

// tailsUnder is the subjects of all tails of a subject's messages.
func tailsUnder(subject string) string { return subject + tailToken + "*" }

// headOf is the subject that a tail belongs to; false if it is no tail. A lane's
// subject has at most five tokens, so none can look like a tail.
func headOf(suffix string) (string, bool) {
	i := strings.LastIndex(suffix, tailToken)
	if i < 0 || strings.Count(suffix, ".") < laneTokens {
		return "", false
	}
	return suffix[:i], true
}

// laneTokens is how many tokens Lane.String has.
const laneTokens = 5

// hopeless says that a head must not be stored, since its tails are not.
func (p *put) hopeless() bool {
	if !p.head || p.final || p.set.err == nil {
		return false
	}
	p.err, p.final = p.set.err, true
	return true
}

// result is what became of a put that took so long.
func (p *put) result(took time.Duration) error {
	switch {
	case p.err != nil:
		return p.err
	case !p.final:
		return ErrAway // it was never sent
	case p.cut && took > queue.ArrivalBound:
		return queue.ErrArrivedLate
	}
	return nil
}

// clean removes the tails of messages whose head was refused or never sent, as far
// as that is possible now: a full stream would otherwise fill with them.
func (s *Sink) clean(ctx context.Context, all []put) {
	for i := range all {
		p := &all[i]
		if p.set == nil || p.head || p.set.err == nil || p.set.cleaned {
			continue
		}
		p.set.cleaned = true
		if err := s.conn.purge(context.WithoutCancel(ctx), s.stream, p.msg.Subject); err != nil {
			s.conn.log.Debug("couldn't remove the chunks of a message that was not stored", zap.String("subject", p.msg.Subject), zap.Error(err))
		}
	}
}

// purge removes all messages of a subject.
func (c *Conn) purge(ctx context.Context, stream, subject string) error {
	_, err := c.purged(ctx, stream, subject)
	return err
}
