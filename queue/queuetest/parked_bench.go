package queuetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// parkedBench is one test's companions and its patience.
type parkedBench struct {
	*testing.T
	h *ParkedHarness
	q ParkedQueue
	n int // records made
}

func parkedLane(project string) queue.Lane {
	return queue.Lane{Route: "shop", Flusher: "es", Project: project, Logstore: "access.log", Config: "c~1"}
}

func (b *parkedBench) open(second bool) queue.Parked {
	b.Helper()
	p, err := b.q.Open(second)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// record is another record for a lane of a deployment, whose value begins with its name.
func (b *parkedBench) record(second bool, project, name string, size int) queue.Message {
	b.n++
	lane := parkedLane(project)
	return queue.Message{
		Subject: lane.String(), Key: []byte("key of " + name), Value: value(name, size),
		Headers: []queue.Header{
			{Key: "x-log-project", Value: lane.Project},
			{Key: "x-log-logstore", Value: lane.Logstore},
			{Key: "x-log-config", Value: lane.Config},
			{Key: "x-custom", Value: "ünïcode, commas; and: colons"},
			{Key: queue.HeaderTo, Value: b.q.Deployment(second) + "/" + lane.Entry()},
			{Key: queue.HeaderOrigin, Value: fmt.Sprintf("%032x", b.n)},
			{Key: queue.HeaderSource, Value: fmt.Sprintf("%s %d", b.q.Place(), b.n)},
		},
	}
}

// park puts n records of a lane of the first deployment.
func (b *parkedBench) park(p queue.Parked, project string, n int) {
	b.Helper()
	b.parkOf(p, false, project, n)
}

func (b *parkedBench) parkOf(p queue.Parked, second bool, project string, n int) {
	b.Helper()
	var ms []queue.Message
	for range n {
		ms = append(ms, b.record(second, project, fmt.Sprintf("%s%03d", project, b.n), 100))
	}
	b.put(p, ms...)
}

func (b *parkedBench) put(p queue.Parked, ms ...queue.Message) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), b.h.Patience)
	defer cancel()
	if errs := p.Put(ctx, ms); errs != nil {
		b.Fatal(errors.Join(errs...))
	}
}

// parkedRun is a worker that serves what is parked.
type parkedRun struct {
	*ParkedWorker
	b    *parkedBench
	of   queue.Parked
	end  context.CancelCauseFunc
	done chan error
}

// serve begins to serve; each set says how the lanes of the worker are.
func (b *parkedBench) serve(p queue.Parked, limit int64, sets ...func(*ParkedWorker)) *parkedRun {
	b.Helper()
	r := &parkedRun{ParkedWorker: NewParkedWorker(limit), b: b, of: p, done: make(chan error, 1)}
	for _, set := range sets {
		set(r.ParkedWorker)
	}
	ctx, end := context.WithCancelCause(context.Background())
	r.end = end
	go func() { r.done <- p.Run(ctx, r.ParkedWorker) }()
	b.Cleanup(r.stop)
	return r
}

// serving is a worker that serves a companion in which n records of one lane are parked.
func (b *parkedBench) serving(project string, n int, g queue.Gate, sets ...func(*ParkedWorker)) *parkedRun {
	b.Helper()
	p := b.open(false)
	b.park(p, project, n)
	return b.serve(p, limit, append(sets, gate(g, project))...)
}

// gate sets gates before or while they are asked.
func gate(g queue.Gate, projects ...string) func(*ParkedWorker) {
	return func(w *ParkedWorker) {
		for _, project := range projects {
			w.with(parkedLane(project), func(l *workerLane) { l.gate = g })
		}
	}
}

func dead(project string) func(*ParkedWorker) {
	return func(w *ParkedWorker) { w.with(parkedLane(project), func(l *workerLane) { l.dead = true }) }
}

// holding has lane a keep what it gets.
func holding(w *ParkedWorker) { w.with(parkedLane("a"), func(l *workerLane) { l.holds = true }) }

// opens opens a gate and gives the hint that a worker gives.
func (r *parkedRun) opens(project string) {
	gate(queue.GateOpen, project)(r.ParkedWorker)
	r.of.Look(parkedLane(project))
}

// stop ends the run in order, once, and checks that every byte came back.
func (r *parkedRun) stop() {
	r.b.Helper()
	if r.end == nil {
		return
	}
	r.end(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)})
	r.end = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.b.Errorf("run returned %v", err)
		}
	case <-time.After(r.b.h.Patience):
		r.b.Error("run did not return")
		return
	}
	if err := r.Faults(); err != nil {
		r.b.Error(err)
	}
	if u := r.Usage(); u.Used != 0 {
		r.b.Errorf("%d bytes were never given back: %+v", u.Used, u)
	}
}

// took waits until a lane took records with so many different names.
func (r *parkedRun) took(project string, n int) []Taken {
	r.b.Helper()
	var all []Taken
	r.b.eventually(func() error {
		all = r.Took(parkedLane(project))
		if got := len(namesOf(all)); got != n {
			return fmt.Errorf("lane %s took %d different records, want %d", project, got, n)
		}
		return nil
	})
	return all
}

// drains waits until a lane took so many, and nothing is parked any more, and stops.
func (r *parkedRun) drains(project string, n int) []Taken {
	r.b.Helper()
	all := r.took(project, n)
	r.b.parked(r.of, 0)
	r.stop()
	return all
}

func (r *parkedRun) read(project string, f func(l *workerLane)) { r.with(parkedLane(project), f) }

// held is how many records lane a holds.
func (r *parkedRun) held() (n int) {
	r.read("a", func(l *workerLane) { n = len(l.out) })
	return n
}

// holds waits until lane a holds so many records at least.
func (r *parkedRun) holds(least int) {
	r.b.Helper()
	r.b.eventually(func() error {
		if n := r.held(); n < least {
			return fmt.Errorf("%d records are out at once, want %d", n, least)
		}
		return nil
	})
}

// others has a lane that is open served, so that whatever else could come has come.
func (r *parkedRun) others(project string) {
	r.b.Helper()
	const n = 20
	r.b.park(r.of, project, n)
	r.opens(project)
	r.b.eventually(func() error {
		if got := len(r.Took(parkedLane(project))); got != n {
			return fmt.Errorf("lane %s took %d records, want %d", project, got, n)
		}
		return nil
	})
}

func namesOf(all []Taken) map[string]int {
	names := map[string]int{}
	for i := range all {
		names[nameIn(all[i].Message.Value)]++
	}
	return names
}

func (b *parkedBench) eventually(try func() error) {
	b.Helper()
	for end := time.Now().Add(b.h.Patience); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("not within %s: %v", b.h.Patience, err)
		}
	}
}

// backlog is what is parked, by project, or of all under "" where partitions count.
func (b *parkedBench) backlog(p queue.Parked) (lanes map[string]int64, all []queue.Backlog) {
	b.Helper()
	all, err := p.Lanes(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	lanes = map[string]int64{}
	for _, l := range all {
		lanes[l.Lane.Project] += l.Messages
	}
	return lanes, all
}

// parked waits until so many records are parked in all.
func (b *parkedBench) parked(p queue.Parked, n int64) {
	b.Helper()
	b.eventually(func() error {
		lanes, _ := b.backlog(p)
		sum := int64(0)
		for _, k := range lanes {
			sum += k
		}
		if sum != n {
			return fmt.Errorf("%d records are parked, want %d: %v", sum, n, lanes)
		}
		return nil
	})
}
