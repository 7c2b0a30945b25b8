package cmd

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue"
)

// letterBoxes sends each dead letter to the companion of the consumer it came
// from, when a source has several.
type letterBoxes struct {
	first queue.Sink            // of what names no consumer we know
	of    map[string]queue.Sink // by strand: "LOGS/flushline"
}

var _ queue.Sink = (*letterBoxes)(nil)

func (b *letterBoxes) Describe() string {
	return b.first.Describe() + " and its siblings"
}

// add names where letters from a strand go.
func (b *letterBoxes) add(strand string, box queue.Sink) {
	b.of[strand] = box
	if b.first == nil {
		b.first = box
	}
}

// sink is the only box there is, or the choice between them.
func (b *letterBoxes) sink() queue.Sink {
	if len(b.of) == 1 {
		return b.first
	}
	return b
}

// Put keeps the order within each companion.
func (b *letterBoxes) Put(ctx context.Context, ms []queue.Message) []error {
	places := map[queue.Sink][]int{}
	for i := range ms {
		box := b.box(&ms[i])
		places[box] = append(places[box], i)
	}
	var errs []error
	for box, indexes := range places {
		batch := make([]queue.Message, len(indexes))
		for k, i := range indexes {
			batch[k] = ms[i]
		}
		for k, err := range box.Put(ctx, batch) {
			if err == nil {
				continue
			}
			if errs == nil {
				errs = make([]error, len(ms))
			}
			errs[indexes[k]] = err
		}
	}
	return errs
}

// box reads x-flushline-source: source, strand and position. The strand of a job is a
// stream, or one of its consumers, and a range: "LOGS 1-5000".
func (b *letterBoxes) box(m *queue.Message) queue.Sink {
	from, _ := m.Header(queue.HeaderSource)
	fields := strings.Fields(from)
	if len(fields) < 3 {
		return b.first
	}
	if box, ok := b.of[fields[1]]; ok {
		return box
	}
	for _, strand := range slices.Sorted(maps.Keys(b.of)) {
		if stream, _, _ := strings.Cut(strand, "/"); stream == fields[1] {
			return b.of[strand]
		}
	}
	return b.first
}
