package job

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/flushline/flushline/queue"
)

// encodeSpans writes intervals, ascending and apart, as the distances between their
// ends from a position on.
func encodeSpans(from int64, spans []queue.Interval) []byte {
	var b []byte
	for _, s := range spans {
		b = binary.AppendUvarint(b, uint64(s.From-from))
		b = binary.AppendUvarint(b, uint64(s.To-s.From))
		from = s.To
	}
	return b
}

var errSpans = errors.New("the intervals of an open slice are damaged")

// parseSpans reads what encodeSpans wrote.
func parseSpans(b []byte, from int64) (spans []queue.Interval, err error) {
	step := func() int64 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(math.MaxInt64-from) {
			err = errSpans
			return 0
		}
		b = b[size:]
		from += int64(n)
		return from
	}
	for len(b) > 0 && err == nil {
		s := queue.Interval{From: step()}
		if err != nil {
			break
		}
		if s.To = step(); err == nil && s.To == s.From {
			err = errSpans
		}
		spans = append(spans, s)
	}
	if err != nil {
		return nil, err
	}
	return spans, nil
}

// join appends an interval that does not begin before the last one.
func join(spans []queue.Interval, s queue.Interval) []queue.Interval {
	if n := len(spans); n > 0 && s.From <= spans[n-1].To {
		spans[n-1].To = max(spans[n-1].To, s.To)
		return spans
	}
	if s.From < s.To {
		spans = append(spans, s)
	}
	return spans
}

// ordinals is the set of the slices that have ended, counted within a shard: all
// below one, and runs of neighbours above it. There are about as many runs as
// slices are read at a time.
type ordinals struct {
	below int64
	above []queue.Interval
}

func (o *ordinals) has(n int64) bool {
	_, found := slices.BinarySearchFunc(o.above, n, func(s queue.Interval, n int64) int {
		switch {
		case s.To <= n:
			return -1
		case s.From > n:
			return 1
		}
		return 0
	})
	return n < o.below || found
}

func (o *ordinals) add(n int64) {
	at, _ := slices.BinarySearchFunc(o.above, n, func(s queue.Interval, n int64) int {
		if s.From <= n {
			return -1
		}
		return 1
	})
	all := slices.Clone(o.above[:at])
	all = join(all, queue.Interval{From: n, To: n + 1})
	for _, s := range o.above[at:] {
		all = join(all, s)
	}
	if len(all) > 0 && all[0].From <= o.below {
		o.below = max(o.below, all[0].To)
		all = all[1:]
	}
	o.above = all
}
