package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// Strands are lost and revoked, and workers stop, while destinations
// are slow, down, not ready or deaf. An end is never later than its deadline, nor
// earlier while something could end; what was flushed in time is acknowledged and never
// comes again; everything else comes again under the next lease, and nothing twice
// but what was inside a Flush when its lease ended.
func TestDrains(t *testing.T) { step(t, drainSteps) }

const (
	drainSlack = 50 * time.Millisecond // of an end
	drainRetry = 2 * time.Second       // the longest backoff
	drainStop  = 4 * time.Second
	// stopRest is what a stop may take beyond its drain: calls that do not return,
	// and Stop calls that wait for them.
	stopRest = 16 * time.Second
)

func drainSteps(t *rapid.T, count *steps.Counter) {
	q := memory.New(memory.Config{Strands: drainStrands})
	d := newDrains(q)
	s := checker.New()
	s.ReadyWhen(d.ready)
	s.Do(-1, d.flush)
	out := entryOf("out", s)
	out.RetryMax, out.FlushTimeout = drainRetry, 100*time.Hour
	cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, out)}, Drain: drainStop}
	e := begin(t, q, d, cfg)
	lane := func(t *rapid.T) int { return rapid.IntRange(0, drainLanes-1).Draw(t, "lane") }
	t.Cleanup(func() { // before the worker is stopped, also where a step failed
		for n := range d.lanes {
			d.set(n, drainOK, 0)
		}
	})
	publish := func(t *rapid.T) {
		l := lane(t)
		for range rapid.IntRange(1, 5).Draw(t, "messages") {
			d.publish(fmt.Sprint(e.sent), l)
			e.publish(l)
		}
		synctest.Wait()
	}
	t.Repeat(count.Of(map[string]func(*rapid.T){
		"publish": publish, "publish more": publish,
		"destination": func(t *rapid.T) {
			// Never a round number of milliseconds: what ends when a deadline does
			// may be on either side of it.
			delay := time.Duration(rapid.IntRange(1, 3000).Draw(t, "delay ms"))*time.Millisecond + 7*time.Microsecond
			d.set(lane(t), rapid.IntRange(0, drainKinds-1).Draw(t, "does"), delay)
			synctest.Wait()
		},
		"mend": func(t *rapid.T) { d.set(lane(t), drainOK, 0); synctest.Wait() },
		"time": func(t *rapid.T) { pass(t, 500*time.Millisecond) },
		"more time": func(t *rapid.T) {
			pass(t, 8*time.Second)
		},
		"end": func(t *rapid.T) {
			n := rapid.IntRange(0, drainStrands-1).Draw(t, "strand")
			reason := rapid.SampledFrom([]queue.Reason{queue.Revoked, queue.Revoked, queue.Lost}).Draw(t, "reason")
			deadline := time.Now().Add(time.Duration(rapid.IntRange(0, 6000).Draw(t, "within ms")) * time.Millisecond)
			if !d.endOf(n, reason, deadline) {
				t.Skip("it is not served")
			}
			q.EndStrand(n, reason, deadline)
			synctest.Wait()
		},
		"assign": func(t *rapid.T) { q.Assign(rapid.IntRange(0, drainStrands-1).Draw(t, "strand")); synctest.Wait() },
		"restart": func(t *rapid.T) {
			d.restart(t, e)
			e.run(t, cfg)
		},
		"": func(t *rapid.T) { e.check(t); d.check(t) },
	}))
	for n := range d.lanes {
		d.set(n, drainOK, 0)
	}
	time.Sleep(time.Minute)
	for n := range drainStrands {
		q.Assign(n)
	}
	synctest.Wait()
	e.hasAll(t)
	for n := range drainStrands {
		d.endOf(n, queue.Stopping, time.Now().Add(drainStop))
	}
	e.finish(t)
	d.check(t)
	d.judge(t, e, s)
}

// restart stops the worker.
func (d *drains) restart(t *rapid.T, e *engine) {
	began := time.Now()
	for n := range drainStrands {
		d.endOf(n, queue.Stopping, began.Add(drainStop))
	}
	d.mu.Lock()
	healthy := true // everybody is, and nothing has to be waited for
	held := 0
	for n := range d.strands {
		held += len(d.strands[n].held)
		healthy = healthy && (!d.strands[n].serving || d.strands[n].began.Equal(began))
	}
	for i := range d.lanes {
		healthy = healthy && d.lanes[i].does == drainOK && began.Sub(d.lanes[i].since) > 4*time.Second
	}
	d.mu.Unlock()
	before := e.q.Acked()
	err := e.end()
	took := time.Since(began)
	if err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		t.Fatalf("Run returned %v", err)
	}
	if took > drainStop+stopRest {
		t.Fatalf("a stop with a drain of %v took %v", drainStop, took)
	}
	if healthy && (err != nil || took > time.Second || e.q.Acked() != before+int64(held)) {
		t.Fatalf("a stop with healthy destinations took %v (%v), and of %d messages held %d ended", took, err, held, e.q.Acked()-before)
	}
}

// hasAll waits until all that was published has ended.
func (e *engine) hasAll(t *rapid.T) {
	for range 3600 {
		if e.q.Acked() == int64(e.sent) {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatalf("%d of %d messages were acknowledged within an hour; lanes %+v", e.q.Acked(), e.sent, e.w.Status().Lanes)
}

// check says what is wrong, also an end that does not come.
func (d *drains) check(t *rapid.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.wrong) > 0 {
		t.Fatalf("%s", strings.Join(d.wrong, "\n"))
	}
	if n := d.Acked(); n != int64(len(d.acked)) {
		t.Fatalf("%d messages are acknowledged, %d were flushed under their lease", n, len(d.acked))
	}
	now := time.Now()
	for n := range d.strands {
		s := &d.strands[n]
		switch {
		case !s.ending:
		case now.Sub(s.deadline) > drainSlack || s.reason == queue.Lost || len(s.held) == 0:
			t.Fatalf("strand %d has to end (%v, %v ago) and holds %d messages", n, s.reason, now.Sub(s.began), len(s.held))
		case s.reason == queue.Revoked:
			if late := now.Sub(d.blockedFrom(s)); late > time.Second+drainSlack+100*time.Millisecond {
				t.Fatalf("strand %d is wanted by others, and nothing it holds has moved for %v", n, late)
			}
		}
	}
}

// blockedFrom is since when nothing that a strand holds can move: a backoff that began
// before may have to end first.
func (d *drains) blockedFrom(s *drainStrand) time.Time {
	from := s.began
	for id := range s.held {
		l := &d.lanes[d.sent[id]]
		if l.does != drainUnready && l.does != drainMisconfigured {
			return time.Now()
		}
		// Each retry of what is misconfigured is a movement too.
		if since := l.since.Add(drainRetry*3/2 + time.Second); since.After(from) {
			from = since
		}
	}
	return from
}

// judge counts what came twice.
func (d *drains) judge(t *rapid.T, e *engine, s *checker.Script) {
	times := map[string]int{}
	for _, g := range s.Groups() {
		times[idOf(g)]++
	}
	for n := range e.sent {
		id := fmt.Sprint(n)
		if times[id] != 1+d.late[id] {
			t.Fatalf("%s was stored %d times, %d of them after its lease", id, times[id], d.late[id])
		}
	}
}
