package worker_test

import (
	"context"
	"errors"
	"fmt"
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

// Between IsReady and Flush a strand may be lost: what it held is freed, and a
// Flush of it would hand out groups without content.
func TestWhatIsReleasedWhileIsReadyRunsIsNotFlushed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.ReadyWhen(func(protocol.Key) bool { time.Sleep(500 * time.Millisecond); return true })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(3, 1)
		time.Sleep(100 * time.Millisecond)
		r.q.EndStrand(0, queue.Lost, time.Now())
		time.Sleep(time.Minute)
		if n := s.Stats().Flushes; n != 0 {
			t.Fatalf("%d calls of Flush for parts that had been released", n)
		}
		r.q.Assign(0)
		r.acked(3)
		r.mustStop()
		r.drained()
		for _, g := range s.Groups() {
			if len(g.Logs) != 1 {
				t.Fatalf("a group was flushed empty: %v", g)
			}
		}
	})
}

// A letter whose message is released while the queue is asked must not be written
// without its content.
func TestWhatIsReleasedIsNoDeadLetter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Fail(flushers.Permanent(errors.New("400")))
		cfg := worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}}
		cfg.DeadLetter.StopAfter = 1 << 20
		r := start(t, memory.Config{Strands: 4}, cfg)
		r.letters.FailNext(100, errDown)
		for i := range 400 {
			m := keyed("p", fmt.Sprint("ls", i%7), encode(t, group(fmt.Sprint(i))))
			m.Partition = int32(i % 4)
			r.q.Publish(m)
		}
		for i := range 40 {
			time.Sleep(97 * time.Millisecond)
			r.q.EndStrand(i%4, queue.Lost, time.Now())
			synctest.Wait()
			r.q.Assign(i % 4)
		}
		r.acked(400)
		r.mustStop()
		r.drained()
		for _, m := range r.letters.Messages() {
			if len(m.Value) == 0 {
				t.Fatalf("a letter has no content: %+v", m)
			}
		}
	})
}

// A batch in backoff whose parts go away must not leave the lane waiting for it.
func TestALaneGoesOnWhenItsFailedBatchIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		fail  func(s *checker.Script, r *rig)
		acked int64
	}{
		"released with its strand": {func(s *checker.Script, r *rig) {
			s.FailNext(2, flushers.Misconfigured(errors.New("401")))
			publishTo(r, 0, 1)
			time.Sleep(time.Second)
			publishTo(r, 1, 5)
			time.Sleep(time.Second)
			r.q.EndStrand(0, queue.Lost, time.Now())
		}, 5},
		"dead-lettered at its second try": {func(s *checker.Script, r *rig) {
			s.FailNext(1, errDown)
			s.FailNext(1, errDown)
			s.FailNext(1, flushers.Permanent(errors.New("400")), func(c *checker.Call) bool { return c.Attempt == 2 })
			publishTo(r, 0, 1)
			publishTo(r, 1, 5)
		}, 6},
		"ended by a partial result": {func(s *checker.Script, r *rig) {
			s.FailNext(2, errDown)
			s.FailNext(1, &flushers.PartialError{Failed: map[int]error{0: flushers.Permanent(errors.New("400"))}},
				func(c *checker.Call) bool { return c.Attempt == 2 })
			publishTo(r, 0, 1)
			publishTo(r, 1, 5)
		}, 6},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				e := entryOf("out", s)
				e.Batch.Groups = 1
				r := start(t, memory.Config{Strands: 2}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
				c.fail(s, r)
				r.acked(c.acked)
				r.q.Assign(0)
				r.acked(6)
				r.mustStop()
				r.drained()
				clean(t, s)
			})
		})
	}
}

// publishTo stores n messages of one key in a partition.
func publishTo(r *rig, partition int32, n int) {
	for i := range n {
		m := keyed("p", "ls", encode(r.t, group(fmt.Sprint(partition, "/", i))))
		m.Partition = partition
		r.q.Publish(m)
	}
}

func TestAHangingFlushOfAConcurrentFlusherIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.Concurrent = 4
		release := s.Hang(func(c *checker.Call) bool { return c.Attempt == 1 })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(4, 1)
		began := time.Now()
		r.acked(4)
		if took := time.Since(began); took > time.Minute {
			t.Fatalf("the batch was tried again after %v", took)
		}
		release()
		r.mustStop()
		r.drained()
		if st := s.Stats(); st.Stops != st.Inits {
			t.Fatalf("%d instances, %d stopped", st.Inits, st.Stops)
		}
		clean(t, s)
	})
}

// New parts need not wait for an older batch that is in backoff while the
// destination takes others.
func TestNewPartsPassABatchInBackoff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		slow := fmt.Errorf("sending: %w", context.DeadlineExceeded)
		s.Fail(slow, func(c *checker.Call) bool { return idOf(c.Groups[0]) == "poison" })
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.q.Publish(keyed("p", "ls0", encode(t, group("poison"))))
		time.Sleep(10 * time.Minute) // its backoff has reached 30s
		for i := range 20 {
			began := time.Now()
			r.publish(1, 1)
			r.acked(int64(i) + 1)
			if took := time.Since(began); took > time.Second {
				t.Fatalf("message %d waited %v behind a batch in backoff", i, took)
			}
			time.Sleep(7 * time.Second)
		}
		if r.q.Pending() != 1 {
			t.Fatalf("%d pending, want the poison", r.q.Pending())
		}
		r.mustStop()
	})
}

