//go:build unix

package file

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

// Without descriptors, files that nobody uses are closed instead of being kept
// while others wait for ever.
func TestAProcessOutOfDescriptorsKeepsFewerFilesOpen(t *testing.T) {
	t.Parallel()
	const lanes, descriptors = 40, 10
	var (
		dir     = t.TempDir()
		process = new(flushertest.Process)
		d       = &disk{}
		failed  int
	)
	want := map[string]string{}
	for i := range lanes {
		k := protocol.Key{Project: "p", Logstore: fmt.Sprint(i), Config: "c"}
		f := lane(t, process, k, func(f *Flusher) {
			at(dir, "{logstore}.jsonl")(f)
			f.wrap = d.wrap
			f.syncDir = func(*os.Root, string) error {
				if d.open.Load() > descriptors {
					return syscall.EMFILE
				}
				return nil
			}
		})
		err := flush(f, group(1, "x"))
		if errors.Is(err, syscall.EMFILE) {
			failed++
			err = flush(f, group(1, "x"))
		}
		if err != nil {
			t.Fatalf("lane %d: %v", i, err)
		}
		want[fmt.Sprintf("%d.pod-0.000001.jsonl", i)] = lines(group(1, "x"))
	}
	if failed != 1 {
		t.Errorf("%d lanes met the limit, want the first that did to make room for the rest", failed)
	}
	wantTree(t, dir, want)
}

func TestOpenFilesLeaveDescriptorsToTheRestOfTheProcess(t *testing.T) {
	t.Parallel()
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	st := newStore(asFile, syncDir)
	t.Cleanup(func() { _ = st.Close() })
	if _, err := st.volume(t.TempDir(), 1<<30); err != nil {
		t.Fatal(err)
	}
	if most := int(min(l.Cur, 1<<31-1)) / 4; st.limit > most || st.limit < 1 {
		t.Errorf("%d open files of %d descriptors, want at most %d", st.limit, l.Cur, most)
	}
}

// `check --connect` starts an instance and flushes nothing.
func TestARootThatCannotBeWrittenIsFoundAtInit(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	f := newFlusher()
	at(dir, "a.jsonl")(f)
	err := f.Init(new(flushertest.Process).Context(t, key))
	if class, _ := flushers.Classify(err); class != flushers.ClassMisconfigured || !errors.Is(err, syscall.EACCES) {
		t.Errorf("Init = %v, want a misconfiguration that says the root is not writable", err)
	}
}
