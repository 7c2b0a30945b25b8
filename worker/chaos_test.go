package worker_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// TestChaos runs seeded worlds in which destinations fail in every way, strands
// come and go, the dead letter queue fails and workers are stopped and replaced. In
// every second one the routes park, and the queue of what is parked fails as well.
// When all is well again, everything that was published must have been
// acknowledged, by a Flush or a dead letter for each flusher entry, with counts
// that added up all the time.
//
// FLUSHLINE_CHAOS_SEED=n runs one seed, FLUSHLINE_CHAOS_SEEDS=n that many.
func TestChaos(t *testing.T) {
	t.Parallel()
	first, n := uint64(1), number("FLUSHLINE_CHAOS_SEEDS", 200)
	if one := number("FLUSHLINE_CHAOS_SEED", 0); one > 0 {
		first, n = one, 1
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newChaos(t, seed).run() })
		})
	}
}

func number(env string, or uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(env), 10, 64); err == nil {
		return n
	}
	return or
}

// chaos is one world.
type chaos struct {
	t       *testing.T
	rng     *dice
	q       *memory.Queue
	letters *memory.Sink
	parked  *memory.Parked // nil: the routes wait
	scripts []*checker.Script
	cfg     worker.Config
	strands int
	healed  chan struct{}
	well    atomic.Bool
	want    []map[string]bool // by script: ids that it has to get or that become letters

	mu      sync.Mutex
	workers []*worker.Worker
}

// dice are random numbers for several goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) n(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

func (d *dice) one(in int) bool                       { return d.n(in) == 0 }
func (d *dice) between(a, b int) int                  { return a + d.n(b-a+1) }
func (d *dice) upTo(most time.Duration) time.Duration { return time.Duration(d.n(int(most))) }
func pick[T any](d *dice, of ...T) T                  { return of[d.n(len(of))] }
func (c *chaos) pause(most time.Duration)             { time.Sleep(c.rng.upTo(most)) }
func (c *chaos) fatal(format string, args ...any)     { c.t.Helper(); c.t.Fatalf(format, args...) }

func newChaos(t *testing.T, seed uint64) *chaos {
	d := &dice{r: rand.New(rand.NewPCG(seed, 7))}
	c := &chaos{t: t, rng: d, letters: memory.NewSink("letters"), healed: make(chan struct{}), strands: d.between(1, 3)}
	c.q = memory.New(memory.Config{Strands: c.strands, FirstBytes: 2 << 10})
	entries := make([]worker.Entry, 3)
	for i := range entries {
		s := checker.New()
		s.Concurrent = pick(d, 1, 1, 3)
		s.NoRetain, s.Plain, s.OneInstance = d.one(3), d.one(4) && s.Concurrent == 1, true
		c.script(s)
		c.scripts = append(c.scripts, s)
		c.want = append(c.want, map[string]bool{})
		e := entryOf(fmt.Sprint("e", i), s)
		e.RetryInitial, e.RetryMax = 10*time.Millisecond, 2*time.Second
		e.FlushTimeout = time.Duration(d.between(1, 4)) * time.Second
		e.Batch = worker.Batch{Groups: pick(d, 0, 1, 3, 20), Wait: pick(d, 0, 0, 300*time.Millisecond, 3*time.Second)}
		entries[i] = e
	}
	c.cfg = worker.Config{
		Deployment: "test", Drain: time.Duration(d.between(1, 8)) * time.Second,
		DeadLetter: worker.DeadLetter{Sink: c.letters, StopAfter: 1 << 30},
		Routes: []worker.Route{
			routeOf("both", worker.Match{Logstore: "both*"}, entries[0], entries[1]),
			routeOf("rest", worker.Match{Project: "p"}, entries[2]),
		},
	}
	c.cfg.Limits = worker.Limits{
		InFlight: pick(d, int64(24<<10), 100<<10, 10<<20), Work: pick(d, int64(64<<10), 200<<10, 8<<20),
		Window: pick(d, 4, 30, 1000), Lanes: pick(d, 3, 8, 100), LaneIdle: pick(d, 10*time.Second, time.Minute),
	}
	if seed%2 == 0 {
		c.parked = memory.NewParked("memory")
		c.cfg.Parked = c.parked
		for i := range c.cfg.Routes {
			c.cfg.Routes[i].Park, c.cfg.Routes[i].ParkAfter = true, time.Duration(d.between(1, 4))*time.Second
		}
	}
	return c
}

