package file

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/flushline/flushline/queue"
)

func count(t *testing.T, dir string) (files, letters int) {
	t.Helper()
	paths, err := LetterFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		r, err := OpenReader(p)
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err = r.Next(); err != nil {
				break
			}
			letters++
		}
		if !errors.Is(err, io.EOF) || r.Torn() != 0 {
			t.Fatalf("%s: %v, torn %d", p, err, r.Torn())
		}
		_ = r.Close()
	}
	return len(paths), letters
}

func TestAFullFileIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	l, err := OpenLetters(t.TempDir(), "h")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.rotate = 1000
	for range 30 {
		if errs := l.Put(t.Context(), []queue.Message{{Value: make([]byte, 100)}}); errs != nil {
			t.Fatal(errs)
		}
	}
	if files, letters := count(t, l.dir); files < 3 || letters != 30 {
		t.Errorf("%d letters in %d files", letters, files)
	}
}

// A file that fails is left behind with what was confirmed; the next put goes to
// another one.
func TestAFailedWriteConfirmsNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	l, err := OpenLetters(t.TempDir(), "h")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	one := []queue.Message{{Value: []byte("a")}}
	if errs := l.Put(t.Context(), one); errs != nil {
		t.Fatal(errs)
	}
	readOnly, err := os.Open(l.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.file.Close()
	l.file = readOnly
	if errs := l.Put(t.Context(), one); len(errs) != 1 || errs[0] == nil {
		t.Fatalf("a put that cannot be written: %v", errs)
	}
	if errs := l.Put(t.Context(), one); errs != nil {
		t.Fatal(errs)
	}
	if files, letters := count(t, l.dir); files != 2 || letters != 2 {
		t.Errorf("%d letters in %d files, want the two confirmed ones", letters, files)
	}
}
