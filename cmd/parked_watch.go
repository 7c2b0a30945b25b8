package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// drainWatch stands in the place of a live source while a worker delivers parked
// records only: it hands out nothing, and ends when they are gone, or when none went
// for giveUp.
type drainWatch struct {
	begun  int64 // records that were parked at the start
	giveUp time.Duration
	status func() *worker.Status
	left   func(context.Context) (int64, error)

	remain   int64 // as the broker said last
	asked    error // why the broker did not say it
	given    bool
	refusals string // why given
	stopped  bool
}

var _ queue.Source = (*drainWatch)(nil)

// drainEvery is how often the broker is asked for what is left.
const drainEvery = time.Second

// Run implements queue.Source.
func (d *drainWatch) Run(ctx context.Context, _ queue.Host) error {
	d.remain = d.begun
	moved, most, least := time.Now(), int64(0), d.begun
	every := time.NewTicker(drainEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			d.stopped = true
			return nil
		case <-every.C:
		}
		left, err := d.left(ctx)
		if d.asked = err; err == nil {
			d.remain = left
		}
		st := d.status()
		ended := endedParts(st)
		// Workers beside this one may park as fast as it delivers: what was there at
		// the start is gone when as many have ended.
		if err == nil && (left == 0 || ended >= d.begun) {
			return nil
		}
		if ended > most || d.remain < least { // by this worker or by another
			moved, most, least = time.Now(), ended, min(least, d.remain)
		}
		if time.Since(moved) >= d.giveUp {
			d.given, d.refusals = true, refusals(st)
			return nil
		}
	}
}

// endedParts is what was delivered, or became dead letters.
func endedParts(st *worker.Status) int64 {
	var n int64
	for i := range st.Sources {
		c := &st.Sources[i].Counts
		n += c.Flushed
		for _, dead := range c.DeadLettered {
			n += dead
		}
	}
	return n
}

// why is what kept it from delivering everything; nil: nothing did.
func (d *drainWatch) why() error {
	switch {
	case d.stopped:
		return errors.New("interrupted: what is left stays parked")
	case d.given && d.asked != nil:
		return fmt.Errorf("given up: %w", d.asked)
	case d.given && d.refusals == "":
		return fmt.Errorf("given up: nothing was delivered for %s, and no destination said why; what is left stays parked (other workers may hold it)", span(d.giveUp))
	case d.given:
		return fmt.Errorf("given up: nothing was delivered for %s; what is left stays parked:\n  %s", span(d.giveUp), d.refusals)
	}
	return nil
}

// chosenParked is a companion of which only some lanes are served.
type chosenParked struct {
	queue.Parked
	takes func(queue.Lane) bool
}

// Run implements queue.Parked.
func (c *chosenParked) Run(ctx context.Context, h queue.ParkedHost) error {
	return c.Parked.Run(ctx, &choosingHost{h, c.takes})
}

type choosingHost struct {
	queue.ParkedHost
	takes func(queue.Lane) bool
}

// Gate implements queue.ParkedHost. A gate that is shut costs its lane nothing.
func (h *choosingHost) Gate(lane queue.Lane) queue.Gate {
	if !h.takes(lane) {
		return queue.GateShut
	}
	return h.ParkedHost.Gate(lane)
}
