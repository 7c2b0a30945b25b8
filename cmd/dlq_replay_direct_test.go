package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// directRig is a direct replay of a box by a worker of its own.
type directRig struct {
	box     *keepBox
	script  *checker.Script
	again   *memory.Sink
	source  *letterSource
	limits  worker.Limits
	letters queue.Sink // nil: again
}

func newDirectRig(t *testing.T, box *keepBox) *directRig {
	t.Helper()
	r := &directRig{box: box, script: checker.New(), again: memory.NewSink("again")}
	show, _ := told()
	r.source = &letterSource{box: box, tell: show, each: func(ctx context.Context, visit func(*queue.Letter, queue.Message) error) error {
		return box.Letters(ctx, func(l *queue.Letter) error {
			f := factsOf(l)
			m, err := (&resending{cfg: prodConfig()}).message(l, &f)
			if err != nil {
				return err
			}
			return visit(l, m)
		})
	}}
	return r
}

func (r *directRig) run(t *testing.T, ctx context.Context) error {
	t.Helper()
	if r.letters == nil {
		r.letters = r.again
	}
	kind := r.script.Kind()
	w, err := worker.New(worker.Config{
		Deployment: "prod", Version: "test", Host: "here", Limits: r.limits, Drain: time.Minute,
		Routes:     []worker.Route{{Name: "shop", Flushers: []worker.Entry{{Name: "es", Kind: kind, New: kind.New}}}},
		DeadLetter: worker.DeadLetter{Sink: comeBack{r.letters}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.Run(ctx, r.source)
	if n := w.Status().Defects; n > 0 {
		t.Errorf("%d defects", n)
	}
	return err
}

func TestADirectReplayFlushesEachLetterWithItsIDAndResolvesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 1000)...)
		r := newDirectRig(t, box)
		if err := r.run(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		if box.left() != 0 || r.source.tell.replayed != 1000 {
			t.Errorf("%d left, %d told", box.left(), r.source.tell.replayed)
		}
		for _, l := range box.letters {
			f := l.Facts()
			n := 0
			for id, times := range r.script.Count() {
				if id.Origin == [16]byte(f.Origin) && id.Group == 7 {
					n += times
				}
			}
			if n != 1 {
				t.Fatalf("%s was flushed %d times under its id", l.Name(), n)
			}
		}
	})
}

// What fails again is a new letter, which says where the original lay, and the old one is
// resolved behind it.
func TestALetterThatFailsAgainIsANewOneBeforeTheOldOneIsResolved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 10, withHeader(queue.HeaderHops, "4"))...)
		r := newDirectRig(t, box)
		r.script.Fail(flushers.Permanent(errors.New("still 400")))
		r.letters = &backTo{keepSink: &keepSink{}, events: box.events}
		if err := r.run(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		got := r.letters.(*backTo).got
		if len(got) != 10 || box.left() != 0 || r.source.again.Load() != 10 {
			t.Fatalf("%d new letters, %d old ones left, %d told", len(got), box.left(), r.source.again.Load())
		}
		stored, resolved := 0, 0
		for _, e := range box.events.all {
			if n, put := strings.CutPrefix(e, "put "); put {
				stored += atoi(t, n)
			} else if resolved++; resolved > stored {
				t.Fatalf("%d are resolved when %d are stored", resolved, stored)
			}
		}
		for i := range got {
			l := queue.Letter{Message: got[i]}
			f := l.Facts()
			old := box.letters[slices.IndexFunc(box.letters, func(o *queue.Letter) bool { return o.Facts().Origin == f.Origin })]
			was := old.Facts()
			if f.Hops != 5 || f.Source != was.Source || f.Groups != "7" || f.Subject != was.Subject || !f.FirstSeen.Equal(was.FirstSeen) || f.Lane != was.Lane || string(l.Value) != string(old.Value) {
				t.Errorf("the new letter says %+v, the old one said %+v", f, was)
			}
			if _, has := l.Header(headerWasSource); has {
				t.Errorf("%s is left in the letter", headerWasSource)
			}
		}
	})
}

func TestALetterWhoseNewOneIsNotStoredStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 10)...)
		r := newDirectRig(t, box)
		r.script.Fail(flushers.Permanent(errors.New("still 400")))
		r.again.FailNext(-1, errors.New("full"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.run(t, ctx); err != nil { // it drains until the end, and no Flush is left
			t.Error(err)
		}
		if box.left() != 10 {
			t.Errorf("%d letters left of 10 of which none is stored", box.left())
		}
	})
}

func TestADirectReplayThatIsStoppedKeepsWhatIsLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 500)...)
		r := newDirectRig(t, box)
		r.limits.Window = 50
		r.script.SetDelay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := r.run(t, ctx); err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
			t.Fatal(err)
		}
		flushed := r.script.Stats().Groups
		if left := box.left(); left == 0 || left+flushed != 500 {
			t.Fatalf("%d left, %d flushed of 500", left, flushed)
		}
		next := newDirectRig(t, box)
		if err := next.run(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := next.script.Stats().Groups; box.left() != 0 || n+flushed != 500 {
			t.Errorf("%d left, %d and %d flushed of 500", box.left(), flushed, n)
		}
	})
}

func TestADirectReplayLivesOnASmallBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		big := func(l *queue.Letter) { withHeader("padding", strings.Repeat("x", 8<<10))(l) }
		box := newKeepBox(someLetters(t, 300, big)...)
		r := newDirectRig(t, box)
		r.limits.InFlight, r.limits.Message = 64<<10, 16<<10
		r.script.SetDelay(10 * time.Millisecond)
		if err := r.run(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := r.script.Stats().Groups; n != 300 || box.left() != 0 {
			t.Errorf("%d flushed, %d left", n, box.left())
		}
	})
}

func TestADirectReplayEndsWhenItsBoxFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 300)...)
		box.fail = errors.New("no leader")
		err := newDirectRig(t, box).run(t, t.Context())
		if err == nil || !strings.Contains(err.Error(), "delivered and may not be resolved") {
			t.Errorf("error = %v", err)
		}
	})
}

func TestADirectReplayKeepsToItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := newKeepBox(someLetters(t, 100)...)
		r := newDirectRig(t, box)
		if err := r.source.rate.Set("10/s"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := r.run(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("100 letters at 10/s took %v", took)
		}
	})
}
