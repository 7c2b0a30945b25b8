package letterbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// pile is what one partition holds, resolved or not.
type pile struct {
	*span
	open []run // at most the oldest: from the first record of a letter to its last
	done []run // of each resolved letter
}

func (p *pile) add(l *queue.Letter, resolved bool) {
	all := positions(l)
	r := run{all[0], all[len(all)-1]}
	switch {
	case resolved:
		p.done = append(p.done, r)
	case len(p.open) == 0:
		p.open = append(p.open, r)
	case r.from < p.open[0].from:
		p.open[0] = r
	}
}

// cut is the offset up to which all may go: nothing below it is open, and no letter lies
// on both sides.
func (p *pile) cut() int64 {
	at := p.end
	if len(p.open) > 0 {
		at = p.open[0].from
	}
	slices.SortFunc(p.done, func(a, b run) int { return cmp.Compare(b.to, a.to) })
	for _, r := range p.done { // the last to end comes first: what it moves concerns only those behind
		if r.from < at && at <= r.to {
			at = r.from
		}
	}
	return at
}

// behind is how many resolved letters stay because of a cut.
func (p *pile) behind(cut int64) (n int) {
	for _, r := range p.done {
		if r.from >= cut {
			n++
		}
	}
	return n
}

// Free implements queue.LetterBox.
func (b *box) Free(ctx context.Context) (text string, err error) {
	ends, done, err := b.survey(ctx)
	if err != nil {
		return "", err
	}
	if len(done.marks) == 0 {
		return "", nil
	}
	piles := map[int32]*pile{}
	for _, s := range ends {
		piles[s.Partition] = &pile{span: s}
	}
	unread := b.scan(ctx, ends, func(s *span, l *queue.Letter) error {
		piles[s.Partition].add(l, done.resolved(s, l))
		return nil
	})
	if ctx.Err() != nil {
		return "", unread
	}
	text, err = b.free(ctx, ends, piles, done)
	return text, errors.Join(unread, err)
}

// free deletes what is resolved of the partitions that were read.
func (b *box) free(ctx context.Context, ends []*span, piles map[int32]*pile, done *book) (string, error) {
	if err := b.put(ctx, b.outlived(piles, done)); err != nil {
		return "", fmt.Errorf("couldn't forget which letters of %s were resolved and deleted: %w", b.Describe(), err)
	}
	var left []string
	cuts := map[int32]int64{}
	for _, s := range ends {
		p := piles[s.Partition]
		if s.err != nil {
			continue
		}
		cut := p.cut()
		if cut > s.first {
			cuts[s.Partition] = cut
		}
		if n := p.behind(cut); n > 0 {
			left = append(left, fmt.Sprintf("%s keeps %d resolved letters behind %s/%d, which is open", partOf(s), n, partOf(s), p.open[0].from))
		}
	}
	err := b.delete(ctx, ends, cuts)
	failpoint.Hit(failpoint.LettersFreed)
	return strings.Join(left, "; "), errors.Join(err, b.remember(ctx, ends, done))
}

// outlived are the records that remove the marks of letters that are gone for good.
func (b *box) outlived(piles map[int32]*pile, done *book) (gone []queue.Message) {
	for key, m := range done.marks {
		p, n := piles[m.partition], done.notes[m.partition]
		if p != nil && p.err == nil && n.old(b.now()) && m.last() < min(p.found, n.Below) {
			gone = append(gone, queue.Message{Key: []byte(key)})
		}
	}
	return gone
}

// delete deletes the partitions up to their cuts, if the topic is still the one that was
// read. Where that succeeds the span begins there.
func (b *box) delete(ctx context.Context, ends []*span, cuts map[int32]int64) error {
	var errs []error
	for _, s := range ends {
		cut, ok := cuts[s.Partition]
		if !ok {
			continue
		}
		if err := b.retried(ctx, func(ctx context.Context) error { return b.deleteBelow(ctx, s, cut) }); err != nil {
			errs = append(errs, fmt.Errorf("couldn't delete the resolved letters of %s before offset %d: %w",
				s.TopicPartition, cut, kafka.Allowing(b.cfg, err, "Describe,Delete", b.letters)))
		}
	}
	return errors.Join(errs...)
}

// deleteBelow makes one attempt. The id of the topic is asked for as late as can be.
func (b *box) deleteBelow(ctx context.Context, s *span, cut int64) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cluster, err := b.client.Metadata(ctx, []string{s.Topic})
	if err != nil {
		return err
	}
	now, err := layOut(cluster, s.Topic)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(now, func(n *span) bool { return n.Partition == s.Partition })
	switch {
	case i < 0 || now[i].stamp != "" && s.stamp != "" && now[i].stamp != s.stamp:
		return &ownError{errors.New("the topic was deleted and made anew: its letters went with it")}
	case now[i].leader == "":
		return leaders.ErrNoLeader
	}
	gone, err := b.client.DeleteRecords(ctx, now[i].leader, []wire.DeleteBefore{{TopicPartition: s.TopicPartition, Offset: cut}})
	if err == nil {
		err = gone[s.TopicPartition].Err
	}
	switch {
	case errors.Is(err, kafkago.OffsetOutOfRange): // somebody has deleted more than that
		return nil
	case err != nil:
		return err
	}
	s.first = max(s.first, gone[s.TopicPartition].LogStart)
	return nil
}

// remember notes where the partitions begin now. A note that is not old yet stays: what
// was deleted since waits for the next one. One that was not true any more, as deleted
// records had come back, begins anew.
func (b *box) remember(ctx context.Context, ends []*span, done *book) error {
	var notes []queue.Message
	for _, s := range ends {
		n := done.notes[s.Partition]
		due := s.first != n.Below && n.old(b.now()) || s.found < n.Below
		if s.err == nil && s.first > 0 && due {
			notes = append(notes, note{Below: s.first, At: b.now()}.record(s.Partition))
		}
	}
	if err := b.put(ctx, notes); err != nil {
		return fmt.Errorf("couldn't note which letters of %s are deleted: %w", b.Describe(), err)
	}
	return nil
}
