package job

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bound is one end of a range of a queue, as somebody wrote it. Exactly one of its
// meanings is set.
type Bound struct {
	Text string

	Earliest  bool      // the oldest message there is
	End       bool      // where the queue ends when the job is planned
	Committed bool      // where the live deployment is
	Time      time.Time // the first message at or after it

	At     int64           // an offset or sequence, of every partition; -1: not set
	Places map[Place]int64 // offsets by partition; what is not named is not read
}

// Place names a partition; an empty topic is the only one that is read.
type Place struct {
	Topic     string
	Partition int32
}

// ParseBound reads a bound: earliest, end, now, committed, a time as RFC 3339, as an
// age (-2h), or as the midnight (UTC) with which today or yesterday begins, an offset or
// sequence, or offsets by partition (0:100,1:250 or logs[0]:100). now is what ages and
// days count from. Days are for what runs every night: however late it begins, its
// range has neither gap nor overlap with the night before.
func ParseBound(text string, now time.Time) (Bound, error) {
	b := Bound{Text: text, At: -1}
	switch text {
	case "earliest":
		b.Earliest = true
		return b, nil
	case "end":
		b.End = true
		return b, nil
	case "committed":
		b.Committed = true
		return b, nil
	case "now":
		b.Time = now
		return b, nil
	case "today":
		b.Time = now.UTC().Truncate(day)
		return b, nil
	case "yesterday":
		b.Time = now.UTC().Truncate(day).Add(-day)
		return b, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		b.At = n
		return b, nil
	}
	if strings.HasPrefix(text, "-") {
		d, err := time.ParseDuration(text)
		if err != nil {
			return b, fmt.Errorf("%q is no age: write one such as -2h or -90m", text)
		}
		b.Time = now.Add(d)
		return b, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return b, fmt.Errorf("%q is in the future: write -%s for an age", text, text)
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		b.Time = t
		return b, nil
	}
	if strings.Contains(text, ":") && !looksLikeTime.MatchString(text) {
		return b, b.places()
	}
	return b, fmt.Errorf("%q is no bound: write earliest, end, committed, a time such as 2026-01-02T15:04:05Z, an age such as -2h, today or yesterday, an offset or sequence, or offsets by partition such as 0:100,1:250", text)
}

const day = 24 * time.Hour // in UTC, which is what Truncate counts in

var looksLikeTime = regexp.MustCompile(`^\d{4}-\d\d-\d\d`)

var placePattern = regexp.MustCompile(`^(?:(.+)\[(\d+)\]|(\d+)):(\d+)$`)

func (b *Bound) places() error {
	b.Places = map[Place]int64{}
	for one := range strings.SplitSeq(b.Text, ",") {
		m := placePattern.FindStringSubmatch(one)
		if m == nil {
			return fmt.Errorf("%q is no place: write partition:offset, such as 0:100, or topic[partition]:offset", one)
		}
		partition, err := strconv.ParseInt(m[2]+m[3], 10, 32)
		offset, wrong := strconv.ParseInt(m[4], 10, 64)
		if err := errors.Join(err, wrong); err != nil {
			return fmt.Errorf("%q is no place: %w", one, err)
		}
		p := Place{Topic: m[1], Partition: int32(partition)}
		if _, twice := b.Places[p]; twice {
			return fmt.Errorf("%s: partition %d is named twice", b.Text, partition)
		}
		b.Places[p] = offset
	}
	return nil
}

// Partitions are the places of a bound in their order.
func (b *Bound) Partitions() []Place {
	var all []Place
	for p := range b.Places {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, c Place) int {
		if a.Topic != c.Topic {
			return strings.Compare(a.Topic, c.Topic)
		}
		return int(a.Partition) - int(c.Partition)
	})
	return all
}
