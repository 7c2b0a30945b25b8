package checker_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var key = protocol.Key{Project: "shop", Logstore: "orders", Config: "c1"}

func TestScriptedCalls(t *testing.T) {
	t.Parallel()
	c := checker.New()
	f := start(t, c)
	refused := errors.New("refused")
	c.FailNext(1, refused, checker.Logstore("orders"))
	c.FailNext(1, errors.New("not for this logstore"), checker.Logstore("other"))
	c.PanicNext(1, "boom")

	if err := flush(f, 1, id(1), id(2)); !errors.Is(err, refused) {
		t.Errorf("first Flush = %v, want the scripted error", err)
	}
	func() {
		defer func() {
			if v := recover(); v != "boom" {
				t.Errorf("second Flush panicked with %v", v)
			}
		}()
		_ = flush(f, 2, id(1), id(2))
	}()
	c.FailNext(1, &flushers.PartialError{Failed: map[int]error{0: refused}})
	if err := flush(f, 3, id(1), id(2)); err == nil {
		t.Error("third Flush = nil, want a partial error")
	}
	if err := flush(f, 4, id(1)); err != nil {
		t.Errorf("fourth Flush: %v", err)
	}
	want := map[protocol.ID]int{id(1): 1, id(2): 1}
	if diff := cmp.Diff(want, c.Count()); diff != "" {
		t.Errorf("stored groups (-want +got):\n%s", diff)
	}
	wantStats := checker.Stats{Inits: 1, Live: 1, Asked: 4, Flushes: 4, Failed: 3, Groups: 2}
	if diff := cmp.Diff(wantStats, c.Stats()); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	kept(t, c)
}

func TestHangEndsOnlyByRelease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := checker.New()
		f := start(t, c)
		release := c.Hang()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result := make(chan error, 1)
		go func() { result <- flushWith(ctx, f, 1, id(1)) }()
		<-ctx.Done()
		synctest.Wait()
		if got := c.Stats().Running; got != 1 {
			t.Fatalf("%d calls are running after the context ended, want 1", got)
		}
		release()
		if err := <-result; err != nil {
			t.Errorf("a released Flush = %v, want nil", err)
		}
		if err := c.WaitGroups(t.Context(), 1); err != nil {
			t.Error(err)
		}
		kept(t, c)
	})
}

func TestStallAndDelayEndWithTheContext(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(*checker.Script){
		"stall": func(c *checker.Script) { c.Stall() },
		"delay": func(c *checker.Script) { c.SetDelay(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := checker.New()
				f := start(t, c)
				script(c)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if err := flushWith(ctx, f, 1, id(1)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Flush = %v, want the context's error", err)
				}
			})
		})
	}
}

func TestInitAndStopAreScripted(t *testing.T) {
	t.Parallel()
	c := checker.New()
	broken := errors.New("no such table")
	c.FailInit(1, broken)
	c.OnStop(func(protocol.Key) error { return broken })
	k := c.Kind()
	if err := k.New().Init(flushertest.NewContext(t, key)); !errors.Is(err, broken) {
		t.Errorf("Init = %v, want the scripted error", err)
	}
	f := start(t, c)
	if err := f.Stop(); !errors.Is(err, broken) {
		t.Errorf("Stop = %v, want the scripted error", err)
	}
	kept(t, c)
}

func TestWaitGroupsSaysWhatItHas(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := checker.New().WaitGroups(ctx, 3)
	if err == nil || !strings.Contains(err.Error(), "waited for 3 groups") {
		t.Errorf("WaitGroups = %v", err)
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()
	group := &protocol.LogGroup{Topic: "t"}
	cases := map[string]struct {
		setup func(*checker.Script)
		do    func(t *testing.T, c *checker.Script, f *checker.Flusher)
		want  string
	}{
		"flush without ready": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = f.FlushBatch(context.Background(), batch(1, id(1)))
		}, want: "without a true IsReady"},
		"flush while unready": {do: func(_ *testing.T, c *checker.Script, f *checker.Flusher) {
			c.SetReady(false)
			_ = flush(f, 1, id(1))
		}, want: "without a true IsReady"},
		"call after stop": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = f.Stop()
			f.SetUrgent(true)
		}, want: "SetUrgent came after Stop"},
		"stop twice": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = f.Stop()
			_ = f.Stop()
		}, want: "Stop came after Stop"},
		"init twice": {do: func(t *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = f.Init(flushertest.NewContext(t, key))
		}, want: "Init came twice"},
		"stop during flush": {do: func(t *testing.T, c *checker.Script, f *checker.Flusher) {
			during(t, c, f, func() { _ = f.Stop() })
		}, want: "Stop came while 1 Flush"},
		"ready during flush": {do: func(t *testing.T, c *checker.Script, f *checker.Flusher) {
			during(t, c, f, func() { ready(f) })
		}, want: "IsReady came during a Flush"},
		"flush during flush": {do: func(t *testing.T, c *checker.Script, f *checker.Flusher) {
			during(t, c, f, func() { _ = f.FlushBatch(context.Background(), batch(1, id(2))) })
		}, want: "2 Flush calls at a time"},
		"another key": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			ready(f)
			b := batch(1, id(1))
			b.Logstore = "other"
			_ = f.FlushBatch(context.Background(), b)
		}, want: "Flush came for shop/other/c1"},
		"another logstoreKey": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			f.IsReady("shop", "orders", 7)
		}, want: "IsReady got logstoreKey 7"},
		"empty list": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = flush(f, 1)
		}, want: "empty list"},
		"ids missing": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			ready(f)
			b := batch(1, id(1), id(2))
			b.IDs = b.IDs[:1]
			_ = f.FlushBatch(context.Background(), b)
		}, want: "1 ids for 2 groups"},
		"retry of the unknown": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			_ = flush(f, 2, id(9))
		}, want: "never tried before"},
		"memory reused": {do: func(_ *testing.T, _ *checker.Script, f *checker.Flusher) {
			ready(f)
			b := batch(1, id(1))
			b.Groups[0] = group
			_ = f.FlushBatch(context.Background(), b)
			group.Topic = "changed"
		}, want: "changed after it began"},
		"two instances": {
			setup: func(c *checker.Script) { c.OneInstance = true },
			do:    func(t *testing.T, c *checker.Script, _ *checker.Flusher) { start(t, c) },
			want:  "before the instance before it was stopped",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := checker.New()
			if tc.setup != nil {
				tc.setup(c)
			}
			f := start(t, c)
			kept(t, c)
			tc.do(t, c, f)
			got := strings.Join(c.Violations(), "\n")
			if !strings.Contains(got, tc.want) || !strings.Contains(got, "shop/orders/c1: ") {
				t.Errorf("violations:\n%s\nwant %q", got, tc.want)
			}
		})
	}
}

