package history

import (
	"fmt"
	"time"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/kafka/leaders"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// partition is what brokers say of one, as far as the bounds ask.
type partition struct {
	wire.TopicPartition
	id     leaders.ID
	leader string

	first, end       wire.ListedOffset
	committed        int64             // of the live group
	fromTime, toTime wire.ListedOffset // the first message at or after the bounds' times; -1: none is that young
	oldest           wire.ListedOffset // the first message of all; -1: none
	begins, ends     int64             // that the bounds name
}

// slice is the range in this partition, and what of it is not there any more.
func (f *partition) slice(from, to job.Bound) (job.Slice, []job.Lost, error) {
	s := job.Slice{Name: f.String(), Stamp: f.id.String()}
	if !from.Time.IsZero() && !to.Time.IsZero() && from.Time.After(to.Time) {
		return s, nil, fmt.Errorf("from %s is later than to %s: exchange them", f.words(from, -1), f.words(to, -1))
	}
	first, end := f.first.Offset, f.end.Offset
	begin, stop := f.offset(from, f.fromTime, f.begins), f.offset(to, f.toTime, f.ends)
	switch {
	case begin > end:
		return s, nil, f.beyond("from", from, begin)
	case stop > end:
		return s, nil, f.beyond("to", to, stop)
	case begin > stop:
		return s, nil, fmt.Errorf("%s: from %s lies behind to %s: write a range that ends after it begins", f, f.words(from, begin), f.words(to, stop))
	}
	s.From, s.To = max(begin, first), max(stop, first)
	if begin < min(first, stop) {
		return s, []job.Lost{{
			Slice: s.Name, From: begin, To: first, Count: min(first, stop) - begin,
			Why: fmt.Sprintf("retention, or somebody, deleted what lay before offset %d", first),
		}}, nil
	}
	return s, f.older(from), nil
}

// offset is what a bound means here.
func (f *partition) offset(b job.Bound, byTime wire.ListedOffset, named int64) int64 {
	switch {
	case b.Places != nil:
		return named
	case b.Earliest:
		return f.first.Offset
	case b.End:
		return f.end.Offset
	case b.Committed:
		return f.committed
	case !b.Time.IsZero():
		if byTime.Offset < 0 {
			return f.end.Offset
		}
		return min(byTime.Offset, f.end.Offset)
	}
	return b.At
}

// older is the loss that a bound by time may hide: the log once held something before
// its first message, and that message is younger than the time asked for.
func (f *partition) older(from job.Bound) []job.Lost {
	first := f.first.Offset
	if from.Time.IsZero() || first == 0 || f.oldest.Offset >= 0 && f.oldest.Time <= from.Time.UnixMilli() {
		return nil
	}
	why := fmt.Sprintf("the log begins at offset %d: what lay before is deleted, and it holds no message to tell how young that was", first)
	if f.oldest.Offset >= 0 {
		why = fmt.Sprintf("the log begins at offset %d, at %s: what lay before is deleted, and may have been younger than %s", first, clock(f.oldest.Time), from.Text)
	}
	return []job.Lost{{Slice: f.String(), From: -1, To: first, Count: -1, Why: why}}
}

func (f *partition) beyond(which string, b job.Bound, offset int64) error {
	mend := fmt.Sprintf("write at most %d, or end", f.end.Offset)
	if b.Committed {
		mend = "the group read another topic of this name, or the log was cut back; write another bound"
	}
	return fmt.Errorf("%s: %s %s lies beyond the end of the log at %d: %s", f, which, f.words(b, offset), f.end.Offset, mend)
}

// words are a bound as it was written, with what it means here.
func (f *partition) words(b job.Bound, offset int64) string {
	switch {
	case offset < 0:
		return fmt.Sprintf("%s (%s)", b.Text, clock(b.Time.UnixMilli()))
	case b.Places != nil || b.At >= 0 && b.Text == fmt.Sprint(b.At):
		return fmt.Sprintf("offset %d", offset)
	}
	return fmt.Sprintf("%s (offset %d)", b.Text, offset)
}

// clock shows a time of Kafka's.
func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
