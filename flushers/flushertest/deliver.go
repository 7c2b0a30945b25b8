package flushertest

import (
	"errors"
	"time"

	"github.com/flushline/flushline/flushers"
)

// deliver flushes samples as the worker would, to a destination that is well: it
// tries again what failed, halves what is refused, and returns what would become a
// dead letter.
func (b *bench) deliver(l *life, samples ...*sample) (dead []*sample) {
	b.Helper()
	end := time.Now().Add(settledAfter)
	for todo := [][]*sample{samples}; len(todo) > 0; {
		batch := todo[0]
		todo = todo[1:]
		for n := 1; len(batch) > 0; n++ {
			l.becomesReady("the destination is well")
			err := b.flush(l, attempt{n: n}, batch...)
			letters, again, halves := verdict(batch, err)
			dead = append(dead, letters...)
			todo = append(todo, halves...)
			batch = again
			if len(again) == 0 {
				continue
			}
			if time.Now().After(end) {
				b.Fatalf("Flush still fails %s after the destination is well: %v", settledAfter, err)
			}
			time.Sleep(min(time.Duration(n)*50*time.Millisecond, time.Second))
		}
	}
	return dead
}

// verdict is what the worker makes of a result: dead letters, what is tried again
// as it is, and the halves of a batch that is refused as a whole.
func verdict(batch []*sample, err error) (dead, again []*sample, halves [][]*sample) {
	if err == nil {
		return nil, nil, nil
	}
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		switch {
		case !refusedForGood(err):
			return nil, batch, nil
		case len(batch) == 1:
			return batch, nil, nil
		}
		half := len(batch) / 2
		return nil, nil, [][]*sample{batch[:half], batch[half:]}
	}
	for i, s := range batch {
		switch e := partial.Failed[i]; {
		case e == nil:
		case refusedForGood(e):
			dead = append(dead, s)
		default:
			again = append(again, s)
		}
	}
	return dead, again, nil
}

func refusedForGood(err error) bool {
	class, _ := flushers.Classify(err)
	return class == flushers.ClassPermanent || class == flushers.ClassTooLarge
}

// classOf is the class that the worker finds for one group of a batch.
func classOf(err error, group int) flushers.Class {
	var partial *flushers.PartialError
	if errors.As(err, &partial) {
		err = partial.Failed[group]
	}
	class, _ := flushers.Classify(err)
	return class
}
