//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

const (
	reloadRoutes = 1000
	reloadStep   = 2 * time.Millisecond   // between two publications
	reloadEach   = 10                     // routes that get a message in one
	reloadBegin  = 100 * time.Millisecond // that the Init of a replaced flusher takes
	reloadBound  = 50 * time.Millisecond
)

// reloadSuite needs no broker: the queue is in the worker's memory.
func reloadSuite(short bool) ([]benchCase, func(), error) {
	rounds, lasts := 5, 10*time.Second
	if short {
		rounds, lasts = 3, 4*time.Second
	}
	run := func() (bool, error) { return reloadGap(rounds, lasts) }
	return []benchCase{{"one route among 1,000", run}}, func() {}, nil
}

// stall is what the reload role reports.
type stall struct {
	Longest time.Duration // from publication to Flush, in lanes that no reload is about
	Typical time.Duration // the median
	Flushed int64
	Reloads int
}

// reloadGap compares the longest gap in lanes that a reload is not about with that of
// the same load without reloads.
func reloadGap(rounds int, lasts time.Duration) (bool, error) {
	var without, with []stall
	for range rounds {
		for _, reloads := range []bool{false, true} {
			cmd := role("reload", map[string]string{"LASTS": lasts.String(), "RELOADS": strconv.FormatBool(reloads)})
			cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT=384MiB")
			var s stall
			if err := output(cmd, &s); err != nil {
				return false, err
			}
			if reloads {
				with = append(with, s)
			} else {
				without = append(without, s)
			}
		}
	}
	a, b := middleStall(without), middleStall(with)
	return say("reload among 1,000", b.Longest <= reloadBound, "at most "+reloadBound.String(),
		"longest gap in the others %v with %d reloads, %v without (medians of %d rounds; with %v, without %v; typical %v and %v; %d groups a round)",
		b.Longest, b.Reloads, a.Longest, rounds, longest(with), longest(without), b.Typical, a.Typical, b.Flushed)
}

func middleStall(all []stall) stall {
	all = slices.SortedFunc(slices.Values(all), func(a, b stall) int { return int(a.Longest - b.Longest) })
	return all[len(all)/2]
}

func longest(all []stall) []time.Duration {
	var ds []time.Duration
	for _, s := range all {
		ds = append(ds, s.Longest.Round(10*time.Microsecond))
	}
	return ds
}

// runReload is a worker with a route for each of a thousand logstores, all of which
// get messages evenly; one of them is reloaded all the time.
func runReload() error {
	lasts, err := time.ParseDuration(os.Getenv("BENCH_LASTS"))
	if err != nil {
		return err
	}
	reloads := os.Getenv("BENCH_RELOADS") == "true"
	watch := &stopwatch{}
	w, err := worker.New(worker.Config{Deployment: "bench", Routes: watch.routes(0)})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	q, done := memory.New(memory.Config{Strands: 4}), make(chan error, 1)
	go func() { done <- w.Run(ctx, q) }()
	s := stall{}
	if err = watch.warm(q); err == nil {
		s.Reloads, err = watch.measure(q, w, lasts, reloads)
	}
	stop()
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	s.Flushed, s.Longest = watch.flushed.Load(), time.Duration(watch.longest.Load())
	s.Typical = watch.typical()
	return json.NewEncoder(os.Stdout).Encode(s)
}

// stopwatch measures the time from publication to Flush.
type stopwatch struct {
	measuring atomic.Bool
	flushed   atomic.Int64
	longest   atomic.Int64
	buckets   [64]atomic.Int64 // of 100 us each, for the median
}

// routes is the table; version is that of the route that is reloaded.
func (s *stopwatch) routes(version int) []worker.Route {
	routes := make([]worker.Route, reloadRoutes)
	for i := range routes {
		name, digest := "r"+strconv.Itoa(i), "same"
		timed := &gauged{watch: s}
		if i == reloadRoutes/2 {
			digest, timed = strconv.Itoa(version), nil
		}
		routes[i] = worker.Route{Name: name, Match: worker.Match{Logstore: name}, Flushers: []worker.Entry{{
			Name: "x", Kind: flushers.Kind{Name: "timed", Summary: "Measures."}, Digest: digest,
			New: func() flushers.Flusher {
				if timed == nil {
					return &beginner{}
				}
				return timed
			},
		}}}
	}
	return routes
}

