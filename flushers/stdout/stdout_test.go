package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var key = protocol.Key{Project: "shop", Logstore: "orders", Config: "c1"}

func TestOptionTags(t *testing.T) {
	t.Parallel()
	if err := option.Check(&Flusher{}); err != nil {
		t.Error(err)
	}
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := start(t, new(flushertest.Process), &out, FormatJSON)
	g := group("hello\nworld")
	if err := f.Flush(key.Project, key.Logstore, key.Config, []*protocol.LogGroup{g, {}, g}); err != nil {
		t.Fatal(err)
	}
	if want := protocol.AppendJSONLines(protocol.AppendJSONLines(nil, g), g); !bytes.Equal(out.Bytes(), want) {
		t.Errorf("printed %q, want %q", out.Bytes(), want)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 2 {
		t.Errorf("%d lines for 2 logs", lines)
	}
}

func TestPrettyLines(t *testing.T) {
	t.Parallel()
	ns := uint32(5_000_000)
	g := &protocol.LogGroup{
		Topic: "t", LogTags: []*protocol.LogTag{{Key: "host", Value: "web 1"}},
		Logs: []*protocol.Log{
			{Time: 1_700_000_000, Contents: []*protocol.Log_Content{{Key: "level", Value: "WARN"}, {Key: "msg", Value: "a\x1b[2J\"b\""}}},
			{Time: 1_700_000_001, TimeNs: &ns, Values: []string{"raw"}, Contents: []*protocol.Log_Content{{Key: "x", Value: ""}, {Key: "y", Value: "\xff"}}},
		},
	}
	want := `2023-11-14T22:13:20Z shop/orders/c1 level=WARN msg="a\x1b[2J\"b\"" [topic=t host="web 1"]
2023-11-14T22:13:21.005000000Z shop/orders/c1 x="" y="\xff" raw [topic=t host="web 1"]
`
	var out bytes.Buffer
	f := start(t, new(flushertest.Process), &out, FormatPretty)
	if err := f.Flush(key.Project, key.Logstore, key.Config, []*protocol.LogGroup{g}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// halves writes in two steps with room for others in between, and is not locked:
// two writers at a time mix their lines, and the race detector sees them.
type halves struct{ b []byte }

func (w *halves) Write(b []byte) (int, error) {
	w.b = append(w.b, b[:len(b)/2]...)
	runtime.Gosched()
	w.b = append(w.b, b[len(b)/2:]...)
	return len(b), nil
}

func TestLinesOfManyLanesNeverMix(t *testing.T) {
	t.Parallel()
	var p flushertest.Process
	out := &halves{}
	const lanes, flushes = 16, 50
	var wg sync.WaitGroup
	for lane := range lanes {
		f := start(t, &p, out, FormatJSON)
		wg.Go(func() {
			for n := range flushes {
				g := group(fmt.Sprintf("lane %d log %d %s", lane, n, strings.Repeat("x", 200)))
				if err := f.Flush(key.Project, key.Logstore, key.Config, []*protocol.LogGroup{g}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSuffix(string(out.b), "\n"), "\n")
	if len(lines) != lanes*flushes {
		t.Errorf("%d lines, want %d", len(lines), lanes*flushes)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("a line is not JSON: %q", line)
		}
	}
}

type failing struct {
	after int
	out   bytes.Buffer
}

func (w *failing) Write(b []byte) (int, error) {
	if w.after >= 0 && len(b) > w.after {
		w.out.Write(b[:w.after])
		w.after = -1
		return 5, io.ErrShortWrite
	}
	return w.out.Write(b)
}

func TestARetryDoesNotContinueATornLine(t *testing.T) {
	t.Parallel()
	w := &failing{after: 5}
	f := start(t, new(flushertest.Process), w, FormatJSON)
	groups := []*protocol.LogGroup{group("hello")}
	err := f.Flush(key.Project, key.Logstore, key.Config, groups)
	if class, _ := flushers.Classify(err); class != flushers.ClassRetry {
		t.Fatalf("a short write = %v (%v), want a plain error", err, class)
	}
	if err := f.Flush(key.Project, key.Logstore, key.Config, groups); err != nil {
		t.Fatal(err)
	}
	torn, whole, _ := strings.Cut(w.out.String(), "\n")
	if len(torn) != 5 || whole != string(protocol.AppendJSONLines(nil, groups[0])) {
		t.Errorf("printed %q and %q", torn, whole)
	}
}

type blocked struct{ gate chan struct{} }

func (w *blocked) Write(b []byte) (int, error) { <-w.gate; return len(b), nil }

func TestAPipeThatNobodyReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p flushertest.Process
		w := &blocked{gate: make(chan struct{})}
		f, other := start(t, &p, w, FormatJSON), start(t, &p, w, FormatJSON)
		done := make(chan error, 1)
		go func() { done <- f.Flush("p", "l", "c", []*protocol.LogGroup{group("x")}) }()
		synctest.Wait()
		if !other.IsReady("p", "l", 0) {
			t.Error("unready while the write is young")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := other.FlushBatch(ctx, &flushers.Batch{Groups: []*protocol.LogGroup{group("y")}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a Flush behind a blocked one = %v, want the end of its context", err)
		}
		if other.IsReady("p", "l", 0) {
			t.Error("ready although a write has been blocked for 2s")
		}
		close(w.gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !other.IsReady("p", "l", 0) {
			t.Error("unready after the write returned")
		}
	})
}

func group(msg string) *protocol.LogGroup {
	return &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "msg", Value: msg}}}}}
}

func start(t *testing.T, p *flushertest.Process, out io.Writer, format string) *Flusher {
	t.Helper()
	k := Kind()
	f, ok := k.New().(*Flusher)
	if !ok {
		t.Fatal("New made another type")
	}
	f.out, f.Format = out, format
	if err := f.Init(p.Context(t, key)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestLinesInAnotherShape(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := newFlusher()
	f.out, f.Shape = &out, "custom_single_flatten"
	if problems := f.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := f.Init(new(flushertest.Process).Context(t, key)); err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(key.Project, key.Logstore, key.Config, []*protocol.LogGroup{group("x")}); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), `{"msg":"x","time":1}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := f.Stop(); err != nil {
		t.Error(err)
	}
}
