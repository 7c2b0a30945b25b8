package cmd

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// parkedBacklog is what a companion holds, as it was last told. Nobody waits for the
// broker: who looks gets what is known, and has it asked again when that is old.
type parkedBacklog struct {
	source string
	lanes  func(context.Context) ([]queue.Backlog, error)

	ctx    context.Context
	cancel context.CancelFunc
	asking sync.WaitGroup

	mu    sync.Mutex
	busy  bool
	known *worker.CompanionStatus // nil: it was never told
	tried time.Time
}

const (
	backlogFresh    = 5 * time.Second  // so long an answer is as good as new
	backlogPatience = 10 * time.Second // for one answer
	backlogStale    = 2 * time.Minute  // beyond it a number says nothing any more
)

func newParkedBacklog(source string, lanes func(context.Context) ([]queue.Backlog, error)) *parkedBacklog {
	b := &parkedBacklog{source: source, lanes: lanes}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// close ends a question that is under way.
func (b *parkedBacklog) close() {
	b.mu.Lock()
	b.cancel()
	b.mu.Unlock()
	b.asking.Wait()
}

// look is what is known now; nil: nothing yet.
func (b *parkedBacklog) look(now time.Time) *worker.CompanionStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.busy && now.Sub(b.tried) >= backlogFresh && b.ctx.Err() == nil {
		b.busy, b.tried = true, now
		b.asking.Go(b.ask)
	}
	return b.known
}

func (b *parkedBacklog) ask() {
	ctx, cancel := context.WithTimeout(b.ctx, backlogPatience)
	defer cancel()
	lanes, err := b.lanes(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	switch {
	case err == nil:
		b.known = summedUp(b.source, lanes)
	case b.ctx.Err() == nil:
		next := worker.CompanionStatus{Source: b.source}
		if b.known != nil {
			next = *b.known
		}
		next.Error = err.Error()
		b.known = &next
	}
}

func summedUp(source string, lanes []queue.Backlog) *worker.CompanionStatus {
	s := &worker.CompanionStatus{Source: source, Places: len(lanes), Asked: time.Now()}
	lanes = slices.Clone(lanes)
	slices.SortStableFunc(lanes, func(a, b queue.Backlog) int { return cmp.Compare(b.Messages, a.Messages) })
	for i := range lanes {
		l := &lanes[i]
		s.Messages += l.Messages
		if i < worker.MaxLanes {
			s.Lanes = append(s.Lanes, worker.ParkedLane{
				Route: l.Lane.Route, Flusher: l.Lane.Flusher, Project: l.Lane.Project, Logstore: l.Lane.Logstore, Config: l.Lane.Config,
				Messages: l.Messages, Oldest: l.Oldest, Place: l.Place,
			})
		}
	}
	return s
}

var descParked = prometheus.NewDesc("flushline_parked_messages",
	"Records that are parked beside a source, as its broker counted them a few seconds ago. All pods of a deployment see the same ones. "+
		"Kafka counts positions of its logs: a record that was cut to the topic's limit counts as its pieces, and one that has ended counts until all before it have.", []string{"source"}, nil)

// collect exposes the number while it is known.
func (b *parkedBacklog) collect(out chan<- prometheus.Metric) {
	now := time.Now()
	if s := b.look(now); s != nil && now.Sub(s.Asked) < backlogStale {
		out <- prometheus.MustNewConstMetric(descParked, prometheus.GaugeValue, float64(s.Messages), s.Source)
	}
}
