package cmd

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
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

// A terminal or pipe that is gone ends a replay between two letters: what was put is
// resolved, what was not begun is neither.
func TestAReplayThatNobodyReadsEndsBetweenTwoLetters(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 10)...)
	box.letters[4].Damage = errors.New("chunks [2] of 3 are missing")
	sink := &keepSink{}
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	r := &letterReplay{o: &dlqReplayFlags{}, cfg: prodConfig(), box: box, plan: resending{cfg: prodConfig()}}
	r.tell = &replayTold{out: brokenPipe{}, gone: stop}
	r.tell.begin(io.Discard, "stream LOGS")
	put := &putBack{box: box, back: &backTo{keepSink: sink, events: box.events}, tell: r.tell}
	err := r.chosen(ctx, func(l *queue.Letter, f *queue.Facts, m queue.Message) error {
		if err := put.add(ctx, l, f, m); err != nil {
			return err
		}
		return put.flush(ctx)
	})
	err = r.ended(ctx, err)
	var c *coded
	if !errors.As(err, &c) || c.code != exitTryAgain || !strings.Contains(err.Error(), "nobody reads what it says any more") || !strings.Contains(err.Error(), "replayed 4 letters to stream LOGS, the rest is kept; the same command goes on") {
		t.Errorf("error = %v", err)
	}
	if len(sink.got) != 4 || box.left() != 6 {
		t.Errorf("%d put, %d left of 10", len(sink.got), box.left())
	}
}

// Letters that stay are not in the way of those that --max lets through.
func TestMaxCountsWhatIsReplayed(t *testing.T) {
	t.Parallel()
	box := newKeepBox(someLetters(t, 10)...)
	for i := range 4 {
		box.letters[i].Damage = errors.New("its format is 2")
	}
	o := &dlqReplayFlags{}
	o.max = 3
	r := &letterReplay{o: o, cfg: prodConfig(), box: box, plan: resending{cfg: prodConfig()}}
	r.tell, _ = told()
	var got []int64
	err := r.chosen(t.Context(), func(l *queue.Letter, _ *queue.Facts, _ queue.Message) error {
		got = append(got, l.Places[0].Position)
		return nil
	})
	if err != nil || !slices.Equal(got, []int64{5, 6, 7}) || r.tell.stayed != 4 {
		t.Errorf("%v, %v; %d stayed", got, err, r.tell.stayed)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
