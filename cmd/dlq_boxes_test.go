package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

// keptBox is a box in memory.
type keptBox struct {
	name    string
	letters []*queue.Letter
	gone    map[queue.Place]bool
	never   error // it was never made
	fails   error // of Resolve and Free
	freed   string
	freeing int
	closed  int
}

func (b *keptBox) Describe() string { return "stream " + b.name }

func (b *keptBox) Letters(_ context.Context, visit func(*queue.Letter) error) error {
	if b.never != nil {
		return b.never
	}
	for _, l := range b.letters {
		if b.gone[l.Places[0]] {
			continue
		}
		if err := visit(l); err != nil {
			return fmt.Errorf("couldn't read %s: %w", b.Describe(), err)
		}
	}
	return nil
}

func (b *keptBox) Resolve(_ context.Context, ls []*queue.Letter) error {
	if b.gone == nil {
		b.gone = map[queue.Place]bool{}
	}
	for _, l := range ls {
		b.gone[l.Places[0]] = true
	}
	return b.fails
}

func (b *keptBox) Free(context.Context) (string, error) {
	b.freeing++
	return b.freed, b.fails
}

func (b *keptBox) Close() error {
	b.closed++
	return b.fails
}

func TestSeveralBoxesAreOne(t *testing.T) {
	t.Parallel()
	missing := &queue.MissingError{What: "stream", Name: "C"}
	a := &keptBox{name: "A", letters: []*queue.Letter{kept("A", 1), kept("A", 2)}, freed: "2 bytes"}
	b := &keptBox{name: "B", letters: []*queue.Letter{kept("B", 1)}}
	c := &keptBox{name: "C", never: missing}
	if one := oneBox([]queue.LetterBox{a}); one != queue.LetterBox(a) {
		t.Errorf("of one: %T", one)
	}
	all := oneBox([]queue.LetterBox{a, b, c})
	if got := all.Describe(); got != "stream A, stream B, stream C" {
		t.Error(got)
	}
	names := func() (names []string) {
		if err := all.Letters(t.Context(), func(l *queue.Letter) error {
			names = append(names, l.Name())
			return nil
		}); err != nil {
			t.Error(err)
		}
		return names
	}
	if diff := cmp.Diff([]string{"A/1", "A/2", "B/1"}, names()); diff != "" {
		t.Error(diff)
	}
	if err := all.Resolve(t.Context(), []*queue.Letter{b.letters[0], a.letters[0]}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"A/2"}, names()); diff != "" {
		t.Error(diff)
	}
	if err := all.Resolve(t.Context(), []*queue.Letter{kept("Z", 1)}); err == nil || !strings.Contains(err.Error(), "Z/1") {
		t.Errorf("a letter of no box: %v", err)
	}
	if text, err := all.Free(t.Context()); text != "2 bytes" || err != nil || b.freeing != 1 {
		t.Errorf("%q, %v", text, err)
	}
	b.fails = errors.New("denied")
	if _, err := all.Free(t.Context()); !errors.Is(err, b.fails) || a.freeing != 2 {
		t.Errorf("%v", err)
	}
	if err := all.Resolve(t.Context(), b.letters); !errors.Is(err, b.fails) {
		t.Errorf("%v", err)
	}
	if err := all.Close(); !errors.Is(err, b.fails) || a.closed != 1 || c.closed != 1 {
		t.Errorf("%v", err)
	}
	if err := oneBox([]queue.LetterBox{c, c}).Letters(t.Context(), nil); !errors.Is(err, missing) {
		t.Errorf("none was ever made: %v", err)
	}
}
