package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// arena is a worker with a hostile flusher beside healthy ones. The hostile one does
// its trick until it is tamed, which also ends its hangs.
type arena struct {
	*rig
	logs  *observer.ObservedLogs
	good  *checker.Script
	asked int // of the healthy lanes
	calm  chan struct{}

	mu     sync.Mutex
	stored map[string]bool // ids that the hostile flusher stored
}

// hostile is one instance of the hostile kind: an honest flusher with a trick.
type hostile struct {
	a     *arena
	ctx   flushers.Context
	trick map[string]func(h *hostile) // by method; it may hang, panic or end the goroutine
	flush func(h *hostile, groups []*protocol.LogGroup) error
	hint  flushers.Hint
	calls int
}

func (a *arena) tame() { close(a.calm) }

func (a *arena) tamed() bool {
	select {
	case <-a.calm:
		return true
	default:
		return false
	}
}

func (h *hostile) play(method string) {
	if do := h.trick[method]; do != nil && !h.a.tamed() {
		do(h)
	}
}

func (h *hostile) Init(c flushers.Context) error {
	h.ctx = c
	h.play("Init")
	return nil
}
func (h *hostile) Description() string                { h.play("Description"); return "hostile" }
func (h *hostile) IsReady(string, string, int64) bool { h.play("IsReady"); return true }
func (h *hostile) SetUrgent(bool)                     { h.play("SetUrgent") }
func (h *hostile) Stop() error                        { h.play("Stop"); return nil }
func (h *hostile) Concurrent() int                    { h.play("Concurrent"); return 1 }
func (h *hostile) BatchHint() flushers.Hint           { h.play("BatchHint"); return h.hint }

func (h *hostile) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	h.calls++
	h.play("Flush")
	if h.flush != nil && !h.a.tamed() {
		return h.flush(h, groups)
	}
	h.store(groups...)
	return nil
}

func (h *hostile) store(groups ...*protocol.LogGroup) {
	h.a.mu.Lock()
	defer h.a.mu.Unlock()
	for _, g := range groups {
		h.a.stored[idOf(g)] = true
	}
}

// enter starts an arena; make is the hostile kind's New.
func enter(t *testing.T, makeOne func(a *arena) flushers.Flusher) *arena {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	a := &arena{logs: logs, good: checker.New(), calm: make(chan struct{}), stored: map[string]bool{}}
	kind := flushers.Kind{Name: "hostile", Summary: "Does what it must not.", New: func() flushers.Flusher { return makeOne(a) }}
	cfg := worker.Config{Logger: zap.New(core), Routes: []worker.Route{
		routeOf("bad", worker.Match{Logstore: "bad"}, worker.Entry{Name: "evil", Kind: kind, New: kind.New}),
		routeOf("good", worker.Match{}, entryOf("out", a.good)),
	}}
	cfg.Limits.LaneIdle = 20 * time.Second
	a.rig = start(t, memory.Config{}, cfg)
	return a
}

func (a *arena) publishBad(from, to int) {
	for i := from; i < to; i++ {
		a.q.Publish(keyed("p", "bad", encode(a.t, group(fmt.Sprint(i)))))
	}
}

// othersFlush lets time pass in which four other lanes have to flush within a second
// whatever they get.
func (a *arena) othersFlush(d time.Duration) {
	a.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		a.publish(4, 4)
		a.asked += 4
		time.Sleep(time.Second)
		if got := a.good.Stats().Groups; got != a.asked {
			a.t.Fatalf("other lanes have flushed %d groups, want %d: %+v", got, a.asked, a.w.Status().Lanes)
		}
		a.balanced()
	}
}

