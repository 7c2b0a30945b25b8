package cmd

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On a terminal each frame is one write over the one before, which clears only behind
// what it writes, and no line is unwritable by the terminal.
func TestAFrameIsDrawnOverTheOneBefore(t *testing.T) {
	t.Parallel()
	var out writes
	s := &screen{w: &out, terminal: true, size: func() (width, height int) { return 10, 4 }}
	if err := s.show([]byte("one\na line that is too long\n")); err != nil {
		t.Fatal(err)
	}
	if err := s.show([]byte("1\n2\n3\n4\n5\n")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"\x1b[2J\x1b[Hone\x1b[K\r\na line th…\x1b[K\r\n\x1b[J",
		"\x1b[H1\x1b[K\r\n2\x1b[K\r\nand 3 mor…\x1b[K\r\n\x1b[J",
	}
	if len(out) != 2 || out[0] != want[0] || out[1] != want[1] {
		t.Errorf("the frames are\n%q\nwant\n%q", out, want)
	}
}

// Elsewhere frames are plain lines below each other, and JSON is a line each.
func TestFramesElsewhereArePlainLines(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ first, second, want string }{
		{"one\n", "two\n", "one\n\ntwo\n"},
		{`{"a":1}` + "\n", `{"a":2}` + "\n", `{"a":1}` + "\n" + `{"a":2}` + "\n"},
	} {
		var b bytes.Buffer
		s := newScreen(&b)
		for _, frame := range []string{tc.first, "", tc.second} {
			if err := s.show([]byte(frame)); err != nil {
				t.Fatal(err)
			}
		}
		if b.String() != tc.want {
			t.Errorf("%q, want %q", b.String(), tc.want)
		}
	}
}

type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

type unwritable struct{ err error }

func (b unwritable) Write([]byte) (int, error) { return 0, b.err }

// Nobody who reads is an end and no error; anything else that cannot be written is one.
func TestAWatchEndsWithItsReader(t *testing.T) {
	frame := func(context.Context) ([]byte, error) { return []byte("x\n"), nil }
	p := &program{stdout: unwritable{syscall.EPIPE}, stderr: new(bytes.Buffer)}
	if err := p.watch(t.Context(), frame); err != nil {
		t.Errorf("a reader that has gone: %v", err)
	}
	p.stdout = unwritable{errors.New("no space")}
	if err := p.watch(t.Context(), frame); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("a full disk: %v", err)
	}
	p.stdout = new(bytes.Buffer)
	down := func(context.Context) ([]byte, error) { return nil, errors.New("nobody there") }
	if err := p.watch(t.Context(), down); err == nil {
		t.Error("a worker that never answered: want an error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(0, cancel)
	if err := p.watch(ctx, func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }); err != nil {
		t.Errorf("an interrupt: %v", err)
	}
}
