package worker_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/internal/steps"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// Reloads add, change, remove and bring back entries while messages come and
// destinations break and mend. Each message ends exactly once at each entry that it
// was routed to, instances of a lane never overlap, and every snapshot adds up.
func TestReloadsLoseAndDuplicateNothing(t *testing.T) {
	step(t, reloads)
}

const (
	reloadRoutes    = 3
	reloadFlushers  = 2
	reloadLogstores = 4
)

// reloadWorld is a worker and what it must have done.
type reloadWorld struct {
	w       *worker.Worker
	q       *memory.Queue
	letters *memory.Sink
	scripts map[string]*checker.Script // by route/flusher
	undo    map[*checker.Script]func()

	table    []worker.Route
	sent     int
	received int64                 // parts, by the last snapshot
	expelled map[string]bool       // entries that a reload removed with dead_letter
	want     map[string][][]string // by id: what it may have been routed to
}

func reloads(t *rapid.T, count *steps.Counter) {
	v := &reloadWorld{
		q: memory.New(memory.Config{Strands: 2}), letters: memory.NewSink("letters"),
		scripts: map[string]*checker.Script{}, undo: map[*checker.Script]func(){}, expelled: map[string]bool{}, want: map[string][][]string{},
	}
	for r := range reloadRoutes {
		for f := range reloadFlushers {
			s := checker.New()
			s.OneInstance = true
			s.Concurrent = rapid.SampledFrom([]int{1, 1, 3}).Draw(t, "concurrent")
			v.scripts[fmt.Sprintf("r%d/f%d", r, f)] = s
		}
	}
	v.table = v.draw(t)
	cfg := worker.Config{Deployment: "test", Routes: v.table, DeadLetter: worker.DeadLetter{Sink: v.letters, StopAfter: 1 << 30}}
	var err error
	if v.w, err = worker.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.w.Run(ctx, v.q) }()
	mended := false
	defer func() {
		stop()
		if !mended {
			v.w.Hurry()
		}
		<-done
	}()
	t.Repeat(count.Of(map[string]func(*rapid.T){
		"publish":              v.publish,
		"reload":               v.reload,
		"reload under traffic": v.reloadUnderTraffic,
		"break":                v.breakOne,
		"mend":                 func(t *rapid.T) { v.mend(v.one(t)) },
		"time passes": func(t *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 20_000).Draw(t, "ms")) * time.Millisecond)
		},
		"":                       v.check,
		"reload and stop to ask": func(t *rapid.T) { v.reload(t); synctest.Wait() },
	}))
	for _, s := range v.scripts {
		v.mend(s)
	}
	hour, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := v.q.WaitAcked(hour, int64(v.sent)); err != nil {
		t.Fatalf("%v; lanes %+v", err, v.w.Status().Lanes)
	}
	mended = true
	v.judge(t)
}

// draw makes a table: each route is there or not, with one or two flushers, each in
// one of two versions.
func (v *reloadWorld) draw(t *rapid.T) []worker.Route {
	var routes []worker.Route
	for _, r := range rapid.Permutation([]int{0, 1, 2}).Draw(t, "order") {
		if len(routes) > 0 && rapid.Bool().Draw(t, "absent") {
			continue
		}
		match := rapid.SampledFrom([]string{"ls0", "ls1", "ls?", "*"}).Draw(t, "match")
		route := routeOf(fmt.Sprint("r", r), worker.Match{Logstore: match})
		for f := range rapid.IntRange(1, reloadFlushers).Draw(t, "flushers") {
			e := entryOf(fmt.Sprint("f", f), v.scripts[fmt.Sprintf("r%d/f%d", r, f)])
			e.Digest = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "digest")
			e.FlushTimeout = 5 * time.Second
			route.Flushers = append(route.Flushers, e)
		}
		routes = append(routes, route)
	}
	return routes
}

// routed names the entries that a logstore goes to.
func routed(table []worker.Route, logstore string) []string {
	for _, r := range table {
		match, err := path.Match(r.Match.Logstore, logstore)
		if err != nil || !match {
			continue
		}
		var names []string
		for _, e := range r.Flushers {
			names = append(names, r.Name+"/"+e.Name)
		}
		return names
	}
	return nil
}

// send publishes one message, which goes by one of the tables.
func (v *reloadWorld) send(logstore int, tables ...[]worker.Route) {
	id, name := fmt.Sprint(v.sent), fmt.Sprint("ls", logstore)
	v.sent++
	for _, table := range tables {
		v.want[id] = append(v.want[id], routed(table, name))
	}
	value, _ := group(id).Marshal()
	m := keyed("p", name, value)
	m.Partition = int32(v.sent % 2)
	v.q.Publish(m)
}

func (v *reloadWorld) publish(t *rapid.T) {
	for _, l := range rapid.SliceOfN(rapid.IntRange(0, reloadLogstores-1), 1, 12).Draw(t, "logstores") {
		v.send(l, v.table)
	}
	synctest.Wait() // all of it was taken in
}

func (v *reloadWorld) reload(t *rapid.T) {
	v.change(t, v.draw(t), rapid.SampledFrom([]worker.Removal{"", worker.RemovedDrain, worker.RemovedDeadLetter}).Draw(t, "removed"))
}