// names says that the log or the status names the lane and the call.
func (a *arena) names(call string) {
	a.t.Helper()
	for _, e := range a.logs.All() {
		f := e.ContextMap()
		if f["route"] != "bad" || f["flusher"] != "evil" || f["project"] != "p" || f["logstore"] != "bad" {
			continue
		}
		if f["call"] == call || strings.Contains(fmt.Sprint(e.Message, f["error"]), call) {
			return
		}
	}
	for _, l := range a.w.Status().Lanes {
		if l.Route == "bad" && l.Flusher == "evil" && l.Logstore == "bad" && strings.Contains(l.Why, call) {
			return
		}
	}
	a.t.Fatalf("neither log nor status name %s of the lane bad: %+v\n%+v", call, a.logs.All(), a.w.Status().Lanes)
}

// flushed waits until a healthy successor has stored the ids below n.
func (a *arena) flushed(n int) {
	a.t.Helper()
	for deadline := time.Now().Add(time.Hour); ; time.Sleep(time.Second) {
		a.mu.Lock()
		got := len(a.stored)
		a.mu.Unlock()
		if got == n {
			break
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%d of %d ids are stored: %+v", got, n, a.w.Status().Lanes)
		}
	}
	a.acked(int64(n + a.asked))
}

// leave stops the worker. That no goroutine is left is what the bubble finds out.
func (a *arena) leave() {
	a.t.Helper()
	a.mustStop()
	a.drained()
	clean(a.t, a.good)
	if n := a.q.Pending(); n != 0 {
		a.t.Fatalf("%d messages are left", n)
	}
}

// Whatever a flusher does in whichever method, it costs its own lane only, is named,
// and loses nothing.
func TestAHostileCallCostsItsLaneOnly(t *testing.T) {
	ways := map[string]func(h *hostile){
		"hangs":             func(h *hostile) { <-h.a.calm },
		"panics":            func(*hostile) { panic("hostile") },
		"ends goroutine":    func(*hostile) { runtime.Goexit() },
		"takes ten seconds": func(*hostile) { time.Sleep(10 * time.Second) },
	}
	// Where a call is made while another is supervised, that one is named.
	named := map[string]string{
		"New": "Init", "Init": "Init", "Concurrent": "Init", "BatchHint": "Init", "Description": "",
		"IsReady": "IsReady", "Flush": "Flush", "SetUrgent": "SetUrgent", "Stop": "Stop",
	}
	for method, call := range named {
		for way, do := range ways {
			t.Run(method+" "+way, func(t *testing.T) {
				call := call
				bubble(t, func(t *testing.T) {
					a := enter(t, func(a *arena) flushers.Flusher {
						h := &hostile{a: a, trick: map[string]func(h *hostile){method: do}}
						h.play("New")
						return h
					})
					a.publishBad(0, 10)
					a.othersFlush(100 * time.Second) // long enough to be idle, and stopped
					a.publishBad(10, 20)
					a.othersFlush(100 * time.Second)
					if way == "takes ten seconds" && (method == "New" || call == "Init" || call == "Flush") {
						call = "" // it may
					}
					if way == "takes ten seconds" && call == "IsReady" {
						call = "" // it counts as false
						a.lane(worker.LaneUnready)
					}
					if call != "" {
						a.names(call)
					}
					a.tame()
					a.flushed(20)
					a.leave()
				})
			})
		}
	}
}