// warm opens all lanes.
func (s *stopwatch) warm(q *memory.Queue) error {
	for i := range reloadRoutes {
		if err := publishTimed(q, i); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return q.WaitAcked(ctx, reloadRoutes)
}

func (s *stopwatch) measure(q *memory.Queue, w *worker.Worker, lasts time.Duration, reloads bool) (int, error) {
	s.measuring.Store(true)
	ended := make(chan struct{})
	count, failed := make(chan int, 1), make(chan error, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		for t := time.NewTicker(250 * time.Millisecond); reloads; n++ {
			select {
			case <-ended:
				t.Stop()
				return
			case <-t.C:
			}
			c, err := w.Reload(worker.Table{Routes: s.routes(n + 1)})
			if err != nil || len(c.Changed) != 1 {
				failed <- fmt.Errorf("a reload of one route: %+v, %w", c, err)
				return
			}
		}
	}()
	next := 0
	pace := time.NewTicker(reloadStep)
	defer pace.Stop()
	for begun := time.Now(); time.Since(begun) < lasts; <-pace.C {
		for range reloadEach {
			if err := publishTimed(q, next%reloadRoutes); err != nil {
				return 0, err
			}
			next++
		}
	}
	close(ended)
	n := <-count
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := q.WaitAcked(ctx, q.Published())
	select {
	case bad := <-failed:
		err = errors.Join(err, bad)
	default:
	}
	return n, err
}

func publishTimed(q *memory.Queue, route int) error {
	now := time.Now()
	ns := uint32(now.Nanosecond())
	g := protocol.LogGroup{Logs: []*protocol.Log{{Time: uint32(now.Unix()), TimeNs: &ns, Contents: []*protocol.Log_Content{{Key: "k", Value: "v"}}}}}
	value, err := g.Marshal()
	if err != nil {
		return err
	}
	q.Publish(queue.Message{Value: value, Partition: int32(route % 4), Headers: []queue.Header{
		{Key: protocol.HeaderProject, Value: "p"}, {Key: protocol.HeaderLogstore, Value: "r" + strconv.Itoa(route)}, {Key: protocol.HeaderConfig, Value: "c"},
	}})
	return nil
}

func (s *stopwatch) note(gs []*protocol.LogGroup) {
	s.flushed.Add(int64(len(gs)))
	if !s.measuring.Load() {
		return
	}
	now := time.Now()
	for _, g := range gs {
		took := int64(now.Sub(time.Unix(int64(g.Logs[0].Time), int64(*g.Logs[0].TimeNs))))
		s.buckets[min(int(took/int64(100*time.Microsecond)), len(s.buckets)-1)].Add(1)
		for {
			most := s.longest.Load()
			if took <= most || s.longest.CompareAndSwap(most, took) {
				break
			}
		}
	}
}

// typical is the median, to 100 us; 6.4 ms stands for all above.
func (s *stopwatch) typical() time.Duration {
	var all, below int64
	for i := range s.buckets {
		all += s.buckets[i].Load()
	}
	for i := range s.buckets {
		if below += s.buckets[i].Load(); below*2 >= all {
			return time.Duration(i+1) * 100 * time.Microsecond
		}
	}
	return 0
}

// gauged is a flusher that is not reloaded.
type gauged struct {
	unreadyFlusher
	watch *stopwatch
}

func (*gauged) IsReady(string, string, int64) bool { return true }

func (f *gauged) Flush(_, _, _ string, gs []*protocol.LogGroup) error {
	f.watch.note(gs)
	return nil
}

// beginner is the flusher that is: it takes its time to begin.
type beginner struct{ gauged }

func (*beginner) Init(flushers.Context) error {
	time.Sleep(reloadBegin)
	return nil
}

func (*beginner) Flush(string, string, string, []*protocol.LogGroup) error { return nil }
