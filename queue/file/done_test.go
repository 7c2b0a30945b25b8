package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/internal/filelock"
)

// However appends were cut off, what is whole is read, and nothing else than what somebody
// began to write: the next bytes may happen to complete that.
func TestWhatIsWholeOfASidecarIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		var b []byte
		want, begun := offsets{}, map[int64]bool{}
		for range rapid.IntRange(0, 20).Draw(rt, "records") {
			at := rapid.Int64Range(0, 1<<40).Draw(rt, "at")
			one := appendDone(nil, at)
			if cut := rapid.IntRange(0, 3*doneBytes).Draw(rt, "cut"); cut < doneBytes {
				b = append(b, one[:cut]...)
				begun[at] = true
				continue
			}
			b, want = append(b, one...), append(want, at)
		}
		slices.Sort(want)
		want = slices.Compact(want)
		got := parseDone(b)
		for _, at := range want {
			if !got.has(at) {
				rt.Fatalf("%v, want %v", got, want)
			}
		}
		for _, at := range got {
			if !want.has(at) && !begun[at] {
				rt.Fatalf("%v, want %v", got, want)
			}
		}
	})
}

func FuzzDone(f *testing.F) {
	f.Add(appendDone(nil, 8))
	f.Add(appendDone(appendDone(nil, 1<<40)[:9], 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		done := parseDone(b)
		if len(done) > len(b)/doneBytes || !slices.IsSorted(done) {
			t.Fatalf("%v of %d bytes", done, len(b))
		}
		for _, at := range done {
			if at < 0 || !done.has(at) || !slices.Contains(parseDone(append(b, appendDone(nil, at)...)), at) {
				t.Fatalf("%d of %v", at, done)
			}
		}
	})
}

// Several processes append, one of which died halfway.
func TestManyAppendToASidecar(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letters-x.fll")
	if err := os.WriteFile(path+doneSuffix, appendDone(nil, 7)[:5], 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for k := range int64(4) {
		all.Go(func() {
			for i := range int64(25) {
				if err := markDone(t.Context(), path, []int64{i, 1000*k + i}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	done, err := readDone(path)
	if err != nil || len(done) != 100 || !done.has(3024) {
		t.Errorf("%d offsets, %v; want 100", len(done), err)
	}
	if st, err := os.Stat(path + doneSuffix); err != nil || st.Size() != int64(5+100*doneBytes) {
		t.Errorf("the sidecar has %v bytes, %v", st.Size(), err)
	}
}

func TestALockThatIsKeptEndsWithTheContext(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letters-x.fll")
	f, err := os.Create(path + doneSuffix)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if ok, err := filelock.Try(f); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := markDone(ctx, path, []int64{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("marked while another process has the lock: %v", err)
	}
	f.Close()
	if err := markDone(t.Context(), path, []int64{1}); err != nil {
		t.Error(err)
	}
}
