package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// natsBack are the streams that the consumers of a source read.
type natsBack struct {
	conn      *nats.Conn
	consumers []natsConsumer
}

// natsConsumer is one of them, and what it takes.
type natsConsumer struct {
	nats.Consumer
	filters  []string // as the server has them
	subjects []string // of its stream
	sink     *nats.Sink
}

func (n *natsQueue) wayBack(ctx context.Context, log *zap.Logger) (wayBack, error) {
	conn, err := nats.Connect(ctx, n.client, log)
	if err != nil {
		return nil, err
	}
	back := &natsBack{conn: conn}
	for _, one := range n.client.List() {
		c := natsConsumer{Consumer: one}
		if c.filters, c.subjects, err = nats.Takes(ctx, conn, one); err == nil {
			c.sink, err = nats.NewPublisher(ctx, conn, one.Stream)
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		back.consumers = append(back.consumers, c)
	}
	return back, nil
}

func (e *embeddedQueue) wayBack(ctx context.Context, log *zap.Logger) (wayBack, error) {
	back, err := e.outside().wayBack(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("%w: the embedded queue in %s is reached while its worker runs: start it with `flushline run -c FILE`", err, e.cfg.Source.Embedded.Dir)
	}
	return back, nil
}

func (n *natsBack) close() { n.conn.Close() }

// place implements wayBack.
func (n *natsBack) place(_ context.Context, l *queue.Letter, f *queue.Facts, m *queue.Message) (fitting, error) {
	c := n.consumer(l, f)
	if c == nil {
		return nil, fmt.Errorf("nobody can say which of the consumers it came from: it says %q; use --direct", f.Source)
	}
	var err error
	m.Subject, err = subjectFor(c.filters, c.subjects, f)
	return c.sink, err
}

// consumer is the one whose letter it is: the one that read it, or whose companion it
// lies in.
func (n *natsBack) consumer(l *queue.Letter, f *queue.Facts) *natsConsumer {
	if len(n.consumers) == 1 {
		return &n.consumers[0]
	}
	fields := strings.Fields(f.Source)
	for i := range n.consumers {
		c := &n.consumers[i]
		if len(fields) == 3 && fields[1] == strandName(c.Consumer) || l.Places[0].Part == c.Stream+"_"+c.Durable+"_DLQ" {
			return c
		}
	}
	return nil
}

// subjectFor is the subject that the original had, or one that the consumer gets as
// well. Then the key is in the headers, which win over the subject.
func subjectFor(filters, subjects []string, f *queue.Facts) (string, error) {
	taken := func(s string) bool { return matchesAny(filters, s) && matchesAny(subjects, s) }
	if f.Subject != "" && taken(f.Subject) {
		return f.Subject, nil
	}
	switch {
	case keyedLane(&f.Lane):
		key := protocol.Key{Project: f.Lane.Project, Logstore: f.Lane.Logstore, Config: f.Lane.Config}
		for _, pattern := range slices.Concat(filters, subjects) {
			if s := filled(pattern, key); taken(s) {
				return s, nil
			}
		}
		return "", fmt.Errorf("no subject is known that its consumer would get: the stream takes %q and the consumer %q; use --direct", subjects, filters)
	case f.Subject != "":
		return "", fmt.Errorf("its key may come from its subject %s, which does not reach the consumer any more: the stream takes %q and the consumer %q; use --direct", f.Subject, subjects, filters)
	}
	return "", errors.New("its key may have come from its subject, which nobody noted: use --direct with key rules that find it in the data")
}

func matchesAny(filters []string, subject string) bool {
	return slices.ContainsFunc(filters, func(filter string) bool { return matchesSubject(filter, subject) })
}

// matchesSubject says whether a filter with * and > takes a subject.
func matchesSubject(filter, subject string) bool {
	for {
		want, filterRest, more := strings.Cut(filter, ".")
		got, rest, further := strings.Cut(subject, ".")
		switch {
		case want == ">":
			return got != ""
		case want != "*" && want != got || more != further:
			return false
		case !more:
			return got != ""
		}
		filter, subject = filterRest, rest
	}
}

// filled puts a key in the place of a filter's wildcards.
func filled(filter string, key protocol.Key) string {
	left := strings.Split(subjectOf("", key), ".")[1:]
	next := func() string {
		if len(left) == 0 {
			return "-"
		}
		token := left[0]
		left = left[1:]
		return token
	}
	tokens := strings.Split(filter, ".")
	for i, t := range tokens {
		switch t {
		case "*":
			tokens[i] = next()
		case ">":
			tokens[i] = next()
			tokens = append(tokens, left...)
		}
	}
	return strings.Join(tokens, ".")
}
