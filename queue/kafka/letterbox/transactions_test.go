package letterbox_test

import (
	"testing"

	"github.com/flushline/flushline/queue/kafka"
)

func TestMarkersAndAbortedLettersArePassed(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	r.transact("b", "c")(true)
	r.transact("d")(false)
	r.put("e")
	r.transact("f")(true) // the log ends with a marker
	r.shows("a b c e f")
	r.resolve("a b c f")
	r.free()
	r.shows("e")
	r.resolve("e")
	if text := r.free(); text != "" {
		t.Error(text)
	}
	if at, end := r.begins(), r.offset(letters, -1); at != end {
		t.Errorf("the log begins at %d and ends at %d", at, end)
	}
	r.cfg.Isolation = kafka.ReadUncommitted
	r.put("g")
	r.transact("h")(false)
	r.shows("g h")
}

// What an open transaction holds back is not passed silently.
func TestLettersBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	end := r.transact("b")
	r.put("c")
	ls, err := r.tryRead(r.box())
	if namesOf(ls) != "a" {
		t.Errorf("it shows %s", namesOf(ls))
	}
	mustContain(t, err, letters+"[0]", "from offset 1 to 3", "open transaction")
	b := r.box()
	if err := b.Resolve(t.Context(), ls); err != nil {
		t.Fatal(err)
	}
	_, err = b.Free(t.Context())
	mustContain(t, err, "open transaction")
	if at := r.begins(); at != 1 {
		t.Errorf("the log begins at %d", at)
	}
	end(true)
	r.shows("b c")
}