// While everything fails, new parts are one probe for each try of the old batch.
func TestNewPartsDoNotHammerAFailingDestination(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Fail(errDown)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		for range 600 {
			r.publish(1, 1)
			time.Sleep(time.Second)
		}
		if n := s.Stats().Flushes; n > 80 {
			t.Fatalf("%d tries in ten minutes", n)
		}
		undo()
		r.acked(600)
		r.mustStop()
	})
}

func TestAFailingInitIsTriedAgainWithBackoff(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		most int
	}{
		"plain":         {errDown, 40},
		"misconfigured": {flushers.Misconfigured(errors.New("no such table")), 21},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				undo := s.OnInit(-1, func(flushers.Context) error { return c.err })
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				r.publish(1, 1)
				time.Sleep(10 * time.Minute)
				if n := s.Stats().Inits; n < 5 || n > c.most {
					t.Fatalf("Init was called %d times in ten minutes", n)
				}
				undo()
				r.acked(1)
				r.mustStop()
			})
		})
	}
}

// Neither New nor the optional methods may take the process down, and an instance
// whose Init succeeded is stopped.
func TestPanicsOutsideOfFlushAreContained(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		k := s.Kind()
		e := worker.Entry{Name: "out", Kind: k}
		calls := 0
		e.New = func() flushers.Flusher {
			switch calls++; calls {
			case 1:
				panic("no options")
			case 2:
				return odd{k.New().(*checker.Flusher), "Concurrent"}
			case 3:
				return odd{k.New().(*checker.Flusher), "BatchHint"}
			}
			return k.New()
		}
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
		r.publish(1, 1)
		r.acked(1)
		r.mustStop()
		if st := s.Stats(); st.Stops != 3 {
			t.Fatalf("%d of 3 instances were stopped", st.Stops)
		}
		clean(t, s)
	})
}

// odd panics in one of its optional methods.
type odd struct {
	*checker.Flusher
	in string
}

func (o odd) Concurrent() int {
	if o.in == "Concurrent" {
		panic(o.in)
	}
	return 1
}

func (o odd) BatchHint() flushers.Hint {
	if o.in == "BatchHint" {
		panic(o.in)
	}
	return flushers.Hint{}
}

// A PartialError that does not say how a group failed, or that names groups which
// were not in the batch, must not end parts.
func TestAnUnclearPartialErrorEndsNothing(t *testing.T) {
	for name, failed := range map[string]map[int]error{
		"no error":     {0: nil, 1: nil},
		"out of range": {2: errDown, 3: errDown},
		"negative":     {-1: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				s.SetReady(false)
				var acked int64
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
				s.Do(3, func(context.Context, *checker.Call) error {
					acked += r.q.Acked()
					return &flushers.PartialError{Failed: failed}
				})
				r.publish(2, 1)
				synctest.Wait()
				s.SetReady(true)
				r.acked(2)
				r.mustStop()
				if n := s.Stats().Flushes; n != 4 || acked != 0 {
					t.Fatalf("%d calls of Flush, want 4; %d acknowledged before", n, acked)
				}
			})
		})
	}
}

// A revoked strand is waited for by its next owner: what flows ends, and what is
// blocked goes back at once.
func TestARevokedStrandDoesNotWaitForWhatIsBlocked(t *testing.T) {
	for name, block := range map[string]func(*checker.Script) (undo func()){
		"unready": func(s *checker.Script) func() {
			s.ReadyWhen(func(k protocol.Key) bool { return k.Logstore != "ls0" })
			return func() { s.SetReady(true) }
		},
		"misconfigured": func(s *checker.Script) func() {
			return s.Fail(flushers.Misconfigured(errDown), checker.Logstore("ls0"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				undo := block(s)
				s.Do(-1, func(context.Context, *checker.Call) error { time.Sleep(4 * time.Second); return nil })
				e := entryOf("out", s)
				e.Batch = worker.Batch{Groups: 5, Wait: time.Second} // one Flush a lane
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
				r.publish(10, 2)
				time.Sleep(3 * time.Second)
				r.q.EndStrand(0, queue.Revoked, time.Now().Add(20*time.Second))
				time.Sleep(3 * time.Second)
				if n := len(r.w.Status().Strands); n != 0 {
					t.Fatal("the strand waits for what is blocked")
				}
				if n := r.q.Acked(); n != 5 {
					t.Fatalf("%d are acknowledged, want the 5 whose Flush was running", n)
				}
				undo()
				r.q.Assign(0)
				r.acked(10)
				r.mustStop()
				r.drained()
			})
		})
	}
}
