package cmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/flushline/flushline/queue"
)

// parkedBoxes is one companion made of those that a source with several consumers has:
// each record goes to that of the consumer it came from, and all are served.
type parkedBoxes struct {
	boxes []queue.Parked // as the consumers are listed
	of    letterBoxes    // the same, as sinks by strand
}

var _ queue.Parked = (*parkedBoxes)(nil)

// oneParked is the only companion there is, or what chooses among them. strands are
// the names of the strands whose records they keep.
func oneParked(strands []string, boxes []queue.Parked) queue.Parked {
	if len(boxes) == 1 {
		return boxes[0]
	}
	b := &parkedBoxes{boxes: boxes, of: letterBoxes{of: map[string]queue.Sink{}}}
	for i, box := range boxes {
		b.of.add(strands[i], box)
	}
	return b
}

func (b *parkedBoxes) Describe() string { return b.of.Describe() }

func (b *parkedBoxes) Put(ctx context.Context, ms []queue.Message) []error { return b.of.Put(ctx, ms) }

// Prepare implements queue.Parked: records toward any entry may come from any consumer.
func (b *parkedBoxes) Prepare(ctx context.Context, entries []queue.Lane) error {
	for _, box := range b.boxes {
		if err := box.Prepare(ctx, entries); err != nil {
			return err
		}
	}
	return nil
}

// Run implements queue.Parked: all are served, until each has come to its end.
func (b *parkedBoxes) Run(ctx context.Context, h queue.ParkedHost) error {
	errs := make([]error, len(b.boxes))
	var running sync.WaitGroup
	for i, box := range b.boxes {
		running.Go(func() { errs[i] = box.Run(ctx, h) })
	}
	running.Wait()
	return errors.Join(errs...)
}

// Lanes implements queue.Parked. A lane of two consumers is there twice.
func (b *parkedBoxes) Lanes(ctx context.Context) ([]queue.Backlog, error) {
	var all []queue.Backlog
	for _, box := range b.boxes {
		lanes, err := box.Lanes(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, lanes...)
	}
	sortBacklog(all)
	return all, nil
}

func (b *parkedBoxes) Look(lane queue.Lane) {
	for _, box := range b.boxes {
		box.Look(lane)
	}
}

func sortBacklog(all []queue.Backlog) {
	slices.SortStableFunc(all, func(x, y queue.Backlog) int {
		return cmp.Or(strings.Compare(x.Lane.String(), y.Lane.String()), strings.Compare(x.Place, y.Place))
	})
}
