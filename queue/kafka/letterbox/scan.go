package letterbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
)

// book is what the done topic says.
type book struct {
	marks map[string]mark // by key
	notes map[int32]note  // by partition
}

// readDone reads the done topic up to its end. Without one nothing was ever resolved.
func (b *box) readDone(ctx context.Context) (*book, error) {
	k := &book{marks: map[string]mark{}, notes: map[int32]note{}}
	var there bool
	err := b.retried(ctx, func(ctx context.Context) (err error) {
		if there, err = kafka.VerifyDone(ctx, b.client, b.cfg, b.source); there && err != nil {
			return &ownError{err} // it is as it is
		}
		return err
	})
	if err != nil || !there {
		return k, err
	}
	spans, err := b.spans(ctx, b.done, false)
	if err != nil {
		return nil, err
	}
	for _, s := range spans {
		if s.err != nil {
			return nil, s.err
		}
		if err := b.read(ctx, b.marks, s, k.take); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// take takes in the next record of a done topic.
func (k *book) take(m *queue.Message) error {
	key := string(m.Key)
	if partition, ok := parseNoteKey(key); ok {
		k.notes[partition] = parseNote(m.Value) // none is the zero note
		return nil
	}
	if m.Value == nil {
		delete(k.marks, key)
	} else if one, ok := parseMark(m); ok {
		k.marks[key] = one
	}
	return nil
}

// resolved says whether a letter of a partition needs nothing more. Its mark may be from
// before the brokers knew ids.
func (k *book) resolved(s *span, l *queue.Letter) bool {
	one, ok := k.marks[markKey(s.TopicPartition, s.stamp, l)]
	if !ok && s.stamp != "" {
		one, ok = k.marks[markKey(s.TopicPartition, unknown, l)]
	}
	return ok && one.covers(l)
}

// survey asks where the partitions of letters end, and then which letters are resolved:
// what is resolved by then is not shown.
func (b *box) survey(ctx context.Context) ([]*span, *book, error) {
	ends, err := b.spans(ctx, b.letters, b.cfg.Isolation == kafka.ReadCommitted)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't read %s: %w", b.Describe(), err)
	}
	b.stamp = &ends[0].stamp
	done, err := b.readDone(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't read which letters of %s are resolved: %w", b.Describe(), err)
	}
	return ends, done, nil
}

// scan visits all letters. A partition that cannot be read does not hide the others: it
// gets an error, and all of them are returned at the end.
func (b *box) scan(ctx context.Context, ends []*span, visit func(*span, *queue.Letter) error) error {
	var errs []error
	for _, s := range ends {
		stopped := false
		if s.err == nil {
			s.err = b.each(ctx, s, func(l *queue.Letter) error {
				err := visit(s, l)
				stopped = err != nil
				return err
			})
		}
		if stopped || ctx.Err() != nil {
			return s.err
		}
		if s.err == nil {
			errs = append(errs, s.heldBack())
		}
		errs = append(errs, s.err)
	}
	return errors.Join(errs...)
}

// heldBack is the error of letters that lie behind the beginning of a transaction.
func (s *span) heldBack() error {
	if s.end >= s.high {
		return nil
	}
	return fmt.Errorf("couldn't read %s from offset %d to %d: an open transaction began there; read again when it has ended, or end it: kafka-transactions.sh find-hanging", s.TopicPartition, s.end, s.high)
}

// each visits the letters of a partition.
func (b *box) each(ctx context.Context, s *span, visit func(*queue.Letter) error) error {
	joiner := queue.LetterJoiner{Part: partOf(s)}
	var stopped error
	err := b.read(ctx, b.input, s, func(m *queue.Message) error {
		if l := joiner.Add(*m); l != nil {
			stopped = visit(dressed(l))
		}
		return stopped
	})
	switch {
	case stopped != nil:
		return stopped
	case err != nil:
		return fmt.Errorf("couldn't read the letters of %s: %w", s.TopicPartition, err)
	}
	for _, l := range joiner.Rest() {
		if err := visit(dressed(l)); err != nil {
			return err
		}
	}
	return nil
}

// partOf is the Part of a partition's places: <topic>-<number>.
func partOf(s *span) string { return fmt.Sprintf("%s-%d", s.Topic, s.Partition) }

// dressed gives a letter its lane, which Kafka keeps in the headers alone, and headers
// of its own.
func dressed(l *queue.Letter) *queue.Letter {
	l.Headers = slices.Clone(l.Headers)
	l.Subject = ""
	to, _ := l.Header(queue.HeaderTo)
	if fields := strings.Split(to, "/"); len(fields) == 3 {
		lane := queue.Lane{Route: fields[1], Flusher: fields[2]}
		lane.Project, _ = l.Header("x-log-project")
		lane.Logstore, _ = l.Header("x-log-logstore")
		lane.Config, _ = l.Header("x-log-config")
		if lane.Project != "" && lane.Logstore != "" && lane.Config != "" {
			l.Subject = lane.String()
		}
	}
	return l
}
