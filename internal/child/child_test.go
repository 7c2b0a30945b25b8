package child

import (
	"strings"
	"testing"
)

// Where a child listens stands at the beginning of its log, however much follows.
func TestTheBeginningOfALogIsKept(t *testing.T) {
	t.Parallel()
	var kept tail
	line := strings.Repeat("x", 999) + "\n"
	lines := []string{"listening on 127.0.0.1:1\n"}
	for range 1000 {
		lines = append(lines, line)
	}
	lines = append(lines, "stopped\n")
	for _, l := range lines {
		if n, err := kept.Write([]byte(l)); n != len(l) || err != nil {
			t.Fatalf("wrote %d (%v) of %d", n, err, len(l))
		}
	}
	got := kept.String()
	if !strings.HasPrefix(got, lines[0]) || !strings.HasSuffix(got, "\nstopped\n") || !strings.Contains(got, "\n...\n") {
		t.Errorf("it keeps %.60q ... %q", got, got[len(got)-60:])
	}
	if len(got) > headSize+tailSize+10 {
		t.Errorf("it keeps %d bytes", len(got))
	}
}

func TestAShortLogIsKeptWhole(t *testing.T) {
	t.Parallel()
	var kept tail
	want := strings.Repeat("a line\n", headSize/4)
	for rest := want; rest != ""; {
		n := min(len(rest), 1000)
		if _, err := kept.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if kept.String() != want {
		t.Error("what was written is not what is kept")
	}
}