// script has a destination do everything that is bad until the world is healed.
func (c *chaos) script(s *checker.Script) {
	bad := c.rng.between(2, 12)
	flaky := c.rng.between(2, 12)
	s.Do(-1, func(ctx context.Context, call *checker.Call) error {
		if c.well.Load() || !c.rng.one(bad) {
			c.delay(ctx)
			return nil
		}
		return c.failure(ctx, call.Len())
	})
	s.ReadyWhen(func(protocol.Key) bool {
		if c.well.Load() {
			return true
		}
		switch {
		case c.rng.one(200):
			<-c.healed
		case c.rng.one(100):
			panic("chaos in IsReady")
		case c.rng.one(60):
			c.pause(3 * time.Second)
		}
		return !c.rng.one(flaky)
	})
	s.OnInit(-1, func(flushers.Context) error {
		switch {
		case c.well.Load() || !c.rng.one(4):
			return nil
		case c.rng.one(10):
			<-c.healed
		case c.rng.one(10):
			panic("chaos in Init")
		}
		return pick(c.rng, errDown, flushers.Misconfigured(errDown))
	})
	s.OnStop(func(protocol.Key) error {
		switch {
		case c.well.Load() || !c.rng.one(6):
			return nil
		case c.rng.one(8):
			<-c.healed
		case c.rng.one(8):
			panic("chaos in Stop")
		}
		c.pause(2 * time.Second)
		return errDown
	})
}

func (c *chaos) delay(ctx context.Context) {
	if !c.rng.one(3) {
		return
	}
	select {
	case <-time.After(c.rng.upTo(200 * time.Millisecond)):
	case <-ctx.Done():
	}
}

func (c *chaos) failure(ctx context.Context, groups int) error {
	switch c.rng.n(12) {
	case 0:
		return flushers.Permanent(errors.New("chaos: 400"))
	case 1:
		return flushers.TooLarge(errors.New("chaos: 413"))
	case 2:
		return flushers.RetryAfter(errors.New("chaos: 429"), c.rng.upTo(10*time.Second))
	case 3:
		return flushers.Misconfigured(errors.New("chaos: 401"))
	case 4:
		panic("chaos in Flush")
	case 5, 6, 7:
		failed := map[int]error{}
		for i := range groups {
			if c.rng.one(2) {
				failed[i] = pick(c.rng, errDown, flushers.Permanent(errDown), flushers.Misconfigured(errDown), nil)
			}
		}
		return &flushers.PartialError{Failed: failed}
	case 8:
		if c.rng.one(3) {
			<-c.healed // deaf
			return pick(c.rng, nil, errDown)
		}
	case 9:
		select {
		case <-c.healed:
		case <-ctx.Done():
		}
		return ctx.Err()
	}
	return errDown
}

func (c *chaos) run() {
	done := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(c.publish)
	busy.Go(c.nemesis)
	busy.Go(func() { c.observe(done) })
	lives := c.rng.between(1, 4)
	for range lives {
		c.live(c.rng.upTo(40 * time.Second))
	}
	c.heal(&busy, done)
}

// live runs a worker for a while and stops it.
func (c *chaos) live(d time.Duration) {
	w, end, ran := c.begin()
	time.Sleep(d)
	if c.rng.one(5) {
		w.Hurry()
	}
	began := time.Now()
	end()
	if err := <-ran; err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		c.fatal("Run returned %v", err)
	}
	if took := time.Since(began); took > c.cfg.Drain+20*time.Second {
		c.fatal("a stop with a drain of %v took %v", c.cfg.Drain, took)
	}
}

func (c *chaos) begin() (w *worker.Worker, end context.CancelFunc, ran chan error) {
	w, err := worker.New(c.cfg)
	if err != nil {
		c.fatal("%v", err)
	}
	c.mu.Lock()
	c.workers = append(c.workers, w)
	c.mu.Unlock()
	ctx, end := context.WithCancel(context.Background())
	ran = make(chan error, 1)
	go func() { ran <- w.Run(ctx, c.q) }()
	return w, end, ran
}