// What a Flush may return that means nothing: no group of it may be lost or taken for
// stored without being.
func TestGarbageResultsLoseNothing(t *testing.T) {
	partial := func(failed map[int]error) *flushers.PartialError { return &flushers.PartialError{Failed: failed} }
	self := partial(map[int]error{})
	self.Failed[0] = self
	for name, result := range map[string]error{
		"negative index":     partial(map[int]error{-1: errDown}),
		"beyond the end":     partial(map[int]error{0: errDown, 1 << 40: errDown}),
		"nil error":          partial(map[int]error{0: nil, 1: nil}),
		"nil pointer":        (*flushers.PartialError)(nil),
		"wrapped nil":        fmt.Errorf("couldn't: %w", (*flushers.PartialError)(nil)),
		"nested":             partial(map[int]error{0: partial(map[int]error{7: errDown})}),
		"itself":             self,
		"joined":             errors.Join(partial(map[int]error{0: errDown}), partial(map[int]error{5: nil})),
		"evil inside":        partial(map[int]error{0: evilError{"Error"}}),
		"Error panics":       evilError{"Error"},
		"Unwrap panics":      evilError{"Unwrap"},
		"As panics":          evilError{"As"},
		"a megabyte of text": errors.New(strings.Repeat("x", 1<<20)),
	} {
		trapped := strings.HasSuffix(name, " panics")
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := enter(t, func(a *arena) flushers.Flusher {
					return &hostile{a: a, flush: func(h *hostile, groups []*protocol.LogGroup) error {
						var p *flushers.PartialError
						if !trapped && errors.As(result, &p) && p != nil && len(p.Failed) > 0 {
							for i, g := range groups { // what a partial result does not name is stored
								if _, failed := p.Failed[i]; !failed {
									h.store(g)
								}
							}
						}
						return result
					}}
				})
				a.publishBad(0, 5)
				a.othersFlush(30 * time.Second)
				if l := a.lane(worker.LaneBackoff); l.Why == "" || len(l.Why) > 8<<10 {
					t.Fatalf("the lane says %d bytes: %.100s", len(l.Why), l.Why)
				}
				if n := a.w.Status().Flushers[0].Errors["panic"]; n != 0 && !trapped && name != "evil inside" {
					t.Fatalf("%d panics were contained", n)
				}
				if n := len(a.letters.Messages()); n != 0 {
					t.Fatalf("%d dead letters", n)
				}
				a.tame()
				a.flushed(5)
				a.leave()
			})
		})
	}
}

// evilError panics in one of its methods.
type evilError struct{ in string }

func (e evilError) Error() string { e.trap("Error"); return "evil" }
func (e evilError) Unwrap() error { e.trap("Unwrap"); return nil }
func (e evilError) As(any) bool   { e.trap("As"); return false }

func (e evilError) trap(method string) {
	if e.in == method {
		panic("evil " + method)
	}
}

// Wishes beyond reason are taken as the nearest that makes sense, and named.
func TestAbsurdWishesAreBounded(t *testing.T) {
	for name, w := range map[string]struct {
		concurrent int
		hint       flushers.Hint
		named      string
	}{
		"0 at a time":        {0, flushers.Hint{}, "Concurrent"},
		"-7 at a time":       {-7, flushers.Hint{}, "Concurrent"},
		"a billion at once":  {1e9, flushers.Hint{}, "Concurrent"},
		"negative hint":      {1, flushers.Hint{Groups: -1, Bytes: -1, Wait: -1}, "BatchHint"},
		"smallest hint":      {1, flushers.Hint{Groups: 1, Bytes: 1, Wait: 1}, ""},
		"wait for a year":    {1, flushers.Hint{Groups: 1 << 50, Bytes: 1 << 60, Wait: 365 * 24 * time.Hour}, "BatchHint"},
		"minimal everything": {1, flushers.Hint{Groups: -1 << 62, Bytes: -1 << 62, Wait: -1 << 62}, "BatchHint"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var running, most atomic.Int64
				a := enter(t, func(a *arena) flushers.Flusher {
					return &eager{concurrent: w.concurrent, hostile: hostile{a: a, hint: w.hint, flush: func(h *hostile, groups []*protocol.LogGroup) error {
						most.Store(max(most.Load(), running.Add(1)))
						defer running.Add(-1)
						time.Sleep(time.Second)
						h.store(groups...)
						return nil
					}}}
				})
				for i := range 600 { // a batch each, if it likes many at a time
					a.publishBad(i, i+1)
					synctest.Wait()
				}
				a.othersFlush(30 * time.Second)
				if w.named != "" {
					a.names(w.named)
				}
				a.flushed(600)
				if n := most.Load(); n > flushers.MaxConcurrent || w.concurrent <= 1 && n > 1 {
					t.Fatalf("%d calls of Flush at a time", n)
				}
				a.leave()
			})
		})
	}
}

// eager says how many Flush calls it likes.
type eager struct {
	hostile
	concurrent int
}

func (e *eager) Concurrent() int { return e.concurrent }

