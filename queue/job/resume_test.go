package job_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	diffs "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// chaos is a worker that ends what it holds in any order and dies at any time. What
// it does after its death reaches nobody.
type chaos struct {
	seed uint64
	got  *seen

	mu   sync.Mutex
	dead bool
	left int // acknowledgements until it dies; negative: it lives
	die  func()
	out  map[string]bool // handed out and not acknowledged while it lived
	done map[string]bool // acknowledged while it lived
}

func (c *chaos) serve(ctx context.Context, s queue.Strand) error {
	r := rand.New(rand.NewPCG(c.seed, uint64(len(s.Info().Name))))
	var held []*queue.Delivery
	defer func() { giveBack(held...) }()
	for {
		ds, err := s.Fetch(ctx, queue.Room{Messages: 1 + r.IntN(40), Bytes: 1 + r.Int64N(100_000)})
		c.handedOut(ds)
		held = append(held, ds...)
		ended := errors.Is(err, io.EOF)
		for len(held) > 0 && (ended || r.IntN(4) > 0) {
			i := r.IntN(len(held))
			if !c.end(held[i]) {
				return nil
			}
			held = slices.Delete(held, i, i+1)
		}
		if r.IntN(8) == 0 {
			pause(ctx, time.Duration(r.IntN(700))*time.Millisecond)
		}
		if err != nil {
			return nilIf(err, ended || ctx.Err() != nil)
		}
	}
}

func nilIf(err error, expected bool) error {
	if expected {
		return nil
	}
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (c *chaos) handedOut(ds []*queue.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	c.got.add(ds)
	for _, d := range ds {
		c.out[string(d.Message().Value)] = true
	}
}

// end acknowledges. False: the worker is dead.
func (c *chaos) end(d *queue.Delivery) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 && !c.dead {
		c.dead = true
		c.die()
	}
	if c.dead {
		return false
	}
	c.left--
	v := string(d.Message().Value)
	delete(c.out, v)
	c.done[v] = true
	ends := []queue.PartEnd{{Route: "r", Flusher: "f", Outcome: queue.Flushed}}
	if v[len(v)-1] == '7' {
		ends = append(ends, queue.PartEnd{Outcome: queue.Skipped, Reason: "not_selected"},
			queue.PartEnd{Route: "r", Flusher: "g", Outcome: queue.DeadLettered, Reason: "permanent"})
	}
	d.Account(ends)
	d.Ack()
	d.Free()
	return true
}

// Whenever a process is killed or stopped, the next one goes on so that every
// message comes at least once, none comes twice that a stored checkpoint knew to
// have ended, and the counts are exact.
func TestAJobThatIsKilledAndStoppedDeliversAllAndCountsExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		in, plan, want := drawTape(rt)
		most := rapid.IntRange(1, 30).Draw(rt, "batch")
		in.batch = func(string, int64) int { return most }
		kills := rapid.IntRange(0, 5).Draw(rt, "deaths")
		open := rapid.IntRange(1, 4).Draw(rt, "open")
		expiring := rapid.Bool().Draw(rt, "expiring")
		got := &seen{}
		var value []byte
		var bound, killed, starts int64
		for run, finished := 0, false; !finished; run++ {
			c := &chaos{seed: rapid.Uint64().Draw(rt, "seed"), got: got, out: map[string]bool{}, done: map[string]bool{}, left: -1}
			clean := rapid.Bool().Draw(rt, "clean")
			if run < kills {
				c.left = rapid.IntRange(0, 150).Draw(rt, "lives for")
			}
			starts++
			synctest.Test(t, func(t *testing.T) {
				lease := newLease(value)
				cfg := configOf(in, lease, plan...)
				cfg.Open = open
				src := newSource(t, cfg)
				before := src.Report()
				ctx, stop := context.WithCancelCause(t.Context())
				defer stop(nil)
				died := false
				c.die = func() {
					died = true
					if !clean {
						lease.set(func() error { return errors.New("this process is dead") })
					}
					stop(stopping(0))
				}
				err := src.Run(ctx, &server{serve: c.serve})
				value = lease.Checkpoint()
				known, parsed := job.ReportOf(cfg.Manifest, 0, value)
				switch {
				case parsed != nil:
					rt.Fatal(parsed)
				case !died && err != nil:
					rt.Fatal(err)
				case !died && !known.Finished:
					rt.Fatalf("a run that came to its end left %+v", known)
				case died && !clean:
					killed++
				}
				// What the process handed out beyond what the checkpoint knows may come twice.
				bound += int64(len(c.out)) + int64(len(c.done)) - (known.Messages - before.Messages)
				finished = known.Finished
			})
			if expiring && !finished {
				in.expire(plan, rapid.IntRange(0, 30).Draw(rt, "expired"))
			}
		}
		m := configOf(in, nil, plan...).Manifest
		r, err := job.ReportOf(m, 0, value)
		if err != nil {
			rt.Fatal(err)
		}
		var twice int64
		for _, v := range want.values {
			n := got.of[v]
			if n == 0 && !in.gone[v] {
				rt.Errorf("%s never came", v)
			}
			twice += int64(max(0, n-1))
		}
		if twice > bound || twice > r.Twice {
			rt.Errorf("%d messages came twice, more than the %d that no checkpoint knew, or the %d that are reported", twice, bound, r.Twice)
		}
		if r.Finished && (r.Killed != killed || r.Starts != starts) {
			rt.Errorf("%d starts and %d kills are reported, want %d and %d", r.Starts, r.Killed, starts, killed)
		}
		if expiring {
			want.expect(&r.Totals)
		}
		want.totals.Bytes = r.Bytes
		sortDamage(want.totals.Damage)
		sortDamage(r.Damage)
		if diff := diffs.Diff(want.totals, r.Totals); diff != "" || !r.Finished {
			rt.Errorf("totals of a job that is finished: %v (-want +got):\n%s", r.Finished, diff)
		}
	})
}

