package nats

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// tidier removes the chunks of records that have ended, each once the stream no longer
// has the record itself. What it does not get to is removed when the lane is empty.
type tidier struct {
	conn   *Conn
	stream string
	log    *zap.Logger

	mu    sync.Mutex
	items []tidyItem
}

type tidyItem struct {
	seq   uint64 // of the record
	tail  string // subject of its chunks
	tries int
}

const (
	tidyEvery = 500 * time.Millisecond
	tidyTries = 120
	tidyLast  = 3 * time.Second // at the end
)

func (t *tidier) add(seq uint64, tail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items = append(t.items, tidyItem{seq: seq, tail: tail})
}

func (t *tidier) run(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.round(ctx)
		}
	}
}

// finish tries for the last time, after the last acknowledgement.
func (t *tidier) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), tidyLast)
	defer cancel()
	for t.round(ctx) > 0 && sleep(ctx, tidyEvery/5) {
		continue
	}
}

// round tries each once and says how many are left.
func (t *tidier) round(ctx context.Context) int {
	t.mu.Lock()
	items := t.items
	t.items = nil
	t.mu.Unlock()
	var again []tidyItem
	for _, one := range items {
		if ctx.Err() != nil || !t.tidy(ctx, one) {
			if one.tries++; one.tries < tidyTries {
				again = append(again, one)
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.items = append(again, t.items...)
	return len(t.items)
}

func (t *tidier) tidy(ctx context.Context, one tidyItem) bool {
	_, err := t.conn.at(ctx, t.stream, one.seq)
	if errors.Is(err, errNoMessage) {
		err = t.conn.purge(ctx, t.stream, one.tail)
		if err == nil {
			return true
		}
	}
	if err != nil {
		t.log.Debug("couldn't remove the chunks of a delivered record yet", zap.String("subject", one.tail), zap.Error(err))
	}
	return false
}

// orphans are chunks in lanes without a record, by subject, and since when they were
// seen. Chunks are stored before their record, so they may be on their way.
type orphans map[string]time.Time

// orphanAge is well beyond queue.ArrivalBound.
const orphanAge = 2 * queue.ArrivalBound

// due notes what a listing shows and returns the subjects whose chunks nobody will
// complete any more.
func (o orphans) due(l *listing, now time.Time) (subjects []string) {
	for suffix := range o {
		if l.tails[suffix] == 0 {
			delete(o, suffix)
		}
	}
	for suffix := range l.tails {
		head, _ := headOf(suffix)
		since, seen := o[suffix]
		switch {
		case l.lanes[head] > 0:
			delete(o, suffix)
		case !seen:
			o[suffix] = now
		case now.Sub(since) > orphanAge:
			subjects = append(subjects, suffix)
		}
	}
	return subjects
}