func (v *reloadWorld) change(t *rapid.T, next []worker.Route, removed worker.Removal) {
	c, err := v.w.Reload(worker.Table{Routes: next, Removed: removed})
	var held *worker.HeldError
	switch {
	case errors.As(err, &held) && removed == worker.RemovedRefuse:
		return
	case err != nil:
		t.Fatal(err)
	}
	v.table = next
	if removed == worker.RemovedDeadLetter { // also those that drained until now
		for name := range v.scripts {
			if !v.inTable(name) {
				v.expelled[name] = true
			}
		}
	}
	if n := len(c.Added) + len(c.Changed) + len(c.Unchanged); n != v.entries() {
		t.Fatalf("the table has %d entries, the changes %d: %+v", v.entries(), n, c)
	}
}

func (v *reloadWorld) inTable(name string) bool {
	for _, r := range v.table {
		for _, e := range r.Flushers {
			if r.Name+"/"+e.Name == name {
				return true
			}
		}
	}
	return false
}

func (v *reloadWorld) entries() (n int) {
	for _, r := range v.table {
		n += len(r.Flushers)
	}
	return n
}

// reloadUnderTraffic reloads while messages are taken in: each goes by the old table
// or by the new one.
func (v *reloadWorld) reloadUnderTraffic(t *rapid.T) {
	before, next := v.table, v.draw(t)
	stores := rapid.SliceOfN(rapid.IntRange(0, reloadLogstores-1), 1, 30).Draw(t, "logstores")
	var all sync.WaitGroup
	all.Go(func() {
		for _, l := range stores {
			v.send(l, before, next)
		}
	})
	v.change(t, next, worker.RemovedDrain)
	all.Wait()
	synctest.Wait()
}

func (v *reloadWorld) one(t *rapid.T) *checker.Script {
	name := fmt.Sprintf("r%d/f%d", rapid.IntRange(0, reloadRoutes-1).Draw(t, "route"), rapid.IntRange(0, reloadFlushers-1).Draw(t, "flusher"))
	return v.scripts[name]
}

// breakOne has a destination fail in one way until it is mended.
func (v *reloadWorld) breakOne(t *rapid.T) {
	s := v.one(t)
	v.mend(s)
	switch rapid.IntRange(0, 4).Draw(t, "how") {
	case 0:
		v.undo[s] = s.Fail(errDown)
	case 1:
		v.undo[s] = s.Stall()
	case 2:
		s.SetReady(false)
	case 3:
		v.undo[s] = s.OnInit(-1, func(flushers.Context) error { return errDown })
	case 4:
		s.SetDelay(3 * time.Second)
	}
}

func (v *reloadWorld) mend(s *checker.Script) {
	if undo := v.undo[s]; undo != nil {
		undo()
		delete(v.undo, s)
	}
	s.SetReady(true)
	s.SetDelay(0)
}

func (v *reloadWorld) check(t *rapid.T) {
	st := v.w.Status()
	for _, s := range st.Sources {
		if !s.Counts.Balanced() {
			t.Fatalf("the counts of the source do not add up: %+v", s.Counts)
		}
		if s.Counts.Received < v.received {
			t.Fatalf("%d parts were received, and %d before", s.Counts.Received, v.received)
		}
		v.received = s.Counts.Received
	}
	for _, f := range st.Flushers {
		if !f.Counts.Balanced() {
			t.Fatalf("the counts of %s/%s do not add up: %+v", f.Route, f.Flusher, f.Counts)
		}
	}
	if st.Defects != 0 {
		t.Fatalf("%d deliveries were settled twice", st.Defects)
	}
}

// judge compares where each message ended with where it had to.
func (v *reloadWorld) judge(t *rapid.T) {
	ended := map[string]map[string]int{} // by id and entry
	note := func(id, entry string) {
		if ended[id] == nil {
			ended[id] = map[string]int{}
		}
		ended[id][entry]++
	}
	for name, s := range v.scripts {
		for _, g := range s.Groups() {
			note(idOf(g), name)
		}
		if broken := s.Violations(); len(broken) > 0 {
			t.Fatalf("%s: the contract was broken: %q", name, broken)
		}
	}
	for _, m := range v.letters.Messages() {
		to, routed := m.Header(queue.HeaderTo)
		to = strings.TrimPrefix(to, "test/")
		if routed && !v.expelled[to] {
			t.Fatalf("a dead letter of %s, which was never removed that way", to)
		}
		var g protocol.LogGroup
		if err := g.Unmarshal(m.Value); err != nil {
			t.Fatal(err)
		}
		note(idOf(&g), to)
	}
	for id, may := range v.want {
		if !endedAs(ended[id], may) {
			t.Fatalf("message %s ended at %v, and had to at one of %q", id, ended[id], may)
		}
	}
	v.check(t)
}

func endedAs(ended map[string]int, may [][]string) bool {
	for _, entries := range may {
		if len(entries) == 0 {
			entries = []string{""} // a dead letter: no route
		}
		fits := len(ended) == len(entries)
		for _, e := range entries {
			fits = fits && ended[e] == 1
		}
		if fits {
			return true
		}
	}
	return false
}
