package worker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// mute is a source whose strands have a status and never a message.
type mute struct {
	strands []*muteStrand
	totals  queue.Totals
}

func (m *mute) Totals() queue.Totals { return m.totals }

func (m *mute) Run(ctx context.Context, h queue.Host) error {
	var all sync.WaitGroup
	for _, s := range m.strands {
		all.Go(func() { _ = h.Serve(ctx, s) }) // it ends with ctx
	}
	all.Wait()
	return nil
}

type muteStrand struct {
	name string
	mu   sync.Mutex
	st   queue.Status
}

func (s *muteStrand) Info() queue.Info { return queue.Info{Source: "kafka", Name: s.name} }

func (s *muteStrand) Status() queue.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.st
}

func (s *muteStrand) set(f func(*queue.Status)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.st)
}

func (s *muteStrand) Fetch(ctx context.Context, _ queue.Room) ([]*queue.Delivery, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// muteWorker runs a worker on a mute source until the test ends.
func muteWorker(t *testing.T, src *mute) *worker.Worker {
	t.Helper()
	w, err := worker.New(worker.Config{
		Deployment: "test", Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", checker.New()))},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, src) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// The queue's state in front of the worker's own begins when it is seen, and the
// worker's begins anew when it is back.
func TestSinceIsThatOfTheStateThatIsShown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &muteStrand{name: "logs[0]", st: queue.Status{State: queue.StateConsuming}}
		w := muteWorker(t, &mute{strands: []*muteStrand{s}})
		begin := time.Now()
		shown := func(state string, since time.Duration) {
			t.Helper()
			time.Sleep(time.Hour)
			got := w.Status().Strands[0]
			if age := got.Since.Sub(begin); got.State != state || age < since || age > since+time.Second {
				t.Errorf("%s since %s, want %s since about %s", got.State, age, state, since)
			}
		}
		shown("fetching", 0)
		s.set(func(st *queue.Status) { st.State = queue.StateBrokerAway })
		shown(queue.StateBrokerAway, time.Hour)
		s.set(func(st *queue.Status) { st.State = queue.StateConsuming })
		shown("fetching", 2*time.Hour)
	})
}