// heal makes everything well, lets the last worker finish, and judges.
func (c *chaos) heal(busy *sync.WaitGroup, done chan struct{}) {
	w, end, ran := c.begin()
	c.pause(20 * time.Second)
	c.well.Store(true)
	close(c.healed)
	c.letters.FailNext(0, nil)
	if c.parked != nil {
		c.parked.FailNext(0, nil)
	}
	close(done)
	busy.Wait()
	for i := range c.strands {
		c.q.Assign(i)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	err := c.q.WaitAcked(ctx, c.q.Published())
	for err == nil && c.parked != nil && c.parked.Waiting() > 0 {
		if err = ctx.Err(); err != nil {
			err = fmt.Errorf("%d records are parked: %w", c.parked.Waiting(), err)
		}
		time.Sleep(time.Second)
	}
	c.balanced(w)
	st := w.Status()
	end()
	if ended := <-ran; err != nil || ended != nil {
		c.fatal("after an hour of health: %v; Run returned %v; status %+v", err, ended, st)
	}
	time.Sleep(time.Minute) // what was left behind returns
	c.judge()
}

func (c *chaos) judge() {
	for i, w := range c.workers {
		c.balanced(w)
		for _, p := range w.Status().Pools {
			if p.Used != 0 || p.Waiting != 0 {
				c.fatal("worker %d: pool %+v after the end", i, p)
			}
		}
	}
	letters := map[string]bool{}
	for _, m := range c.letters.Messages() {
		_, groups, err := protocol.Scan(m.Value, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
		if err != nil {
			continue // it was sent undecodable
		}
		to, _ := m.Header(queue.HeaderTo)
		letters[to+" "+idOf(groups[0].Decode())] = true
	}
	for i, s := range c.scripts {
		clean(c.t, s)
		got := map[string]bool{}
		for _, g := range s.Groups() {
			got[idOf(g)] = true
		}
		route := c.cfg.Routes[i/2]
		to := "test/" + route.Name + "/" + route.Flushers[i%2].Name + " "
		for id := range c.want[i] {
			if !got[id] && !letters[to+id] {
				c.t.Errorf("group %s was acknowledged and neither flushed by %s nor dead-lettered", id, to)
			}
		}
	}
}

// balanced checks what must be true at any instant.
func (c *chaos) balanced(w *worker.Worker) {
	c.t.Helper()
	st := w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			c.t.Errorf("the counts of the source do not add up: %+v", s.Counts)
		}
	}
	for _, f := range st.Flushers {
		if !f.Counts.Balanced() {
			c.t.Errorf("the counts of flusher %s do not add up: %+v", f.Flusher, f.Counts)
		}
	}
	if st.Defects != 0 {
		c.t.Errorf("%d deliveries were settled twice", st.Defects)
	}
	if n := c.q.EarlyReleases(); n != 0 {
		c.t.Errorf("%d messages were released while their strand lived", n)
	}
}

func (c *chaos) observe(done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(c.rng.upTo(500 * time.Millisecond)):
		}
		if w := c.newest(); w != nil {
			c.balanced(w)
		}
	}
}

func (c *chaos) newest() *worker.Worker {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.workers); n > 0 {
		return c.workers[n-1]
	}
	return nil
}

// nemesis takes strands away and breaks the dead letter queue.
func (c *chaos) nemesis() {
	for range c.rng.n(12) {
		c.pause(8 * time.Second)
		i := c.rng.n(c.strands)
		c.q.EndStrand(i, pick(c.rng, queue.Revoked, queue.Lost), time.Now().Add(c.rng.upTo(5*time.Second)))
		c.pause(4 * time.Second)
		c.q.Assign(i)
		if c.rng.one(3) {
			c.letters.FailNext(c.rng.n(20), errDown)
		}
		if c.parked != nil && c.rng.one(3) {
			c.parked.FailNext(c.rng.n(20), errDown)
		}
	}
}

func (c *chaos) publish() {
	for i := range c.rng.between(20, 150) {
		if c.rng.one(4) {
			c.pause(2 * time.Second)
		}
		m := c.message(i)
		m.Partition = int32(c.rng.n(c.strands))
		c.q.Publish(m)
	}
}

func (c *chaos) message(i int) queue.Message {
	logstore := c.rng.n(8)
	name := fmt.Sprint("ls", logstore)
	if logstore < 4 {
		name = fmt.Sprint("both", logstore)
	}
	if c.rng.one(20) {
		return keyed("p", name, []byte{0xff, 0xff})
	}
	groups := []*protocol.LogGroup{group(fmt.Sprint(i))}
	kind := protocol.TypeLogGroup
	if c.rng.one(4) {
		kind = protocol.TypeLogGroupList
		for j := range c.rng.n(5) {
			groups = append(groups, group(fmt.Sprint(i, ".", j)))
		}
	}
	for _, g := range groups {
		if logstore < 4 {
			c.want[0][idOf(g)], c.want[1][idOf(g)] = true, true
		} else {
			c.want[2][idOf(g)] = true
		}
		g.Topic = string(make([]byte, c.rng.n(3000)))
	}
	body := encode(c.t, groups[0])
	if kind == protocol.TypeLogGroupList {
		var err error
		if body, err = (&protocol.LogGroupList{LogGroupList: groups}).Marshal(); err != nil {
			c.fatal("%v", err)
		}
	}
	m := keyed("p", name, body, queue.Header{Key: "content-type", Value: kind})
	if c.rng.one(4) {
		packed, err := protocol.Compress(nil, body, protocol.EncodingGzip)
		if err != nil {
			c.fatal("%v", err)
		}
		m.Value = packed
		m.Headers = append(m.Headers, queue.Header{Key: "content-encoding", Value: "gzip"})
	}
	return m
}
