package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"
)

// watchAgain is the pause between two frames of --watch.
const watchAgain = 2 * time.Second

// watch shows frame after frame until ctx ends or nobody reads any more. The first has
// to come; behind it a worker that does not answer is waited for.
func (p *program) watch(ctx context.Context, frame func(context.Context) ([]byte, error)) error {
	signal.Ignore(syscall.SIGPIPE) // a reader that has gone is an error of the write
	defer signal.Reset(syscall.SIGPIPE)
	s := newScreen(p.stdout)
	every := time.NewTicker(watchAgain)
	defer every.Stop()
	var last []byte
	for {
		text, err := frame(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			last = text
		case last == nil:
			return err // a wrong address stays wrong
		case s.terminal:
			text = append([]byte("no answer; this is the last one: "+printable(err.Error())+"\n\n"), last...)
		default:
			fmt.Fprintln(p.stderr, "flushline:", err) // a worker that restarts comes back
			text = nil
		}
		if err := s.show(text); errors.Is(err, syscall.EPIPE) {
			return nil
		} else if err != nil {
			return fmt.Errorf("couldn't print: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// screen is where frames are shown: on a terminal each over the one before, elsewhere
// one below the other.
type screen struct {
	w        io.Writer
	terminal bool
	size     func() (width, height int)
	shown    bool
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, terminal: isTerminal(w)}
	s.size = func() (width, height int) {
		if f, ok := w.(*os.File); ok {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil {
				return width, height
			}
		}
		return 80, 24
	}
	return s
}

// show is one write, so that a terminal never shows half a frame, and clears only what
// it does not write over, so that nothing flickers.
func (s *screen) show(frame []byte) error {
	if len(frame) == 0 {
		return nil
	}
	var b strings.Builder
	switch {
	case !s.terminal && s.shown && frame[0] != '{':
		b.WriteString("\n")
		b.Write(frame)
	case !s.terminal:
		b.Write(frame)
	default:
		if !s.shown {
			b.WriteString("\x1b[2J")
		}
		s.draw(&b, strings.Split(strings.TrimRight(string(frame), "\n"), "\n"))
	}
	s.shown = true
	_, err := io.WriteString(s.w, b.String())
	return err
}

// draw writes over what is there. What does not fit is cut, since a line that is broken
// by the terminal would move all others.
func (s *screen) draw(b *strings.Builder, lines []string) {
	width, height := s.size()
	if most := max(height-1, 1); len(lines) > most {
		rest := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("and %d more lines; without --watch all are shown", rest))
	}
	b.WriteString("\x1b[H")
	for _, line := range lines {
		if runes := []rune(line); width > 0 && len(runes) > width {
			line = string(runes[:width-1]) + "…"
		}
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
}
