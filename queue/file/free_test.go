package file

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// aged is a directory whose clock the test moves.
type aged struct {
	*testing.T
	dir   string
	clock time.Time
}

func newAged(t *testing.T) *aged {
	return &aged{T: t, dir: t.TempDir(), clock: time.Now()}
}

func (a *aged) now() time.Time { return a.clock }

func (a *aged) worker() *Letters {
	a.Helper()
	l, err := OpenLetters(a.dir, "h")
	if err != nil {
		a.Fatal(err)
	}
	l.now = a.now
	a.Cleanup(func() { _ = l.Close() })
	return l
}

func (a *aged) box() *Box { return &Box{dir: a.dir, now: a.now} }

func (a *aged) put(l *Letters) error {
	m := queue.Message{Value: []byte("v"), Headers: []queue.Header{{Key: queue.HeaderVersion, Value: queue.LetterFormat}}}
	if errs := l.Put(a.Context(), []queue.Message{m}); errs != nil {
		return errs[0]
	}
	return nil
}

func (a *aged) resolve() {
	a.Helper()
	var all []*queue.Letter
	if err := a.box().Letters(a.Context(), func(l *queue.Letter) error { all = append(all, l); return nil }); err != nil {
		a.Fatal(err)
	}
	if err := a.box().Resolve(a.Context(), all); err != nil {
		a.Fatal(err)
	}
}

// free frees and counts the files that stay.
func (a *aged) free() (text string, files int) {
	a.Helper()
	text, err := a.box().Free(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		a.Fatal(err)
	}
	return text, len(entries)
}

// Wherever its worker runs, a file that may still be written stays.
func TestAFileThatIsWrittenIsNotFreed(t *testing.T) {
	t.Parallel()
	a := newAged(t)
	l := a.worker()
	if err := a.put(l); err != nil {
		t.Fatal(err)
	}
	a.resolve()
	if text, files := a.free(); files != 2 || !strings.Contains(text, "may still write") {
		t.Errorf("%d files and %q, want the file and its sidecar", files, text)
	}
	if err := a.put(l); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if text, files := a.free(); files != 2 || !strings.Contains(text, "1 that are open") {
		t.Errorf("%d files and %q, want the one that has an open letter", files, text)
	}
	a.resolve()
	if text, files := a.free(); files != 0 || text != "" {
		t.Errorf("%d files and %q, want none", files, text)
	}
}

// A worker that crashed leaves a file that nobody ended. It goes when no worker, on any
// machine, would write it any more.
func TestWhatACrashLeftIsFreedWhenItIsOld(t *testing.T) {
	t.Parallel()
	a := newAged(t)
	if err := a.put(a.worker()); err != nil {
		t.Fatal(err)
	}
	a.resolve()
	a.clock = a.clock.Add(freeAge - time.Minute)
	if _, files := a.free(); files != 2 {
		t.Errorf("%d files a minute before their time, want 2", files)
	}
	a.clock = a.clock.Add(2 * time.Minute)
	if text, files := a.free(); files != 0 || text != "" {
		t.Errorf("%d files and %q, want none", files, text)
	}
}

func TestAnOldFileTakesNoLetters(t *testing.T) {
	t.Parallel()
	a := newAged(t)
	l := a.worker()
	for _, step := range []time.Duration{0, fileAge - time.Minute, time.Minute} {
		a.clock = a.clock.Add(step)
		if err := a.put(l); err != nil {
			t.Fatal(err)
		}
	}
	if files, letters := count(t, a.dir); files != 2 || letters != 3 {
		t.Errorf("%d letters in %d files, want 3 in 2", letters, files)
	}
}

// A process that stood still within a put may come back when its file is gone.
func TestALateLetterIsNotConfirmed(t *testing.T) {
	t.Parallel()
	a := newAged(t)
	l := a.worker()
	if err := a.put(l); err != nil {
		t.Fatal(err)
	}
	looks := 0
	l.now = func() time.Time { // the third look is after the letter is on the disk
		if looks++; looks >= 3 {
			return a.clock.Add(lateAge)
		}
		return a.clock
	}
	if err := a.put(l); err == nil || !strings.Contains(err.Error(), "may have removed") {
		t.Errorf("a put that took a day: %v", err)
	}
	l.now = a.now
	if err := a.put(l); err != nil {
		t.Fatal(err)
	}
	if files, letters := count(t, a.dir); files != 2 || letters != 2 {
		t.Errorf("%d letters in %d files, want 2 in 2", letters, files)
	}
}

func TestASidecarWithoutItsFileGoes(t *testing.T) {
	t.Parallel()
	a := newAged(t)
	l := a.worker()
	if err := a.put(l); err != nil {
		t.Fatal(err)
	}
	a.resolve()
	if err := os.Remove(l.file.Name()); err != nil { // a crash of Free
		t.Fatal(err)
	}
	if text, files := a.free(); files != 0 || text != "" {
		t.Errorf("%d files and %q, want none", files, text)
	}
}
