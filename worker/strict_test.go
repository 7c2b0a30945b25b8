package worker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// lasts are the ids in the order in which each was stored last.
func lasts(s *checker.Script) []string {
	var ids []string
	for _, g := range s.Groups() {
		id := idOf(g)
		ids = append(slices.DeleteFunc(ids, func(o string) bool { return o == id }), id)
	}
	return ids
}

// Under `order: strict` no failure lets a later group pass an earlier one. Of a batch
// that was stored in part all is stored again from the first failure on, so that what
// counts is the last time.
func TestStrictOrderHolds(t *testing.T) {
	for name, fail := range map[string]error{
		"plain":       errDown,
		"retry after": flushers.RetryAfter(errDown, 3*time.Second),
		"partial":     &flushers.PartialError{Failed: map[int]error{1: errDown}},
		"too large":   flushers.TooLarge(errDown),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				e := entryOf("x", s)
				e.Batch = worker.Batch{Groups: 4}
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{{Name: "a", Flushers: []worker.Entry{e}, Strict: true}}})
				for i := range 100 {
					if i%10 == 0 {
						s.FailNext(1, fail, func(c *checker.Call) bool { return len(c.Groups) > 1 })
					}
					r.publish1(fmt.Sprint(i))
					if i%7 == 0 {
						time.Sleep(300 * time.Millisecond)
					}
				}
				r.acked(100)
				for i, id := range lasts(s) {
					if id != fmt.Sprint(i) {
						t.Fatalf("group %s was stored last as number %d: %v", id, i, lasts(s))
					}
				}
				r.mustStop()
				clean(t, s)
			})
		})
	}
}

func (r *rig) publish1(id string) {
	r.t.Helper()
	r.q.Publish(keyed("p", "ls0", encode(r.t, group(id))))
}

// What can never be flushed stops a lane that keeps the order, instead of becoming a
// dead letter.
func TestPoisonStopsAStrictLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		undo := s.Do(-1, func(context.Context, *checker.Call) error { return flushers.Permanent(errDown) },
			func(c *checker.Call) bool { return idOf(c.Groups[0]) == "3" })
		e := entryOf("x", s)
		e.Batch = worker.Batch{Groups: 1}
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{{Name: "a", Flushers: []worker.Entry{e}, Strict: true}}})
		for i := range 10 {
			r.publish1(fmt.Sprint(i))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n, letters := r.q.Acked(), len(r.letters.Messages()); n != 3 || letters != 0 {
			t.Fatalf("%d messages are acknowledged and %d are dead letters, want 3 and none", n, letters)
		}
		r.lane(worker.LaneMisconfigured)
		undo()
		r.acked(10)
		r.mustStop()
	})
}

// An entry with a rate flushes no more than that, and all of it.
func TestRateBoundsAnEntry(t *testing.T) {
	for name, rate := range map[string]worker.Rate{
		"groups": {Groups: 50}, "bytes": {Bytes: int64(50 * len(encode(t, group("1000"))))},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := checker.New()
				e := entryOf("x", s)
				e.Rate, e.Batch = rate, worker.Batch{Groups: 10}
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{{Name: "a", Flushers: []worker.Entry{e}}}})
				began := time.Now()
				for i := range 1000 {
					r.q.Publish(keyed("p", fmt.Sprint("ls", i%3), encode(t, group(fmt.Sprint(1000+i)))))
				}
				r.acked(1000)
				if took := time.Since(began); took < 17*time.Second || took > 23*time.Second {
					t.Errorf("1000 groups at fifty a second took %s", took)
				}
				r.mustStop()
				clean(t, s)
			})
		})
	}
}