// A flusher that uses its Context after Stop gets nothing that stays open.
func TestNothingIsSharedAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var opened, closed atomic.Int64
		open := func() (io.Closer, error) {
			opened.Add(1)
			return closerFunc(func() error { closed.Add(1); return nil }), nil
		}
		var mu sync.Mutex
		var late []func() error
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){
				"Init": func(h *hostile) { _, _, _ = h.ctx.Shared("k", open) }, // and forgets release
				"Stop": func(h *hostile) {
					mu.Lock()
					defer mu.Unlock()
					late = append(late, func() error {
						h.ctx.Metrics().Counter("after stop", "\xff").Add(1)
						h.ctx.Metrics().Gauge("after stop", "help that differs").Set(1)
						h.ctx.Logger().Info("after stop")
						if h.ctx.GetRuntimeContext().Err() == nil {
							return errors.New("the runtime context lives on")
						}
						_, _, err := h.ctx.Shared("k", open)
						return err
					})
				},
			}}
		})
		a.publishBad(0, 3)
		a.othersFlush(60 * time.Second) // idle and stopped meanwhile
		mu.Lock()
		if len(late) != 1 {
			t.Fatalf("%d instances were stopped", len(late))
		}
		if err := late[0](); err == nil || !strings.Contains(err.Error(), "has stopped") {
			t.Fatalf("Shared after Stop: %v", err)
		}
		mu.Unlock()
		scrapes := prometheus.NewRegistry()
		if err := scrapes.Register(a.w.Collector()); err != nil {
			t.Fatal(err)
		}
		if _, err := scrapes.Gather(); err != nil {
			t.Fatalf("metrics that make no sense spoil the scrape: %v", err)
		}
		a.tame()
		a.leave()
		if opened.Load() != closed.Load() || opened.Load() == 0 {
			t.Fatalf("%d values were opened and %d closed", opened.Load(), closed.Load())
		}
	})
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }

// Who closes a shared value itself, or releases it twice, harms itself; who shares it
// goes on.
func TestASharedValueClosedByAFlusherHarmsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := enter(t, func(a *arena) flushers.Flusher {
			var release func()
			var v io.Closer
			return &hostile{a: a, trick: map[string]func(h *hostile){
				"Init": func(h *hostile) {
					var err error
					once := false
					v, release, err = h.ctx.Shared("k", func() (io.Closer, error) {
						return closerFunc(func() error {
							if once {
								panic("close of closed connection")
							}
							once = true
							return nil
						}), nil
					})
					if err != nil {
						panic(err)
					}
				},
				"Flush": func(*hostile) { _ = v.Close() },
				"Stop":  func(*hostile) { release(); release() },
			}}
		})
		a.publishBad(0, 3)
		a.othersFlush(60 * time.Second)
		a.names("Stop")
		a.publishBad(3, 6)
		a.othersFlush(60 * time.Second)
		a.tame()
		a.flushed(6)
		a.leave()
	})
}

// What an Init took before it failed is given back for it.
func TestAFailedInitHoldsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var open atomic.Int64
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){"Init": func(h *hostile) {
				_, _, err := h.ctx.Shared("k", func() (io.Closer, error) {
					open.Add(1)
					return closerFunc(func() error { open.Add(-1); return nil }), nil
				})
				panic(err)
			}}}
		})
		a.publishBad(0, 3)
		a.othersFlush(10 * time.Second)
		if n := open.Load(); n != 0 {
			t.Fatalf("%d values of failed Inits are open", n)
		}
		a.tame()
		a.flushed(3)
		a.leave()
	})
}

// The runner of an entry whose Init fails must not wait for a Close that hangs.
func TestACloseThatHangsCostsItsLaneOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){
				"Init": func(h *hostile) {
					_, _, _ = h.ctx.Shared("k", func() (io.Closer, error) {
						return closerFunc(func() error { <-a.calm; return nil }), nil
					})
					panic("after opening")
				},
			}}
		})
		a.publishBad(0, 3)
		a.othersFlush(100 * time.Second)
		a.names("Init")
		a.tame()
		a.flushed(3)
		a.leave()
	})
}

