package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// While blocked lanes use the budget up for good, the batches of others still wait
// for company: only the largest close.
func TestBatchesStayBatchesUnderPressure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dead, good := checker.New(), checker.New()
		dead.SetReady(false)
		e := entryOf("good", good)
		e.Batch.Wait = 2 * time.Second
		cfg := worker.Config{Routes: []worker.Route{
			routeOf("dead", worker.Match{Project: "dead"}, entryOf("dead", dead)), routeOf("good", worker.Match{}, e),
		}}
		cfg.Limits.InFlight = 4 << 20
		r := start(t, memory.Config{Strands: 4}, cfg)
		for i := range 3000 {
			m := keyed("dead", "ls", encode(t, group(strings.Repeat("x", 4000))))
			m.Partition = int32(i % 3)
			r.q.Publish(m)
		}
		time.Sleep(time.Minute)
		if p := r.w.Status().Pools[0]; p.Used < p.Limit*4/5 {
			t.Fatalf("there is no pressure: %+v", p)
		}
		for i := range 400 {
			m := keyed("p", fmt.Sprint("ls", i%4), encode(t, group(fmt.Sprint(i))))
			m.Partition = 3
			r.q.Publish(m)
			time.Sleep(10 * time.Millisecond)
		}
		r.acked(400)
		if n := good.Stats().Flushes; n > 150 {
			t.Errorf("400 groups of 4 lanes took %d calls of Flush: %+v", n, r.w.Status().Pools)
		}
		dead.SetReady(true)
		r.acked(3400)
		r.mustStop()
		r.drained()
	})
}

// What many dead destinations leave of the work pool is less than a full batch, but
// a healthy one makes do with it.
func TestAHealthyLaneFitsWhatDeadOnesLeave(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var routes []worker.Route
		release := []func(){}
		for i := range 12 {
			s := checker.New()
			release = append(release, s.Stall())
			routes = append(routes, routeOf(fmt.Sprint("dead", i), worker.Match{Project: fmt.Sprint("dead", i)}, entryOf("out", s)))
		}
		good := checker.New()
		good.SetReady(false)
		routes = append(routes, routeOf("good", worker.Match{}, entryOf("out", good)))
		cfg := worker.Config{Routes: routes}
		cfg.Limits.Work = 2 << 20
		r := start(t, memory.Config{}, cfg)
		for i := range 12 * 200 {
			r.q.Publish(keyed(fmt.Sprint("dead", i%12), fmt.Sprint("ls", i/12), encode(t, group(strings.Repeat("x", 5000)))))
		}
		time.Sleep(time.Minute)
		for i := range 3000 {
			r.q.Publish(keyed("p", "ls", encode(t, group(fmt.Sprint(i)))))
		}
		good.SetReady(true)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := r.q.WaitAcked(ctx, 3000); err != nil {
			t.Errorf("%v: %+v", err, r.w.Status().Pools)
		}
		for _, f := range release {
			f()
		}
		r.acked(12*200 + 3000)
		r.mustStop()
		r.drained()
	})
}
