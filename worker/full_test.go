package worker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// brim is a queue whose strands hand out four messages and say then that they are full.
type brim struct{ *memory.Queue }

func (b brim) Run(ctx context.Context, h queue.Host) error { return b.Queue.Run(ctx, brimHost{h}) }

type brimHost struct{ queue.Host }

func (h brimHost) Serve(ctx context.Context, s queue.Strand) error {
	return h.Host.Serve(ctx, &brimStrand{Strand: s})
}

type brimStrand struct{ queue.Strand }

func (s *brimStrand) Fetch(ctx context.Context, room queue.Room) ([]*queue.Delivery, error) {
	if s.Status().Full {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	room.Messages = 1
	return s.Strand.Fetch(ctx, room)
}

func (s *brimStrand) Status() queue.Status {
	st := s.Strand.Status()
	if st.Full = st.Position >= 4; st.Full {
		st.Cause = "the oldest of four has not ended"
	}
	return st
}

// A strand whose source hands out no more before something ends says so, and which
// lanes hold it, as one does whose window is full.
func TestAFullSourceNamesTheLanes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dead := checker.New()
		dead.SetReady(false)
		r := &rig{t: t, q: memory.New(memory.Config{}), letters: memory.NewSink("letters"), done: make(chan error, 1)}
		cfg := worker.Config{Deployment: "test", Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", dead))}}
		cfg.DeadLetter.Sink = r.letters
		var err error
		if r.w, err = worker.New(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(context.Background())
		r.end = end
		go func() { r.done <- r.w.Run(ctx, brim{r.q}) }()
		r.q.Publish(keyed("p", "oldest", encode(t, group("0"))))
		time.Sleep(10 * time.Millisecond)
		for range 8 {
			r.q.Publish(keyed("p", "largest", encode(t, group("1"))))
		}
		time.Sleep(500 * time.Millisecond)
		synctest.Wait()
		if st := r.w.Status().Strands[0]; st.State != "fetching" {
			t.Errorf("for a moment the strand is %+v", st)
		}
		time.Sleep(3 * time.Second)
		st := r.w.Status().Strands[0]
		if st.State != "window_full" || st.Why != "the oldest of four has not ended" || len(st.BlockedBy) != 2 || st.BlockedBy[0] != "all/out p/oldest/c" {
			t.Errorf("the strand is %+v", st)
		}
		dead.SetReady(true)
		r.acked(4)
		r.mustStop()
	})
}
