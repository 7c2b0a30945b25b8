package logfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue/job"
)

func TestAFileThatIsNotTheOneThatWasPlanned(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	in := inputOf(t, &cfg)
	for name, change := range map[string]func(path string) error{
		"gone":    os.Remove,
		"longer":  func(p string) error { return os.WriteFile(p, jsonLines(101), 0o600) },
		"shorter": func(p string) error { return os.WriteFile(p, jsonLines(99), 0o600) },
		"touched": func(p string) error { return os.Chtimes(p, time.Time{}, time.Unix(1, 0)) },
		"a directory now": func(p string) error {
			if err := os.Remove(p); err != nil {
				return err
			}
			return os.Mkdir(p, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sliceOf(t, &cfg, written(t, "a", jsonLines(100)))
			if err := change(s.Name); err != nil {
				t.Fatal(err)
			}
			_, err := readAll(in, &s, 0, 1)
			var changed *job.ChangedError
			if !errors.As(err, &changed) || changed.Slice != s.Name || changed.Why == "" {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// A file that somebody writes to while it is read shows at its end at the latest.
func TestAFileThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"cut off": func(p string) error { return os.Truncate(p, 600<<10) },
		"written to": func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("more\n")
			return errors.Join(err, f.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := DefaultConfig()
			s := sliceOf(t, &cfg, written(t, "a", jsonLines(20000)))
			ctx := context.Background()
			r, err := inputOf(t, &cfg).Open(ctx, &s, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Read(ctx, 1); err != nil {
				t.Fatal(err)
			}
			if err := change(s.Name); err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				_, err = r.Read(ctx, 1<<20)
				if err != nil {
					break
				}
			}
			var changed *job.ChangedError
			if !errors.As(err, &changed) {
				t.Fatalf("got %v", err)
			}
			if _, again := r.Read(ctx, 1); !errors.Is(again, err) {
				t.Errorf("then %v", again)
			}
		})
	}
}

func TestAFileThatMustNotBeRead(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	s := sliceOf(t, &cfg, written(t, "a", jsonLines(1)))
	if err := os.Chmod(s.Name, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(s.Name); err == nil {
		_ = f.Close()
		t.Skip("this user may read everything")
	}
	if _, err := readAll(inputOf(t, &cfg), &s, 0, 1); !job.IsUnreadable(err) || !strings.Contains(err.Error(), s.Name) {
		t.Errorf("got %v", err)
	}
}

// Origins depend on the name below the root, size and content: a file that was moved,
// copied or touched gives the same.
func TestOriginsAreThoseOfTheContent(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	in := inputOf(t, &cfg)
	read := func(name string, content []byte, touched bool) all {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if touched {
			if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
				t.Fatal(err)
			}
		}
		s := sliceOf(t, &cfg, path)
		a, err := readAll(in, &s, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	content := jsonLines(3000)
	other := slices.Concat(content[:len(content)-3], []byte("9}\n"))
	first := read("a", content, false)
	if again := read("a", content, true); !slices.Equal(first.origins, again.origins) || len(first.origins) < 2 {
		t.Error("a file that was copied has other origins")
	}
	if renamed := read("b", content, false); renamed.origins[0] == first.origins[0] {
		t.Error("a file of another name has the same origins")
	}
	other[10]++
	if changed := read("a", other, false); changed.origins[0] == first.origins[0] {
		t.Error("a file of another content has the same origins")
	}
	if first.origins[0] == first.origins[1] {
		t.Error("two messages have one origin")
	}
}

// fragile is a file whose reads fail now and then.
type fragile struct {
	blob
	countdown int
}

var errFragile = errors.New("cable pulled")

func (f *fragile) readAt(ctx context.Context, p []byte, at int64) (int, error) {
	if f.countdown--; f.countdown < 0 {
		return 0, errFragile
	}
	return f.blob.readAt(ctx, p[:min(len(p), 4000)], at)
}

// Trouble is told of once a Read; the next one goes on where reading was.
func TestReadingGoesOnAfterTrouble(t *testing.T) {
	t.Parallel()
	var text []byte
	for i := range 6000 {
		text = fmt.Appendf(text, "{\"n\":\"%d\",\"hash\":\"%x\"}\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	for _, how := range compressions {
		cfg := DefaultConfig()
		s := sliceOf(t, &cfg, written(t, "a", compressed(t, how, text[:400], text[400:])))
		want, err := readAll(inputOf(t, &cfg), &s, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := newReader(inputOf(t, &cfg), &s, 0)
		reads := 10
		var got all
		trouble := 0
		for i := 0; ; i++ {
			if i > 10000 {
				t.Fatal("no end")
			}
			if r.raw == nil {
				if err := r.open(context.Background()); err != nil {
					t.Fatal(err)
				}
				reads += 10
			}
			if _, is := r.raw.blob.(*fragile); !is {
				r.raw.blob = &fragile{r.raw.blob, reads}
			}
			b, err := r.Read(context.Background(), 1)
			if err := checkBatch(&got, &b); err != nil {
				t.Fatal(err)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.Is(err, errFragile) {
				trouble++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if trouble == 0 {
			t.Errorf("%s: nothing went wrong", how)
		}
		if len(got.messages) != len(want.messages) || !slices.Equal(got.origins, want.origins) {
			t.Errorf("%s: %d messages, want %d", how, len(got.messages), len(want.messages))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAReadThatIsCutShortLosesNothing(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	s := sliceOf(t, &cfg, written(t, "a", compressed(t, "gzip", jsonLines(3000))))
	r, err := inputOf(t, &cfg).Open(context.Background(), &s, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	var a all
	for i := 0; ; i++ {
		ctx := context.Background()
		if i%2 == 0 {
			ctx = gone
		}
		b, err := r.Read(ctx, 1)
		if err := checkBatch(&a, &b); err != nil {
			t.Fatal(err)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if n := len(a.logs(t)); n != 3000 {
		t.Errorf("%d logs", n)
	}
	if c, ok := r.(job.Consumer); !ok || c.Consumed() != s.Size {
		t.Errorf("consumed %d of %d", c.Consumed(), s.Size)
	}
}
