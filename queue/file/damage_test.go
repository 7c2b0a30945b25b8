package file_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/file"
)

// shelf is one letter file that its writer ended, and how it was written.
type shelf struct {
	*testing.T
	dir, path string
	whole     []byte
	begins    []int // of its letters
}

func newShelf(t *testing.T, names ...string) *shelf {
	t.Helper()
	s := &shelf{T: t, dir: t.TempDir()}
	l := open(t, s.dir)
	for _, name := range names {
		put(t, l, whole(name))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := file.LetterFiles(s.dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	s.path = files[0]
	if s.whole, err = os.ReadFile(s.path); err != nil {
		t.Fatal(err)
	}
	for _, l := range s.letters() {
		s.begins = append(s.begins, int(l.Places[0].Position))
	}
	return s
}

func whole(name string) queue.Message {
	m := letter(name + strings.Repeat(".", 300))
	m.Subject = "shop.es.p.l.c"
	m.Headers = []queue.Header{{Key: queue.HeaderVersion, Value: queue.LetterFormat}}
	return m
}

func (s *shelf) write(b []byte) {
	s.Helper()
	if err := os.WriteFile(s.path, b, 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *shelf) box() *file.Box { return file.NewBox(s.dir) }

func (s *shelf) letters() (all []*queue.Letter) {
	s.Helper()
	if err := s.box().Letters(s.Context(), func(l *queue.Letter) error { all = append(all, l); return nil }); err != nil {
		s.Fatal(err)
	}
	return all
}

// names are those of whole letters, and "!" for each that is damaged.
func (s *shelf) names() string {
	s.Helper()
	var all []string
	for _, l := range s.letters() {
		name, _, _ := bytes.Cut(l.Value, []byte("."))
		if l.Damage != nil {
			name = []byte("!")
		}
		all = append(all, string(name))
	}
	return strings.Join(all, " ")
}

func (s *shelf) free() string {
	s.Helper()
	text, err := s.box().Free(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return text
}

func (s *shelf) gone() bool {
	_, err := os.Stat(s.path)
	return os.IsNotExist(err)
}

// Whatever byte is wrong, the other letters are read, and where the damage is shows.
func TestDamageCostsOneLetter(t *testing.T) {
	t.Parallel()
	s := newShelf(t, "a", "b", "c")
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(s.whole)-1).Draw(rt, "at")
		b := slices.Clone(s.whole)
		b[at] ^= byte(rapid.IntRange(1, 255).Draw(rt, "flip"))
		s.write(b)
		want := "a b c"
		switch {
		case at < s.begins[0]:
			want = "! a b c"
		case at < s.begins[1]:
			want = "! b c"
		case at < s.begins[2]:
			want = "a ! c"
		case at < len(s.whole)-12:
			want = "a b !"
		}
		got := s.names()
		if at >= len(s.whole)-12 { // of the mark that the file is ended
			got = strings.TrimSuffix(got, " !")
		}
		if got != want && !(at >= s.begins[2] && at < len(s.whole)-12 && got == "a b ! !") {
			rt.Fatalf("byte %d: %s, want %s", at, got, want)
		}
	})
}

func TestADamagedStretchIsOneLetter(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"zeros", "noise", "text"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s := newShelf(t, "a", "b", "c", "d", "e")
			b := slices.Clone(s.whole)
			for i := s.begins[1] - 10; i < s.begins[3]+20; i++ {
				b[i] = map[string]byte{"zeros": 0, "noise": byte(i * 131), "text": 'x'}[how]
			}
			s.write(b)
			if got := s.names(); got != "! e" {
				t.Fatalf("%s, want ! e", got)
			}
			l := s.letters()[0]
			if text := l.Damage.Error(); l.Places[0].Position != int64(s.begins[0]) || !strings.Contains(text, s.path) || !strings.Contains(text, fmt.Sprintf("%d bytes", s.begins[4]-s.begins[0])) {
				t.Errorf("%s: %s", l.Name(), text)
			}
			if err := s.box().Resolve(t.Context(), s.letters()); err != nil {
				t.Fatal(err)
			}
			if got := s.names(); got != "" {
				t.Errorf("%s, want nothing", got)
			}
			if text := s.free(); text != "" || !s.gone() {
				t.Errorf("the file stayed: %q", text)
			}
		})
	}
}

// What a crash left at the end is no letter. Behind the mark of a file that was ended
// nothing was being written.
func TestATornLetterIsNone(t *testing.T) {
	t.Parallel()
	s := newShelf(t, "a", "b")
	for cut := s.begins[1]; cut < len(s.whole)-12; cut++ {
		s.write(s.whole[:cut])
		if got := s.names(); got != "a" {
			t.Fatalf("cut at %d: %s", cut, got)
		}
	}
	s.write(append(slices.Clone(s.whole[:s.begins[1]]), make([]byte, 5000)...))
	if got := s.names(); got != "a" {
		t.Errorf("with zeros behind: %s", got)
	}
	s.write(append(slices.Clone(s.whole[:s.begins[1]+30]), make([]byte, 5000)...))
	if got := s.names(); got != "a !" {
		t.Errorf("with zeros within, as if it had been confirmed: %s", got)
	}
	long := slices.Clone(s.whole)
	long[s.begins[1]+2] = 0xff // of its length, which goes beyond the end now
	s.write(long)
	if got := s.names(); got != "a !" {
		t.Errorf("a letter that seems cut off by the mark: %s", got)
	}
	s.write(long[:len(long)-12])
	if got := s.names(); got != "a" {
		t.Errorf("the same without a mark: %s", got)
	}
}

func TestAFileThatWasRenamedIsRead(t *testing.T) {
	t.Parallel()
	s := newShelf(t, "a", "b")
	other := s.path[:len(s.path)-len(".fll")] + "-copy.fll"
	if err := os.Rename(s.path, other); err != nil {
		t.Fatal(err)
	}
	s.path = other
	if got := s.names(); got != "a b" {
		t.Errorf("%s, want a b", got)
	}
	if err := s.box().Resolve(t.Context(), s.letters()); err != nil {
		t.Fatal(err)
	}
	if text := s.free(); text == "" || s.gone() {
		t.Errorf("a file that nobody is known to have ended was removed: %q", text)
	}
}
