package nats_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/test/natsbroker"
	"github.com/flushline/flushline/worker"
)

// shaky is a destination that dies and comes back; it counts what it was asked to take.
type shaky struct {
	mu    sync.Mutex
	down  bool
	until int            // it dies when it has taken so many; 0: it does not
	died  chan int       // what was tried by then
	tried int            // groups that came
	got   map[string]int // groups that were taken, by id
}

// turn lets it die or come back, and says what was tried until then.
func (s *shaky) turn(down bool) (tried, got int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
	return s.tried, len(s.got)
}

func (s *shaky) now() (tried, got, taken int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.got {
		taken += n
	}
	return s.tried, len(s.got), taken
}

// shaking is one lane's flusher.
type shaking struct{ to *shaky }

func (f *shaking) Init(flushers.Context) error        { return nil }
func (f *shaking) Description() string                { return "Keeps groups in memory, or refuses them." }
func (f *shaking) IsReady(string, string, int64) bool { return true }
func (f *shaking) SetUrgent(bool)                     {}
func (f *shaking) Stop() error                        { return nil }
func (f *shaking) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	f.to.mu.Lock()
	defer f.to.mu.Unlock()
	f.to.tried += len(groups)
	if f.to.down {
		return errors.New("connection refused")
	}
	for _, g := range groups {
		f.to.got[g.Logs[0].Contents[0].Value]++
	}
	if f.to.until > 0 && len(f.to.got) >= f.to.until {
		f.to.down, f.to.until = true, 0
		f.to.died <- f.to.tried
	}
	return nil
}

// parkingWorker runs a worker of a rig whose one route parks.
func (r *parkedRig) parkingWorker(out *shaky) {
	r.Helper()
	src, err := nats.Open(r.Context(), r.cfg, nats.Options{})
	if err != nil {
		r.Fatal(err)
	}
	kind := flushers.Kind{Name: "shaky", New: func() flushers.Flusher { return &shaking{out} }}
	w, err := worker.New(worker.Config{
		Deployment: r.cfg.Durable, Parked: r.open(), Drain: 5 * time.Second,
		Routes: []worker.Route{{
			Name: "shop", Park: true, ParkAfter: time.Second,
			Flushers: []worker.Entry{{Name: "es", Kind: kind, New: kind.New, Rate: worker.Rate{Groups: 200}}},
		}},
	})
	if err != nil {
		r.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, src) }()
	r.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			r.Error(err)
		}
		src.Close()
		for _, s := range w.Status().Sources {
			if !s.Counts.Balanced() {
				r.Errorf("the counts of source %s do not add up: %+v", s.Name, s.Counts)
			}
		}
	})
}

// send publishes groups of one key, with the ids from first on.
func (r *parkedRig) send(first, n int) {
	r.Helper()
	err := natsbroker.Put(r.Context(), r.js(r.conn), n, func(i int) *natsgo.Msg {
		g := protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "id", Value: strconv.Itoa(first + i)}}}}}
		v, err := g.Marshal()
		if err != nil {
			r.Fatal(err)
		}
		m := natsgo.NewMsg("logs.p.l.c")
		m.Data = v
		m.Header = natsgo.Header{"x-log-project": {"p"}, "x-log-logstore": {"l"}, "x-log-config": {"c"}}
		return m
	})
	if err != nil {
		r.Fatal(err)
	}
}

// A destination that dies while two pods serve an open lane is asked to take no more
// than comes, and when it is back hardly more than it takes: records that were out do not
// all try it again.
func TestADestinationThatDiesAgainIsTriedSeldom(t *testing.T) {
	t.Parallel()
	r := newParkedRig(t, startBroker(t))
	r.setUp(r.conn, r.cfg)
	// A lane that is probed takes one at a time: so many it takes when it is open.
	out := &shaky{down: true, until: 1000, died: make(chan int, 1), got: map[string]int{}}
	const parked, live = 8000, 1000
	r.parkingWorker(out)
	r.parkingWorker(out)
	r.send(0, parked)
	lane := queue.Lane{Route: "shop", Flusher: "es", Project: "p", Logstore: "l", Config: "c"}.String()
	r.eventually("nearly all is parked", func() bool { return r.held()[lane] >= parked-2 })
	out.turn(false)
	before := <-out.died
	_, taken, _ := out.now()
	if taken > parked/2 {
		t.Fatalf("%d of %d were taken before it died again: the test shows nothing", taken, parked)
	}
	for i := range 20 { // what comes meanwhile
		r.send(parked+i*live/20, live/20)
		time.Sleep(time.Second)
	}
	tried, still := out.turn(false)
	tries := tried - before
	t.Logf("while it was down %d groups came and it was asked to take %d", live, tries)
	if still != taken {
		t.Fatalf("%d groups were taken while it was down", still-taken)
	}
	if most := live * 11 / 10; tries > most {
		t.Errorf("while it was down it was asked to take %d groups and %d came, want %d at most", tries, live, most)
	}
	r.eventually("all is taken", func() bool { _, n, _ := out.now(); return n == parked+live })
	end, _, all := out.now()
	back := end - tried
	t.Logf("when it was back it was asked to take %d groups for %d", back, parked+live-taken)
	if most := (parked + live - taken) * 3 / 2; back > most {
		t.Errorf("when it was back it was asked to take %d groups for %d, want %d at most", back, parked+live-taken, most)
	}
	if all != parked+live {
		t.Errorf("%d groups were taken %d times", parked+live, all)
	}
	r.eventually("nothing is parked", func() bool { return len(r.held()) == 0 })
}