// Goroutines that a flusher leaves behind are its own; the worker ends all the same.
func TestAFlusherThatLeaksEndsWithTheWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var leaked atomic.Int64
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){
				"Flush": func(h *hostile) {
					leaked.Add(1)
					go func() { <-h.ctx.GetRuntimeContext().Done(); leaked.Add(-1) }()
				},
			}}
		})
		a.publishBad(0, 3)
		a.othersFlush(5 * time.Second)
		a.flushed(3)
		a.leave()
		synctest.Wait()
		if n := leaked.Load(); n != 0 {
			t.Fatalf("%d goroutines that follow the runtime context are left", n)
		}
	})
}

// What a flusher does to its groups reaches neither its own retry nor other flushers.
func TestGroupsThatAreChangedOrKeptReachNobodyElse(t *testing.T) {
	for _, noRetain := range []bool{false, true} {
		t.Run(fmt.Sprint("NoRetain=", noRetain), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				good := checker.New()
				good.NoRetain = true // its batches come from a pool as well
				var mu sync.Mutex
				var kept []*protocol.LogGroup
				vandalise := func(gs []*protocol.LogGroup) {
					for _, g := range gs {
						g.Topic = "vandal"
						for _, l := range g.Logs {
							if l == nil { // it was here before
								continue
							}
							for _, c := range l.Contents {
								c.Value = "vandal"
							}
						}
						g.Logs = append(g.Logs[:0], nil)
					}
				}
				var tries atomic.Int64
				vandal := flushers.Kind{Name: "vandal", Summary: "Changes what it must not.", NoRetain: noRetain, New: func() flushers.Flusher {
					return &hostile{a: &arena{calm: make(chan struct{})}, flush: func(_ *hostile, groups []*protocol.LogGroup) error {
						mu.Lock()
						defer mu.Unlock()
						vandalise(kept)
						kept = append(kept, slices.Clone(groups)...)
						vandalise(groups)
						clear(groups)
						if tries.Add(1)%3 != 0 {
							return errDown
						}
						return nil
					}}
				}}
				r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{},
					worker.Entry{Name: "vandal", Kind: vandal, New: vandal.New}, entryOf("out", good))}})
				for range 20 {
					r.publish(10, 5)
					time.Sleep(time.Second)
				}
				r.acked(200)
				r.mustStop()
				r.drained()
				clean(t, good)
				for _, g := range good.Groups() {
					if g.Topic == "vandal" || len(g.Logs) != 1 || g.Logs[0] == nil || idOf(g) == "vandal" {
						t.Fatalf("another flusher got %+v", g)
					}
				}
			})
		})
	}
}

// A SetUrgent that blocks when the process stops takes five seconds of the drain, once:
// the successor is not told, and flushes what is left.
func TestABlockedSetUrgentIsNotPaidForTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ready atomic.Bool
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){
				"SetUrgent": func(h *hostile) { <-h.a.calm },
				"Flush": func(*hostile) {
					if !ready.Load() {
						panic("not yet")
					}
				},
			}}
		})
		a.publishBad(0, 10)
		a.othersFlush(5 * time.Second)
		ready.Store(true)
		a.mustStop()
		a.names("SetUrgent")
		a.mu.Lock()
		if len(a.stored) != 10 {
			t.Fatalf("%d of 10 ids were stored in the drain", len(a.stored))
		}
		a.mu.Unlock()
		a.tame()
		synctest.Wait()
		a.drained()
	})
}

