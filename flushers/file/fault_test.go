package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/protocol"
)

// disk stands between a store and its files: it counts, and injects faults.
type disk struct {
	open, most, syncs atomic.Int64

	onWrite func(n int) (take int, err error)
	onSync  func() error
	onCut   func() error
}

func (d *disk) wrap(f *os.File) file {
	n := d.open.Add(1)
	for m := d.most.Load(); n > m && !d.most.CompareAndSwap(m, n); m = d.most.Load() {
	}
	return &faulty{File: f, disk: d}
}

type faulty struct {
	*os.File
	disk *disk
}

func (f *faulty) WriteAt(b []byte, off int64) (int, error) {
	if f.disk.onWrite == nil {
		return f.File.WriteAt(b, off)
	}
	take, fault := f.disk.onWrite(len(b))
	n, err := f.File.WriteAt(b[:take], off)
	return n, errors.Join(fault, err)
}

func (f *faulty) Sync() error {
	f.disk.syncs.Add(1)
	if f.disk.onSync != nil {
		if err := f.disk.onSync(); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

func (f *faulty) Truncate(size int64) error {
	if f.disk.onCut != nil {
		if err := f.disk.onCut(); err != nil {
			return err
		}
	}
	return f.File.Truncate(size)
}

func (f *faulty) Close() error {
	f.disk.open.Add(-1)
	return f.File.Close()
}

// faultyLane has one durable line already.
func faultyLane(t *testing.T, d *disk) (*Flusher, string) {
	t.Helper()
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, "a.jsonl")(f)
		f.wrap = d.wrap
	})
	mustFlush(t, f, group(1, "durable"))
	return f, dir
}

func TestAShortWriteLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	d := &disk{}
	f, dir := faultyLane(t, d)
	d.onWrite = func(n int) (int, error) { return n / 2, io.ErrShortWrite }
	if class, _ := flushers.Classify(flush(f, group(1, "x"))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	wantTree(t, dir, map[string]string{"a.pod-0.000001.jsonl": lines(group(1, "durable"))})
	d.onWrite = nil
	mustFlush(t, f, group(1, "x"))
	wantTree(t, dir, map[string]string{"a.pod-0.000001.jsonl": lines(group(1, "durable"), group(1, "x"))})
}

func TestAWriteThatCannotBeCutBackEndsItsFile(t *testing.T) {
	t.Parallel()
	d := &disk{}
	f, dir := faultyLane(t, d)
	d.onWrite = func(int) (int, error) { return 5, syscall.EIO }
	d.onCut = func() error { return syscall.EIO }
	if err := flush(f, group(1, "x")); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Flush = %v, want EIO", err)
	}
	d.onWrite, d.onCut = nil, nil
	mustFlush(t, f, group(1, "x"))
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "durable")) + lines(group(1, "x"))[:5],
		"a.pod-0.000002.jsonl": lines(group(1, "x")),
	})
}

func TestAFileWhoseSyncFailedIsNeverTrustedAgain(t *testing.T) {
	t.Parallel()
	d := &disk{}
	f, dir := faultyLane(t, d)
	d.onSync = func() error { return syscall.EIO }
	if class, _ := flushers.Classify(flush(f, group(1, "x"))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	if n := d.open.Load(); n != 0 {
		t.Errorf("%d files are open after the sync failed", n)
	}
	d.onSync = nil
	mustFlush(t, f, group(1, "x"))
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "durable")),
		"a.pod-0.000002.jsonl": lines(group(1, "x")),
	})
}

func TestANewNameIsSyncedUpToTheRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var synced []string
	set := func(f *Flusher) {
		at(dir, "{project}/{logstore}/a.jsonl")(f)
		f.syncDir = func(_ *os.Root, d string) error {
			synced = append(synced, d)
			return nil
		}
	}
	want := []string{"shop/orders", "shop", "."}
	for _, opened := range []string{"created", "found"} { // who made it may have died before its sync
		f := lane(t, new(flushertest.Process), key, set)
		mustFlush(t, f, group(1, "a"))
		mustFlush(t, f, group(1, "b"))
		if diff := cmp.Diff(want, synced); diff != "" {
			t.Errorf("directories synced for a file that was %s (-want +got):\n%s", opened, diff)
		}
		stop(t, f)
		synced = nil
	}
}

func TestADirectoryThatCannotBeSyncedHoldsTheFlush(t *testing.T) {
	t.Parallel()
	var fault error = syscall.EIO
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(t.TempDir(), "a.jsonl")(f)
		f.syncDir = func(*os.Root, string) error { return fault }
	})
	if err := flush(f, group(1, "a")); !errors.Is(err, syscall.EIO) {
		t.Errorf("Flush = %v, want EIO", err)
	}
	fault = nil
	mustFlush(t, f, group(1, "a"))
}

func TestAFullDiskMakesUnreadyForAWhile(t *testing.T) {
	t.Parallel()
	if !noSpace(syscall.ENOSPC) {
		t.Skip("this system has another error for a full disk")
	}
	d := &disk{}
	f, _ := faultyLane(t, d)
	d.onWrite = func(n int) (int, error) { return n - 1, syscall.ENOSPC }
	if class, _ := flushers.Classify(flush(f, group(1, "x"))); class != flushers.ClassRetry {
		t.Errorf("class %v, want a plain retry", class)
	}
	if f.IsReady("", "", 0) {
		t.Error("ready right after the disk was full")
	}
	f.vol.fullTil.Store(clock.Now()) // as if the time had passed
	if !f.IsReady("", "", 0) {
		t.Error("unready although the time has passed")
	}
	d.onWrite = nil
	mustFlush(t, f, group(1, "x"))
}

