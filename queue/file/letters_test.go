package file_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
)

func open(t *testing.T, dir string) *file.Letters {
	t.Helper()
	l, err := file.OpenLetters(dir, "pod-1/../x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func put(t *testing.T, l *file.Letters, ms ...queue.Message) {
	t.Helper()
	if errs := l.Put(t.Context(), ms); errs != nil {
		t.Fatal(errors.Join(errs...))
	}
}

// read is all letters of a directory and the torn bytes.
func read(t *testing.T, dir string) (ms []queue.Message, torn int64) {
	t.Helper()
	files, err := file.LetterFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r, err := file.OpenReader(f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			ms = append(ms, m)
		}
		torn += r.Torn()
	}
	return ms, torn
}

func values(ms []queue.Message) string {
	var all []string
	for _, m := range ms {
		all = append(all, string(m.Value))
	}
	return strings.Join(all, ",")
}

func letter(v string) queue.Message { return queue.Message{Value: []byte(v)} }

func TestLettersComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "dir")
	l := open(t, dir)
	want := []queue.Message{
		{
			Value: []byte("payload\x00\n"), Key: []byte("k"), Subject: "r.f.shop.access.c", Time: time.Unix(12, 345),
			Headers: []queue.Header{{Key: "X-Log-Project", Value: "shop"}, {Key: "x-flushline-error", Value: "line 1\nline 2"}, {Key: "x-flushline-error", Value: ""}},
		},
		{Time: time.Unix(0, 0), Value: []byte{}}, // when the message was sent is nobody's business here
		{Value: bytes.Repeat([]byte("large"), 1<<20)},
		{Value: []byte("no time")},
	}
	before := time.Now()
	put(t, l, want...)
	got, torn := read(t, dir)
	for i := range got {
		if at := got[i].Time; at.Before(before) || at.After(time.Now()) {
			t.Errorf("letter %d was stored at %s", i, at)
		}
		got[i].Position, got[i].Time, want[i].Time = 0, time.Time{}, time.Time{}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" || torn != 0 {
		t.Errorf("torn %d, letters (-want +got):\n%s", torn, diff)
	}
	files, _ := file.LetterFiles(dir)
	if len(files) != 1 || filepath.Dir(files[0]) != dir || !strings.Contains(files[0], "-pod-1____x-") {
		t.Errorf("files %v", files)
	}
}

func TestAnEmptyDirectoryStaysEmptyUntilTheFirstLetter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestEachProcessWritesFilesOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := open(t, dir), open(t, dir)
	var wg sync.WaitGroup
	for _, l := range []*file.Letters{one, two, one, two} {
		wg.Go(func() {
			for i := range 25 {
				if errs := l.Put(t.Context(), []queue.Message{letter(fmt.Sprint(i))}); errs != nil {
					t.Error(errs)
				}
			}
		})
	}
	wg.Wait()
	if ms, torn := read(t, dir); len(ms) != 100 || torn != 0 {
		t.Errorf("%d letters, %d torn", len(ms), torn)
	}
	if files, _ := file.LetterFiles(dir); len(files) != 2 {
		t.Errorf("files %v", files)
	}
}

// Wherever a crash cuts the last file, all letters before the cut are read, the
// cut one is not, and nothing is called damaged.
func TestATornTailIsPassedOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), letter("first"), letter("second"), letter("third"))
	files, _ := file.LetterFiles(dir)
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	ends := []int{}
	ms, _ := read(t, dir)
	for _, m := range ms[1:] {
		ends = append(ends, int(m.Position))
	}
	ends = append(ends, len(whole))
	for cut := range len(whole) {
		var want []string
		for i, end := range ends {
			if cut >= end {
				want = append(want, []string{"first", "second", "third"}[i])
			}
		}
		for _, tail := range []string{"", strings.Repeat("\x00", len(whole)-cut)} {
			if tail != "" && !contains(append(ends, 8), cut) {
				continue // zeros inside a record are a wrong checksum, below
			}
			if err := os.WriteFile(files[0], append(whole[:cut:cut], tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			got, torn := read(t, dir)
			if values(got) != strings.Join(want, ",") {
				t.Fatalf("cut at %d with %d zeros: got %q, want %q", cut, len(tail), values(got), want)
			}
			if atEnd := cut == 0 || contains(append(ends, 8), cut); (torn == 0) != (atEnd && tail == "" || cut < 8) {
				t.Fatalf("cut at %d with %d zeros: torn %d", cut, len(tail), torn)
			}
		}
	}
}

func contains(list []int, v int) bool {
	for _, one := range list {
		if one == v {
			return true
		}
	}
	return false
}

func TestDamageIsNotSilent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, open(t, dir), letter("first"), letter("second"))
	files, _ := file.LetterFiles(dir)
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		ms, _ := read(t, dir)
		at := rapid.IntRange(0, int(ms[1].Position)-1).Draw(rt, "at")
		b := append([]byte{}, whole...)
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		path := filepath.Join(t.TempDir(), "damaged")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			rt.Fatal(err)
		}
		r, err := file.OpenReader(path)
		var corrupt *file.CorruptError
		if err != nil {
			if at >= 8 || !errors.As(err, &corrupt) {
				rt.Fatalf("open: %v", err)
			}
			return
		}
		defer r.Close()
		m, err := r.Next()
		switch {
		case err == nil:
			rt.Fatalf("byte %d is damaged and the letter was read as %q", at, m.Value)
		case errors.Is(err, io.EOF):
			if r.Torn() == 0 {
				rt.Fatalf("byte %d is damaged and the file reads as empty", at)
			}
		case !errors.As(err, &corrupt):
			rt.Fatalf("byte %d: %v", at, err)
		}
	})
}

func TestAPutWithAnEndedContextStoresNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if errs := l.Put(ctx, []queue.Message{letter("a"), letter("b")}); len(errs) != 2 || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("errors %v", errs)
	}
	if ms, _ := read(t, dir); len(ms) != 0 {
		t.Errorf("stored %d", len(ms))
	}
}

func TestALostDirectoryFailsAndRecovers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "letters")
	l := open(t, dir)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if errs := l.Put(t.Context(), []queue.Message{letter("a")}); len(errs) != 1 || errs[0] == nil || !strings.Contains(errs[0].Error(), dir) {
		t.Fatalf("put without the directory: %v", errs)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	put(t, l, letter("b"))
	if ms, _ := read(t, dir); values(ms) != "b" {
		t.Errorf("stored %q", values(ms))
	}
}

func TestADirectoryThatCannotBeWrittenIsRefusedAtOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.OpenLetters(path, "h"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("open of a file: %v", err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("flushlt1"))
	f.Add([]byte("flushlt1\x0b\x00\x00\x00aaaa00000000\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := file.OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for range len(b) + 2 {
			_, err := r.Next()
			var corrupt *file.CorruptError
			switch {
			case errors.Is(err, io.EOF):
				return
			case errors.As(err, &corrupt) && corrupt.Length <= 0:
				t.Fatal(err)
			case err != nil && corrupt == nil:
				t.Fatal(err)
			}
		}
		t.Fatal("a reader that never ends")
	})
}