func sortDamage(all []job.Damage) {
	slices.SortFunc(all, func(a, b job.Damage) int {
		return cmp.Or(strings.Compare(a.Slice, b.Slice), cmp.Compare(a.Offset, b.Offset))
	})
}

// wanted is what a job over a tape has to come to.
type wanted struct {
	values []string
	totals job.Totals
}

// expect takes over from a report what depends on when messages expired. The sum of
// positions stays what it was.
func (w *wanted) expect(r *job.Totals) {
	positions := w.totals.Messages
	for _, n := range w.totals.Passed {
		positions += n
	}
	for _, n := range r.Passed {
		positions -= n
	}
	w.totals.Messages, w.totals.Passed = positions, r.Passed
	w.totals.Groups, w.totals.Damage, w.totals.Damaged = r.Groups, r.Damage, r.Damaged
}

// expire takes the first positions of each slice away, as retention does.
func (p *tape) expire(plan []job.Slice, n int) {
	for _, s := range plan {
		for i := range min(n, len(p.at[s.Name])) {
			if c := &p.at[s.Name][i]; c.hole == "" {
				p.gone[c.value] = true
				*c = cell{hole: job.PassedExpired}
			}
		}
	}
}

func drawTape(rt *rapid.T) (in *tape, plan []job.Slice, w wanted) {
	in = newTape()
	groups := job.Groups{}
	w.totals.Groups = map[string]job.Groups{}
	for i := range rapid.IntRange(1, 6).Draw(rt, "slices") {
		name := fmt.Sprint("slice ", i)
		n := rapid.IntRange(0, 120).Draw(rt, "positions")
		holes := rapid.SampledFrom([]int{0, 0, 1, 4, 9}).Draw(rt, "holes of ten")
		in.add(name)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "cells"), 1))
		for pos := range n {
			switch {
			case r.IntN(10) < holes:
				reason := []string{job.PassedControl, job.PassedAbsent}[r.IntN(2)]
				in.add(name, cell{hole: reason})
				w.totals.Passed = count(w.totals.Passed, reason)
			default:
				v := fmt.Sprint(name, "/", pos)
				damaged := holes > 0 && r.IntN(20) == 0
				in.add(name, cell{value: v, damaged: damaged})
				w.values = append(w.values, v)
				w.totals.Messages++
				groups.Flushed++
				if v[len(v)-1] == '7' {
					other := w.totals.Groups[""]
					other.Skipped = count(other.Skipped, "not_selected")
					w.totals.Groups[""] = other
					dead := w.totals.Groups["r/g"]
					dead.DeadLettered = count(dead.DeadLettered, "permanent")
					w.totals.Groups["r/g"] = dead
				}
				if damaged {
					w.totals.Damaged++
					w.totals.Damage = append(w.totals.Damage, job.Damage{Slice: name, Offset: int64(pos), Length: 1, Why: "torn"})
				}
			}
		}
		plan = append(plan, in.slice(name))
		w.totals.Slices++
	}
	if groups.Flushed > 0 {
		w.totals.Groups["r/f"] = groups
	}
	if len(w.totals.Groups) == 0 {
		w.totals.Groups = nil
	}
	return in, plan, w
}

func count(m map[string]int64, name string) map[string]int64 {
	if m == nil {
		m = map[string]int64{}
	}
	m[name]++
	return m
}

// What was delivered before a start and is gone from its queue since counts once: as
// what was delivered.
func TestMessagesThatExpireAfterTheyEndedAreCountedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := newTape()
		in.batch = func(string, int64) int { return 10 }
		plan := in.fill("a", 40)
		got := &seen{}
		h := &server{serve: func(ctx context.Context, s queue.Strand) error {
			var held []*queue.Delivery
			for len(held) < 30 {
				ds, err := s.Fetch(ctx, room)
				if err != nil {
					return err
				}
				held = append(held, ds...)
			}
			got.add(held)
			ack(held[:5]...)
			ack(held[8:25]...)
			<-ctx.Done()
			giveBack(held[5:8]...)
			giveBack(held[25:]...)
			return nil
		}}
		lease := newLease(nil)
		src := newSource(t, configOf(in, lease, plan))
		ctx, stop := context.WithCancelCause(t.Context())
		defer stop(nil)
		done := make(chan error, 1)
		go func() { done <- src.Run(ctx, h) }()
		synctest.Wait()
		stop(stopping(time.Second))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for i := range 20 { // 0 to 4 and 8 to 19 were delivered, 5 to 7 never
			in.at["a"][i] = cell{hole: job.PassedExpired}
		}
		h.serve = deliverAll(got)
		src = newSource(t, configOf(in, newLease(lease.Checkpoint()), plan))
		if err := src.Run(t.Context(), h); err != nil {
			t.Fatal(err)
		}
		r := src.Report()
		if diff := diffs.Diff(map[string]int64{job.PassedExpired: 3}, r.Passed); diff != "" || r.Messages != 37 {
			t.Errorf("%d messages; passed (-want +got):\n%s", r.Messages, diff)
		}
	})
}
