package letterbox_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

func TestALetterComesBackAsItWasPut(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	want := letter("a", []byte("value"))
	want.Key = []byte("key")
	r.putAll(want)
	ls := r.read(r.box())
	if len(ls) != 1 {
		t.Fatalf("%d letters", len(ls))
	}
	l := ls[0]
	if string(l.Value) != "value" || string(l.Key) != "key" || l.Damage != nil || l.Time.IsZero() {
		t.Errorf("%+v", l)
	}
	if diff := cmp.Diff(want.Headers, l.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	lane := queue.Lane{Route: "all", Flusher: "es", Project: "shop", Logstore: "access", Config: "nginx"}
	if l.Subject != lane.String() || l.Facts().Lane != lane {
		t.Errorf("subject %q, lane %+v", l.Subject, l.Facts().Lane)
	}
	if l.Name() != letters+"-0/0" {
		t.Errorf("it is called %s", l.Name())
	}
}

func TestALetterThatGotNowhereHasNoLane(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	m := letter("a", nil)
	m.Headers = m.Headers[3:] // no key
	r.putAll(m)
	if l := r.read(r.box())[0]; l.Subject != "" || l.Facts().Lane.Flusher != "es" {
		t.Errorf("subject %q, %+v", l.Subject, l.Facts())
	}
}

// All chunks of a letter lie in one partition, whichever has its turn.
func TestLettersInChunks(t *testing.T) {
	t.Parallel()
	r := fake(t, 3)
	for _, name := range []string{"a", "b", "c", "d"} {
		value := make([]byte, 2_500_000)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(value)
		r.putAll(letter(name, value), letter(name+"'", []byte("small")))
		var found []*queue.Letter
		for _, l := range r.some(r.box(), name+" "+name+"'") {
			found = append(found, l)
			if l.Damage != nil {
				t.Errorf("%s: %v", nameOf(l), l.Damage)
			}
		}
		if !bytes.Equal(found[0].Value, value) || len(found[0].Places) < 3 {
			t.Fatalf("%s has %d bytes in %v", name, len(found[0].Value), found[0].Places)
		}
		for _, p := range found[0].Places {
			if p.Part != found[0].Places[0].Part {
				t.Errorf("%s lies in %v", name, found[0].Places)
			}
		}
	}
}

func TestResolvedLettersAreNotShown(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b", "c")
	r.resolve("b")
	r.shows("a c")
	b := r.box()
	if err := b.Letters(t.Context(), func(l *queue.Letter) error { return b.Resolve(t.Context(), []*queue.Letter{l}) }); err != nil {
		t.Fatal(err)
	}
	r.shows("")
	r.put("d")
	r.shows("d")
}

func TestWhatVisitSaysEndsIt(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b", "c")
	enough := errors.New("enough")
	n := 0
	err := r.box().Letters(t.Context(), func(*queue.Letter) error {
		if n++; n == 2 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 2 {
		t.Errorf("%v after %d letters", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = r.box().Letters(ctx, func(*queue.Letter) error { cancel(); return nil })
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAQueueThatWasNeverMade(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	_, err := r.tryRead(r.box())
	var missing *queue.MissingError
	if !errors.As(err, &missing) || missing.Name != letters {
		t.Error(err)
	}
	r.cfg.TopicsRegex = "lo.*"
	if _, err = letterbox.OpenAll(t.Context(), r.cfg); !errors.As(err, &missing) {
		t.Error(err)
	}
}