func TestPlainKindHasNoOptionalInterface(t *testing.T) {
	t.Parallel()
	c := checker.New()
	c.Plain = true
	k := c.Kind()
	f := k.New()
	if _, ok := f.(flushers.BatchFlusher); ok {
		t.Fatal("the plain kind is a BatchFlusher")
	}
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	f.IsReady(key.Project, key.Logstore, key.LogstoreKey())
	groups := batch(1, id(1)).Groups
	if err := f.Flush(key.Project, key.Logstore, key.Config, groups); err != nil {
		t.Fatal(err)
	}
	if got := c.Groups(); len(got) != 1 || got[0] != groups[0] {
		t.Errorf("stored %v, want the group that was flushed", got)
	}
	kept(t, c)
}

func TestNoRetainCopies(t *testing.T) {
	t.Parallel()
	c := checker.New()
	c.NoRetain = true
	f := start(t, c)
	ready(f)
	b := batch(1, id(1))
	ns := uint32(5)
	b.Groups[0] = &protocol.LogGroup{Topic: "t", LogTags: []*protocol.LogTag{{Key: "k", Value: "v"}}, Logs: []*protocol.Log{
		{Time: 1, TimeNs: &ns, Values: []string{"x"}, Contents: []*protocol.Log_Content{{Key: "a", Value: "b"}}},
	}}
	want := *b.Groups[0]
	if err := f.FlushBatch(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got := c.Groups()[0]
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("the copy differs (-want +got):\n%s", diff)
	}
	b.Groups[0].Logs[0].Contents[0].Value = "reused"
	if got.Logs[0].Contents[0].Value != "b" {
		t.Error("the recorded group is not a copy")
	}
	kept(t, c)
}

func start(t *testing.T, c *checker.Script) *checker.Flusher {
	t.Helper()
	k := c.Kind()
	f, ok := k.New().(*checker.Flusher)
	if !ok {
		t.Fatalf("New made a %T", k.New())
	}
	if err := f.Init(flushertest.NewContext(t, key)); err != nil {
		t.Fatal(err)
	}
	return f
}

// during runs do while a Flush of f is running.
func during(t *testing.T, c *checker.Script, f *checker.Flusher, do func()) {
	t.Helper()
	release := c.Hang(func(c *checker.Call) bool { return c.IDs[0] == id(1) })
	result := make(chan error, 1)
	go func() { result <- flush(f, 1, id(1)) }()
	if err := c.Wait(t.Context(), "a running Flush", func(st checker.Stats) bool { return st.Running == 1 }); err != nil {
		t.Fatal(err)
	}
	do()
	release()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
}

func id(n uint32) protocol.ID { return protocol.ID{Origin: [16]byte{1}, Group: n} }

func batch(attempt int, ids ...protocol.ID) *flushers.Batch {
	b := &flushers.Batch{Project: key.Project, Logstore: key.Logstore, Config: key.Config, IDs: ids, Attempt: attempt}
	for range ids {
		b.Groups = append(b.Groups, &protocol.LogGroup{})
	}
	return b
}

func ready(f *checker.Flusher) { f.IsReady(key.Project, key.Logstore, key.LogstoreKey()) }

func flush(f *checker.Flusher, attempt int, ids ...protocol.ID) error {
	return flushWith(context.Background(), f, attempt, ids...)
}

func flushWith(ctx context.Context, f *checker.Flusher, attempt int, ids ...protocol.ID) error {
	ready(f)
	return f.FlushBatch(ctx, batch(attempt, ids...))
}

func kept(t *testing.T, c *checker.Script) {
	t.Helper()
	if v := c.Violations(); len(v) > 0 {
		t.Errorf("contract violations: %q", v)
	}
}
