package cmd

import (
	"bytes"
	"context"
	"errors"
	"math"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// plainFlusher has none of the optional interfaces and counts groups.
type plainFlusher struct{ groups int }

func (*plainFlusher) Init(flushers.Context) error        { return nil }
func (*plainFlusher) Description() string                { return "counts" }
func (*plainFlusher) IsReady(string, string, int64) bool { return true }
func (*plainFlusher) SetUrgent(bool)                     {}
func (*plainFlusher) Stop() error                        { return nil }

func (f *plainFlusher) Flush(_, _, _ string, groups []*protocol.LogGroup) error {
	f.groups += len(groups)
	return nil
}

// batchFlusher has all of them.
type batchFlusher struct {
	plainFlusher
	batches int
}

func (f *batchFlusher) FlushBatch(context.Context, *flushers.Batch) error { f.batches++; return nil }
func (*batchFlusher) Concurrent() int                                     { return 7 }
func (*batchFlusher) BatchHint() flushers.Hint                            { return flushers.Hint{Groups: 9} }

// broken wraps a flusher as the demo does.
func broken(t *testing.T, f flushers.Flusher) (*breaker, flushers.Flusher) {
	t.Helper()
	b := new(breaker)
	c := worker.Config{Routes: []worker.Route{
		{Name: "first", Flushers: []worker.Entry{{Name: "a"}}},
		{Name: "last", Flushers: []worker.Entry{{Name: "b", New: func() flushers.Flusher { return f }}, {Name: "c"}}},
	}}
	b.attach(&c)
	if b.entry != "last/b" {
		t.Fatalf("attached to %s", b.entry)
	}
	return b, c.Routes[1].Flushers[0].New()
}

func TestABrokenDestinationFailsThenIsUnreadyThenRecovers(t *testing.T) {
	t.Parallel()
	inner := &plainFlusher{}
	b, f := broken(t, inner)
	flush := func() error {
		return f.(flushers.BatchFlusher).FlushBatch(t.Context(), &flushers.Batch{Groups: make([]*protocol.LogGroup, 2)})
	}
	if err := flush(); err != nil || inner.groups != 2 {
		t.Fatalf("whole: %v, %d groups", err, inner.groups)
	}
	b.set(true)
	for range failures {
		if !f.IsReady("", "", 0) {
			t.Fatal("unready before it failed")
		}
		if err := flush(); !errors.Is(err, errBroken) {
			t.Fatalf("broken: %v", err)
		}
	}
	if f.IsReady("", "", 0) {
		t.Error("ready although it failed")
	}
	b.set(false)
	if !f.IsReady("", "", 0) {
		t.Error("not ready although it was mended")
	}
	if err := flush(); err != nil || inner.groups != 4 {
		t.Errorf("mended: %v, %d groups", err, inner.groups)
	}
}

func TestABreakableFlusherKeepsItsPowers(t *testing.T) {
	t.Parallel()
	inner := &batchFlusher{}
	_, f := broken(t, inner)
	if err := f.(flushers.BatchFlusher).FlushBatch(t.Context(), &flushers.Batch{}); err != nil || inner.batches != 1 {
		t.Errorf("FlushBatch: %v, %d batches", err, inner.batches)
	}
	if n := f.(flushers.Concurrent).Concurrent(); n != 7 {
		t.Errorf("Concurrent = %d, want 7", n)
	}
	if h := f.(flushers.Hinter).BatchHint(); h.Groups != 9 {
		t.Errorf("BatchHint = %+v", h)
	}
	_, plain := broken(t, &plainFlusher{})
	if n := plain.(flushers.Concurrent).Concurrent(); n != 1 {
		t.Errorf("Concurrent of a serial flusher = %d, want 1", n)
	}
}

func TestADemoThatLostSomethingFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                          string
		produced, flushed, acked, out int64
		failed                        error
		code                          int
	}{
		{"all arrived", 10, 10, 10, 0, nil, exitDone},
		{"others published, too", 10, 12, 10, 2, nil, exitDone},
		{"one not flushed", 10, 9, 10, 0, nil, exitIncomplete},
		{"one not acknowledged", 10, 10, 9, 0, nil, exitIncomplete},
		{"nothing at all", 0, 0, 0, 0, nil, exitIncomplete},
		{"the queue refused", 3, 3, 3, 0, errors.New("full"), exitUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			s := &show{out: &out, flushed: tc.flushed, acknowledged: tc.acked, foreign: tc.out, failed: tc.failed}
			s.produced.Store(tc.produced)
			if code := report(new(bytes.Buffer), s.end(&demoOptions{})); code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if n := strings.Count(out.String(), "\nproduced "); n != 1 {
				t.Errorf("%d summary lines:\n%s", n, out.String())
			}
		})
	}
}

func TestWithoutATerminalProgressIsALineEveryTenSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, "published", 0, "groups")
		for range 35 {
			time.Sleep(time.Second)
			p.add(100, 1<<20)
		}
		p.close()
		want := "published 1,000 groups (10 MiB) in 10s, 100/s\npublished 2,000 groups (20 MiB) in 20s, 100/s\npublished 3,000 groups (30 MiB) in 30s, 100/s\n"
		if out.String() != want {
			t.Errorf("got:\n%swant:\n%s", out.String(), want)
		}
	})
}

// Not parallel: the limit is the process's.
func TestMemoryIsBoundUnlessTheEnvironmentSaysOtherwise(t *testing.T) {
	limit, percent := debug.SetMemoryLimit(-1), debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetMemoryLimit(limit); debug.SetGCPercent(percent) })

	debug.SetMemoryLimit(math.MaxInt64)
	if got := boundMemory(func(string) (string, bool) { return "given", true }, 1<<30); got != 0 {
		t.Errorf("GOGC was given and a worker may go up to %d", got)
	}
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("GOMEMLIMIT was given and the limit became %d", got)
	}
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("GOGC was given and became %d", got)
	}
	if got := boundMemory(func(string) (string, bool) { return "", false }, 1<<30); got != gcPercent {
		t.Errorf("a worker may go up to %d, want %d", got, gcPercent)
	}
	if got := debug.SetMemoryLimit(-1); got != 1<<30+memoryHeadroom {
		t.Errorf("limit %d, want the budget and %d", got, memoryHeadroom)
	}
	if got := debug.SetGCPercent(100); got != gcPercent {
		t.Errorf("GOGC %d, want %d", got, gcPercent)
	}
}