// A stop gives back what a hanging flusher holds, in bounded time, and the others
// lose nothing.
func TestAStopIsBoundedWhicheverCallHangs(t *testing.T) {
	for _, method := range []string{"Init", "IsReady", "Flush", "SetUrgent", "Stop"} {
		t.Run(method, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := enter(t, func(a *arena) flushers.Flusher {
					return &hostile{a: a, trick: map[string]func(h *hostile){method: func(h *hostile) { <-h.a.calm }}}
				})
				a.publishBad(0, 10)
				a.othersFlush(3 * time.Second)
				began := time.Now()
				err := a.stop()
				if took := time.Since(began); took > 45*time.Second {
					t.Fatalf("the stop took %v", took)
				}
				if err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
					t.Fatal(err)
				}
				a.mu.Lock()
				stored := int64(len(a.stored))
				a.mu.Unlock()
				if pending := a.q.Pending(); stored+pending < 10 {
					t.Fatalf("%d are stored and %d were given back, of 10", stored, pending)
				}
				a.tame()
				synctest.Wait()
				time.Sleep(time.Minute)
				a.balanced()
				a.drained()
			})
		})
	}
}

// The process's limit on abandoned calls stops those who reached it: a lane of a
// healthy destination still opens and flushes.
func TestHangingDestinationsDoNotWedgeHealthyOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		evil, good := checker.New(), checker.New()
		release := evil.Hang()
		var routes []worker.Route
		for i := range 6 {
			routes = append(routes, routeOf(fmt.Sprint("evil", i), worker.Match{Project: fmt.Sprint("evil", i)}, entryOf("out", evil)))
		}
		routes = append(routes, routeOf("good", worker.Match{}, entryOf("out", good)))
		r := start(t, memory.Config{}, worker.Config{Routes: routes})
		for i := range 6 {
			for lane := range 8 {
				r.q.Publish(keyed(fmt.Sprint("evil", i), fmt.Sprint("ls", lane), encode(t, group("x"))))
			}
		}
		time.Sleep(10 * time.Minute)
		var sum int64
		for _, f := range r.w.Status().Flushers {
			if f.Abandoned > 16 {
				t.Fatalf("%d calls of %s are abandoned", f.Abandoned, f.Route)
			}
			sum += f.Abandoned
		}
		if sum != 64 {
			t.Fatalf("%d calls are abandoned, want the process's 64", sum)
		}
		r.publish(50, 5)
		r.acked(50)
		release()
		r.acked(98)
		r.mustStop()
		r.drained()
		clean(t, good)
	})
}

// Instances whose Stop hangs are counted until it returns, and bound how many more are
// made.
func TestStopsThatHangAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var hanging, most atomic.Int64
		a := enter(t, func(a *arena) flushers.Flusher {
			return &hostile{a: a, trick: map[string]func(h *hostile){"Stop": func(h *hostile) {
				most.Store(max(most.Load(), hanging.Add(1)))
				defer hanging.Add(-1)
				<-h.a.calm
			}}}
		})
		for i := range 40 {
			a.publishBad(i, i+1)
			a.othersFlush(60 * time.Second)
		}
		if n := most.Load(); n != 16 {
			t.Fatalf("%d calls of Stop hang, want 16", n)
		}
		if l := a.lane(worker.LaneWedged); !strings.Contains(l.Why, "16 of the flusher entry") {
			t.Fatalf("the lane says %q", l.Why)
		}
		a.tame()
		a.flushed(40)
		a.leave()
	})
}

var _ flushers.BatchFlusher = (*blocker)(nil)

// blocker follows no context.
type blocker struct{ hostile }

func (b *blocker) FlushBatch(_ context.Context, batch *flushers.Batch) error {
	for i := range batch.IDs { // what is beyond the groups is nobody's
		batch.IDs[i] = protocol.ID{}
		batch.Raw[i] = append(batch.Raw[i], "overwritten"...)
	}
	b.play("Flush")
	b.store(batch.Groups...)
	return nil
}

// A batch belongs to its call: what is written over its lists is not there in the next.
func TestABatchThatIsOverwrittenReachesNoOtherCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := enter(t, func(a *arena) flushers.Flusher {
			return &blocker{hostile{a: a, trick: map[string]func(h *hostile){"Flush": func(*hostile) { panic("after overwriting") }}}}
		})
		a.publishBad(0, 10)
		a.othersFlush(20 * time.Second)
		a.names("panicked")
		a.tame()
		a.flushed(10)
		a.leave()
	})
}
