package cmd

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue"
)

// replayAll puts all letters of a box back.
func replayAll(ctx context.Context, box *keepBox, put *putBack) error {
	err := box.Letters(ctx, func(l *queue.Letter) error {
		f := factsOf(l)
		m, err := (&resending{cfg: prodConfig()}).message(l, &f)
		if err != nil {
			return err
		}
		return put.add(ctx, l, &f, m)
	})
	return errors.Join(err, put.flush(ctx))
}

// A letter is resolved when the queue has confirmed it, and not before.
func TestALetterIsResolvedBehindItsPut(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, putMessages+2)...)
	back := &backTo{keepSink: &keepSink{}, events: box.events}
	show, _ := told()
	if err := replayAll(t.Context(), box, &putBack{box: box, back: back, tell: show}); err != nil {
		t.Fatal(err)
	}
	confirmed, puts := 0, 0
	resolved := 0
	for _, e := range box.events.all {
		if n, is := strings.CutPrefix(e, "put "); is {
			puts++
			confirmed += atoi(t, n)
			continue
		}
		if resolved++; resolved > confirmed {
			t.Fatalf("letter %d is resolved when %d are confirmed", resolved, confirmed)
		}
	}
	if puts != 2 || confirmed != putMessages+2 || box.left() != 0 || show.replayed != putMessages+2 {
		t.Errorf("%d puts of %d letters, %d left, %d told", puts, confirmed, box.left(), show.replayed)
	}
}

func TestWhatTheQueueDoesNotTakeStays(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 5)...)
	box.letters[1].Value = make([]byte, 4096)
	back := &backTo{keepSink: &keepSink{}, events: box.events, limit: 2048}
	show, out := told()
	if err := replayAll(t.Context(), box, &putBack{box: box, back: back, tell: show}); err != nil {
		t.Fatal(err)
	}
	if box.left() != 1 || box.has(box.letters[1]) || show.stayed != 1 || !strings.Contains(out.String(), "LOGS_prod_DLQ/2 stays: ") || !strings.Contains(out.String(), "--direct") {
		t.Errorf("%d left, %d stayed:\n%s", box.left(), show.stayed, out)
	}
}

// What was stored of a batch is resolved, what was refused is not, and a queue that takes
// nothing ends the replay.
func TestAQueueThatFailsEndsTheReplay(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 2*putMessages)...)
	back := &backTo{keepSink: &keepSink{failAt: 101}, events: box.events}
	show, out := told()
	err := replayAll(t.Context(), box, &putBack{box: box, back: back, tell: show})
	if err == nil || !strings.Contains(err.Error(), "stream is full") {
		t.Errorf("error = %v", err)
	}
	if box.left() != 2*putMessages-100 || show.replayed != 100 || !strings.Contains(out.String(), "LOGS_prod_DLQ/101 stays: stream is full") {
		t.Errorf("%d left, %d told", box.left(), show.replayed)
	}
}

func TestABoxThatFailsSaysWhatMayComeTwice(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 3)...)
	box.fail = errors.New("no leader")
	show, _ := told()
	err := replayAll(t.Context(), box, &putBack{box: box, back: &backTo{keepSink: &keepSink{}, events: box.events}, tell: show})
	if err == nil || !strings.Contains(err.Error(), "3 letters were put back and may not be resolved") || show.replayed != 0 {
		t.Errorf("error = %v, %d told", err, show.replayed)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 3)...)
	back := &backTo{keepSink: &keepSink{}, events: box.events}
	show, out := told()
	if err := replayAll(t.Context(), box, &putBack{box: box, back: back, dry: true, tell: show}); err != nil {
		t.Fatal(err)
	}
	if len(back.got) != 0 || box.left() != 3 || strings.Count(out.String(), "(permanent) would go to stream LOGS, for shop/es") != 3 {
		t.Errorf("%d stored, %d left:\n%s", len(back.got), box.left(), out)
	}
}

func TestReplaysKeepToTheirRateAndEndBetweenLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 100)...)
		put := &putBack{box: box, back: &backTo{keepSink: &keepSink{}, events: box.events}}
		put.tell, _ = told()
		if err := put.rate.Set("10/s"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := replayAll(ctx, box, put); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error = %v", err)
		}
		if n := len(box.letters) - box.left(); n < 49 || n > 52 {
			t.Errorf("%d letters in 5 s at 10/s", n)
		}
	})
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
