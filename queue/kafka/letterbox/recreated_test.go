package letterbox_test

import (
	"errors"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

// anew deletes the dead letter topic and makes it again.
func (r *rig) anew() {
	r.Helper()
	if err := r.fake.DeleteTopic(letters); err != nil {
		r.Fatal(err)
	}
	r.sink = nil
	r.putAll()
}

// A topic that was deleted and made anew has new letters where the old ones lay.
func TestNewLettersAreNotTakenForDone(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b", "c")
	b := r.box()
	old := r.read(b)
	r.resolve("a b c")
	r.shows("")
	r.anew()
	r.put("d", "b") // b has the same origin, too
	r.shows("d b")
	if err := b.Resolve(t.Context(), old); err != nil { // a command that slept
		t.Fatal(err)
	}
	r.shows("d b")
	r.resolve("d")
	r.shows("b")
	r.free()
	r.freeLater(2 * letterbox.Settled)
	r.shows("b")
	r.resolve("b")
	r.put("e", "f")
	r.resolve("e f")
	r.freeLater(4 * letterbox.Settled)
	r.freeLater(6 * letterbox.Settled)
	r.freeLater(8 * letterbox.Settled)
	if keys, _ := r.kept(); len(keys) != 1 {
		t.Errorf("marks of the old topic stay: %v", keys)
	}
}

func TestATopicThatIsMadeAnewMeanwhile(t *testing.T) {
	t.Parallel()
	r := fake(t, 2)
	r.putAll()
	r.produce(0, "a")
	r.produce(1, "b")
	n := 0
	err := r.box().Letters(t.Context(), func(*queue.Letter) error {
		if n++; n == 1 {
			r.anew()
		}
		return nil
	})
	if n != 1 {
		t.Errorf("%d letters", n)
	}
	mustContain(t, err, letters+"[1]", "deleted and made anew")
	r.put("c")
	r.shows("c")
}

// What was found out about one topic deletes nothing of the next.
func TestFreeDeletesNothingOfANewTopic(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b")
	b := r.box()
	stamp := letterbox.Stamp(t.Context(), b)
	r.anew()
	r.put("c", "d")
	err := letterbox.DeleteBelow(t.Context(), b, stamp, 2)
	mustContain(t, err, "made anew")
	r.shows("c d")
	if err = letterbox.DeleteBelow(t.Context(), b, letterbox.Stamp(t.Context(), b), 1); err != nil {
		t.Error(err)
	}
	r.shows("d")
}

func TestATopicThatIsGone(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	b := r.box()
	ls := r.read(b)
	if err := r.fake.DeleteTopic(letters); err != nil {
		t.Fatal(err)
	}
	var missing *queue.MissingError
	if _, err := r.tryRead(b); !errors.As(err, &missing) {
		t.Error(err)
	}
	if err := b.Resolve(t.Context(), ls); !errors.As(err, &missing) {
		t.Error(err)
	}
	if _, err := b.Free(t.Context()); !errors.As(err, &missing) {
		t.Error(err)
	}
}