func TestOneFailedFileOfSeveralIsAPartialError(t *testing.T) {
	t.Parallel()
	d := &disk{}
	dir := t.TempDir()
	f := lane(t, new(flushertest.Process), key, func(f *Flusher) {
		at(dir, "{content.msg}.jsonl")(f)
		f.wrap = d.wrap
	})
	fail := func(n int) func(int) (int, error) {
		return func(size int) (int, error) {
			if n--; n == 0 {
				return 0, syscall.EIO
			}
			return size, nil
		}
	}
	d.onWrite = fail(2)
	err := flush(f, group(1, "a"), group(1, "b"), group(2, "a"))
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 || !errors.Is(partial.Failed[1], syscall.EIO) {
		t.Fatalf("Flush = %v, want group 1 failed with EIO", err)
	}
	wantTree(t, dir, map[string]string{
		"a.pod-0.000001.jsonl": lines(group(1, "a"), group(2, "a")),
		"b.pod-0.000001.jsonl": "",
	})
}

func TestManyLanesShareOneSync(t *testing.T) {
	t.Parallel()
	const lanes = 10_000
	dir := t.TempDir()
	var p flushertest.Process
	d := &disk{}
	gate := make(chan struct{})
	d.onSync = func() error { <-gate; return nil }
	var taken atomic.Int64 // by the first leader, before its sync
	d.onWrite = func(n int) (int, error) { taken.Add(1); return n, nil }
	flushers := make([]*Flusher, lanes)
	for i := range flushers {
		flushers[i] = lane(t, &p, protocol.Key{Project: "p", Logstore: fmt.Sprint(i)}, func(f *Flusher) {
			at(dir, "{project}.jsonl")(f)
			f.wrap = d.wrap
		})
	}
	var wg sync.WaitGroup
	for i, f := range flushers {
		wg.Go(func() {
			if err := flush(f, group(1, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, func() bool {
		for _, s := range flushers[0].store.series {
			s.mu.Lock()
			defer s.mu.Unlock()
			return taken.Load()+int64(len(s.waiting)) == lanes
		}
		return false
	})
	close(gate)
	wg.Wait()
	if got := d.syncs.Load(); got > 2 {
		t.Errorf("%d syncs for %d lanes at the same time, want at most 2", got, lanes)
	}
	files := tree(t, dir)
	if got := strings.Count(files["p.pod-0.000001.jsonl"], "\n"); got != lanes {
		t.Errorf("%d lines in %v, want %d", got, names(files), lanes)
	}
}

func TestWaitersLeaveWhenTheirTimeIsUp(t *testing.T) {
	t.Parallel()
	d := &disk{}
	dir := t.TempDir()
	var p flushertest.Process
	set := func(f *Flusher) {
		at(dir, "a.jsonl")(f)
		f.wrap = d.wrap
	}
	leader, waiter := lane(t, &p, key, set), lane(t, &p, key, set)
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	d.onSync = func() error { inside <- struct{}{}; <-gate; return nil }
	led := make(chan error, 1)
	go func() { led <- flush(leader, group(1, "led")) }()
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		left <- waiter.FlushBatch(ctx, &flushers.Batch{Groups: []*protocol.LogGroup{group(1, "left")}})
	}()
	s := leader.store.use(leader.vol, "a.jsonl", leader.layout)
	waitFor(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.waiting) == 1
	})
	leader.store.done(s)
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the waiter got %v, want the end of its context", err)
	}
	close(gate)
	if err := <-led; err != nil {
		t.Error(err)
	}
	mustFlush(t, waiter, group(1, "after"))
	wantTree(t, dir, map[string]string{"a.pod-0.000001.jsonl": lines(group(1, "led"), group(1, "after"))})
}

func TestALeaderWhoseTimeIsUpPassesOn(t *testing.T) {
	t.Parallel()
	d := &disk{}
	dir := t.TempDir()
	var p flushertest.Process
	set := func(path string) func(*Flusher) {
		return func(f *Flusher) {
			at(dir, path)(f)
			f.OpenFiles, f.wrap = 1, d.wrap
		}
	}
	busy, leader, next := lane(t, &p, key, set("busy")), lane(t, &p, key, set("a")), lane(t, &p, key, set("a"))
	gate, inside := make(chan struct{}), make(chan struct{}, 10)
	d.onSync = func() error { inside <- struct{}{}; <-gate; return nil }
	held := make(chan error, 1)
	go func() { held <- flush(busy, group(1, "x")) }() // has the only slot
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	led, followed := make(chan error, 1), make(chan error, 1)
	go func() {
		led <- leader.FlushBatch(ctx, &flushers.Batch{Groups: []*protocol.LogGroup{group(1, "leader")}})
	}()
	s := leader.store.use(leader.vol, "a", leader.layout)
	waiting := func(n int) func() bool {
		return func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.waiting) == n
		}
	}
	waitFor(t, waiting(1))
	go func() { followed <- flush(next, group(1, "next")) }()
	waitFor(t, waiting(2))
	leader.store.done(s)
	cancel()
	if err := <-led; !errors.Is(err, context.Canceled) {
		t.Errorf("the leader got %v, want the end of its context", err)
	}
	close(gate)
	if err := errors.Join(<-held, <-followed); err != nil {
		t.Error(err)
	}
	wantTree(t, dir, map[string]string{
		"busy.pod-0.000001": lines(group(1, "x")),
		"a.pod-0.000001":    lines(group(1, "next")),
	})
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true in 30s")
		}
	}
}
