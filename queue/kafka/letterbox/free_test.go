package letterbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

// later is a box whose clock is ahead.
func (r *rig) later(d time.Duration) queue.LetterBox {
	b := r.box()
	letterbox.Clock(b, func() time.Time { return time.Now().Add(d) })
	return b
}

func (r *rig) freeLater(d time.Duration) string {
	r.Helper()
	text, err := r.later(d).Free(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return text
}

// begins is the first offset of partition 0 of the letters.
func (r *rig) begins() int64 { return r.offset(letters, -2) }

func TestFreeDeletesWhatIsBeforeTheOldestOpenLetter(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	if text := r.freeNothing(); text != "" {
		t.Error(text)
	}
	r.put("a", "b", "c", "d", "e")
	if text := r.free(); text != "" || r.begins() != 0 {
		t.Errorf("%q, and the log begins at %d", text, r.begins())
	}
	r.resolve("a b d")
	if text := r.free(); text != letters+"-0 keeps 1 resolved letters behind "+letters+"-0/2, which is open" {
		t.Error(text)
	}
	if at := r.begins(); at != 2 {
		t.Errorf("the log begins at %d", at)
	}
	r.shows("c e")
	r.resolve("c e")
	if text := r.free(); text != "" || r.begins() != 5 {
		t.Errorf("%q, and the log begins at %d", text, r.begins())
	}
	r.shows("")
	r.put("f")
	r.shows("f")
}

// freeNothing is what Free says of a topic that was made and holds nothing.
func (r *rig) freeNothing() string {
	r.Helper()
	r.putAll()
	return r.free()
}

// Marks of what was deleted stay until it cannot come back, then they go.
func TestMarksDoNotGrowForEver(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	for _, name := range []string{"a", "b", "c", "d"} {
		r.put(name)
	}
	r.resolve("a b d")
	r.free()
	if keys, _ := r.kept(); len(keys) != 4 {
		t.Errorf("marks and a note: %v", keys)
	}
	r.freeLater(letterbox.Settled - time.Minute)
	if keys, _ := r.kept(); len(keys) != 4 {
		t.Errorf("too early: %v", keys)
	}
	r.freeLater(letterbox.Settled + time.Minute)
	keys, _ := r.kept()
	if len(keys) != 2 || keys["freed/0"] == "" {
		t.Errorf("the mark of d and a note: %v", keys)
	}
	r.shows("c")
	r.resolve("c")
	r.freeLater(2 * letterbox.Settled)
	r.freeLater(4 * letterbox.Settled)
	keys, before := r.kept()
	if len(keys) != 1 {
		t.Errorf("a note: %v", keys)
	}
	r.fake.Compact()
	if _, records := r.kept(); records >= before {
		t.Errorf("%d records are left of %d", records, before)
	}
	r.put("e")
	r.shows("e")
}

// A letter of several records that lies on both sides of an open one is not cut.
func TestFreeDeletesNoLetterByHalf(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	a, b := pieces(t, "a"), pieces(t, "b")
	r.put("first")
	r.putAll(a[0], b[0])
	r.put("between")
	r.putAll(a[1:]...)
	r.put("open")
	r.putAll(b[1:]...)
	r.shows("first between a open b")
	r.resolve("first a b between")
	text := r.free()
	if !strings.Contains(text, "which is open") || r.begins() != 1 {
		t.Errorf("%q, and the log begins at %d", text, r.begins())
	}
	r.shows("open")
	r.resolve("open")
	r.free()
	r.shows("")
	if at := r.begins(); at != r.offset(letters, -1) {
		t.Errorf("the log begins at %d", at)
	}
}
