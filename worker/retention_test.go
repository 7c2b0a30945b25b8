package worker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// memories are weak pointers to what ought to be collected.
type memories[T any] struct {
	mu  sync.Mutex
	all []weak.Pointer[T]
}

func (m *memories[T]) add(p *T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, weak.Make(p))
}

// alive counts what a few collections leave: stacks may still hold one or two.
func (m *memories[T]) alive() int {
	n := 0
	for range 4 {
		runtime.GC()
		n = 0
		m.mu.Lock()
		for _, p := range m.all {
			if p.Value() != nil {
				n++
			}
		}
		m.mu.Unlock()
		if n == 0 {
			break
		}
	}
	return n
}

// large is a message whose value is seen by values.
func large(t *testing.T, values *memories[byte], logstore string, groups int, bytes int, headers ...queue.Header) queue.Message {
	t.Helper()
	list := &protocol.LogGroupList{}
	for i := range groups {
		g := group(fmt.Sprint(logstore, i))
		g.Topic = string(make([]byte, bytes/groups))
		list.LogGroupList = append(list.LogGroupList, g)
	}
	body, err := list.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	values.add(&body[0])
	return keyed("p", logstore, body, append(headers, queue.Header{Key: "content-type", Value: protocol.TypeLogGroupList})...)
}

// Idle lanes, pooled batches, slabs and deques outlive the messages they carried:
// 2,000 lanes of one message of 50 KB each would keep 100 MB beyond every budget.
func TestIdleLanesKeepNoMessage(t *testing.T) {
	for _, noRetain := range []bool{false, true} {
		t.Run(fmt.Sprint("NoRetain=", noRetain), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.CountOnly, s.NoRetain = true, noRetain
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				values := &memories[byte]{}
				for i := range 2000 {
					r.q.Publish(large(t, values, fmt.Sprint("ls", i), 1+i%3, 50_000))
				}
				r.acked(2000)
				synctest.Wait()
				if n := values.alive(); n > 4 {
					t.Errorf("%d of 2000 messages are alive after they were acknowledged", n)
				}
				r.mustStop()
				r.drained()
			})
		})
	}
}

// One message that is held keeps only itself alive, not those that were received
// with it.
func TestAHeldMessageKeepsNoNeighbours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.CountOnly = true
		s.ReadyWhen(func(k protocol.Key) bool { return k.Logstore != "stuck" })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		held, others := &memories[byte]{}, &memories[byte]{}
		for i := range 1600 {
			if i%16 == 0 {
				r.q.Publish(large(t, held, "stuck", 3, 1000))
			} else {
				r.q.Publish(large(t, others, "fine", 3, 10_000))
			}
		}
		r.acked(1500)
		synctest.Wait()
		if n := others.alive(); n > 4 {
			t.Errorf("%d of 1500 acknowledged messages are alive", n)
		}
		if n := held.alive(); n != 100 {
			t.Errorf("%d of 100 held messages are alive", n)
		}
		s.SetReady(true)
		r.acked(1600)
		r.mustStop()
	})
}

// A batch in backoff holds no work bytes, so nothing decoded may live with it.
func TestABatchInBackoffKeepsNothingDecoded(t *testing.T) {
	for _, noRetain := range []bool{false, true} {
		t.Run(fmt.Sprint("NoRetain=", noRetain), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.CountOnly, s.NoRetain = true, noRetain
				decoded := &memories[protocol.LogGroup]{}
				undo := s.Do(-1, func(_ context.Context, c *checker.Call) error {
					for _, g := range c.Groups {
						decoded.add(g)
					}
					return errDown
				})
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.publish(300, 100)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n := decoded.alive(); n > 4 {
					t.Errorf("%d decoded groups are alive while every batch waits for its next try", n)
				}
				if used := r.w.Status().Pools[1].Used; used != 0 {
					t.Errorf("%d work bytes are held meanwhile", used)
				}
				undo()
				r.acked(300)
				r.mustStop()
				r.drained()
			})
		})
	}
}

// What was released is gone too, though lanes and the strand knew it.
func TestReleasedMessagesAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.CountOnly = true
		s.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(200, 20)
		time.Sleep(time.Minute)
		r.q.EndStrand(0, queue.Lost, time.Now())
		time.Sleep(time.Second) // a lane that was just asking IsReady looks once more
		synctest.Wait()
		if st := r.w.Status(); len(st.Lanes) != 0 || st.Pools[0].Used != 0 {
			t.Errorf("after the release lanes hold parts, or the pool bytes: %+v", st)
		}
		r.q.Assign(0)
		s.SetReady(true)
		r.acked(200)
		r.mustStop()
		r.drained()
	})
}

// A lane that was idle for long is stopped, and its flusher's memory is free,
// although the strand remembers where its key goes.
func TestAStoppedInstanceIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.CountOnly = true
		instances := &memories[checker.Flusher]{}
		e := entryOf("out", s)
		made := e.New
		e.New = func() flushers.Flusher {
			f := made()
			if c, ok := f.(*checker.Flusher); ok {
				instances.add(c)
			}
			return f
		}
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}}
		cfg.Limits.LaneIdle = time.Minute
		r := start(t, memory.Config{}, cfg)
		r.publish(100, 100)
		r.acked(100)
		if n := instances.alive(); n != 100 {
			t.Errorf("%d of 100 instances are alive while their lanes are", n)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := instances.alive(); n > 2 {
			t.Errorf("%d of 100 stopped instances are alive", n)
		}
		r.mustStop()
	})
}
