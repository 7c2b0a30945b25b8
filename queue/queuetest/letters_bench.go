package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// letterBench is one test of a dead letter queue.
type letterBench struct {
	*testing.T
	h *LetterHarness
	q LetterQueue
}

func (b *letterBench) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(b.Context(), b.h.Patience)
}

func (b *letterBench) sink() (queue.Sink, func()) {
	b.Helper()
	s, done, err := b.q.Sink()
	if err != nil {
		b.Fatal(err)
	}
	return s, done
}

func (b *letterBench) box() queue.LetterBox {
	b.Helper()
	box, err := b.q.Box()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := box.Close(); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	return box
}

// message is a letter as a worker puts it; its name begins the value.
func (b *letterBench) message(name string, size int) queue.Message {
	value := append([]byte(name+":"), make([]byte, max(size-len(name)-1, 0))...)
	_, _ = rand.NewChaCha8([32]byte{byte(size)}).Read(value[len(name)+1:]) // never fails
	return queue.Message{
		Value: value, Subject: letterLane.String(),
		Headers: []queue.Header{
			{Key: "x-log-project", Value: letterLane.Project},
			{Key: "x-log-logstore", Value: letterLane.Logstore},
			{Key: "x-log-config", Value: letterLane.Config},
			{Key: "theirs", Value: "one, two"},
			{Key: "content-type", Value: "application/x-protobuf;type=loggroup"},
			{Key: queue.HeaderVersion, Value: queue.LetterFormat},
			{Key: queue.HeaderTo, Value: "prod/" + letterLane.Entry()},
			{Key: queue.HeaderOrigin, Value: strings.Repeat("0a", 16)},
			{Key: queue.HeaderReason, Value: "permanent"},
			{Key: queue.HeaderError, Value: "no such table"},
			{Key: queue.HeaderAttempts, Value: "3"},
		},
	}
}

var letterLane = queue.Lane{Route: "shop", Flusher: "es", Project: "p", Logstore: "a.b", Config: "c"}

func (b *letterBench) put(s queue.Sink, ms ...queue.Message) {
	b.Helper()
	ctx, cancel := b.within()
	defer cancel()
	if errs := s.Put(ctx, ms); errs != nil {
		b.Fatal(errors.Join(errs...))
	}
}

// fill puts letters with these names and says that the worker has stopped.
func (b *letterBench) fill(names ...string) {
	b.Helper()
	s, done := b.sink()
	for _, name := range names {
		b.put(s, b.message(name, 500))
	}
	done()
}

// read is all that a box shows.
func (b *letterBench) read(box queue.LetterBox) (all []*queue.Letter) {
	b.Helper()
	ctx, cancel := b.within()
	defer cancel()
	seen := map[queue.Place]bool{}
	err := box.Letters(ctx, func(l *queue.Letter) error {
		for _, p := range l.Places {
			if seen[p] {
				b.Errorf("%s came twice", p)
			}
			seen[p] = true
			if back, err := queue.ParsePlace(p.String()); err != nil || back != p {
				b.Errorf("%s is read as %v, %v", p, back, err)
			}
		}
		if len(l.Places) == 0 {
			b.Error("a letter without a place")
		}
		all = append(all, l)
		return nil
	})
	if err != nil {
		b.Fatalf("%s: %v", box.Describe(), err)
	}
	return all
}

// shows fails unless a new box has these letters whole, in whatever order, and returns
// them in the order of the names.
func (b *letterBench) shows(names ...string) (all []*queue.Letter) {
	b.Helper()
	byName := map[string]*queue.Letter{}
	var found []string
	for _, l := range b.read(b.box()) {
		name := letterName(l)
		if l.Damage != nil {
			name = fmt.Sprintf("%s (%v)", name, l.Damage)
		}
		found, byName[name] = append(found, name), l
	}
	want := slices.Sorted(slices.Values(names))
	slices.Sort(found)
	if !slices.Equal(found, want) {
		b.Fatalf("the queue shows %q, want %q", abridged(found), abridged(want))
	}
	for _, name := range names {
		all = append(all, byName[name])
	}
	return all
}

func abridged(all []string) []string { return all[:min(len(all), 20)] }

func letterName(l *queue.Letter) string {
	name, _, _ := bytes.Cut(l.Value, []byte(":"))
	return string(name)
}

// resolve gives a box what names the letters, and no more.
func (b *letterBench) resolve(box queue.LetterBox, ls ...*queue.Letter) {
	b.Helper()
	ctx, cancel := b.within()
	defer cancel()
	few := make([]*queue.Letter, len(ls))
	for i, l := range ls {
		few[i] = l.Bare()
	}
	if err := box.Resolve(ctx, few); err != nil {
		b.Fatalf("%s: %v", box.Describe(), err)
	}
}

func (b *letterBench) free() (text string) {
	b.Helper()
	ctx, cancel := b.within()
	defer cancel()
	text, err := b.box().Free(ctx)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func (b *letterBench) left() int64 {
	b.Helper()
	n, err := b.q.Left()
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// sizes for which a letter lies as one message, and in chunks.
func (b *letterBench) cutSize() int {
	if b.h.Cut == 0 {
		b.Skip("the sink never cuts a letter")
	}
	return b.h.Cut
}

// recently says whether a time is of this test, whatever the clocks.
func recently(t time.Time) bool { return time.Since(t).Abs() < 10*time.Minute }
