package letterbox_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue"
)

// pieces are the chunks of a letter, each of which fits into the topic.
func pieces(t *testing.T, name string) []queue.Message {
	t.Helper()
	value := make([]byte, 3_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(value)
	ms, err := queue.Split(letter(name, value), 2_000, func(m *queue.Message) int { return len(m.Value) + 600 })
	if err != nil || len(ms) < 2 {
		t.Fatal(len(ms), err)
	}
	return ms
}

// Who forgets a letter of which chunks are missing forgets what there is of it: when the
// rest comes after all, it is whole and open.
func TestARestThatComesAfterAll(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	chunks := pieces(t, "a")
	r.putAll(chunks[0])
	r.put("b")
	r.shows("b a!")
	if err := r.box().Resolve(t.Context(), r.some(r.box(), "a")); err == nil {
		t.Error("what may be on its way was resolved")
	}
	r.shows("b a!")
	b := r.later(2 * queue.ArrivalBound)
	if err := b.Resolve(t.Context(), r.some(b, "a")); err != nil {
		t.Fatal(err)
	}
	r.shows("b")
	r.putAll(chunks[1:]...)
	r.shows("b a")
	r.resolve("a b")
	r.shows("")
	if text := r.free(); text != "" {
		t.Error(text)
	}
}

// A chunk that was stored twice, as its confirmation was lost, belongs to its letter.
func TestAChunkThatIsThereTwice(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	chunks := pieces(t, "a")
	r.putAll(chunks[0])
	r.putAll(chunks...)
	r.shows("a")
	if ls := r.read(r.box()); len(ls[0].Places) != len(chunks)+1 {
		t.Errorf("it lies at %v", ls[0].Places)
	}
	r.resolve("a")
	r.shows("")
}

func TestALetterOfAnotherBoxIsNotResolved(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	ls := r.read(r.box())
	for _, part := range []string{"other-0", letters, letters + "-", letters + "-x", letters + "x-0"} {
		ls[0].Places[0].Part = part
		err := r.box().Resolve(t.Context(), ls)
		mustContain(t, err, part+"/0", "is not of kafka topic "+letters)
	}
	r.shows("a")
}

// Who resolves many letters keeps of each what names it, and no more.
func TestALetterIsResolvedByWhatNamesIt(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	for _, l := range r.read(r.box()) {
		if err := r.box().Resolve(t.Context(), []*queue.Letter{l.Bare()}); err != nil { // of another box
			t.Fatal(err)
		}
	}
	r.shows("")
}

// Marks from before the brokers knew ids of topics count on.
func TestMarksWithoutAnID(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b")
	r.resolve("a")
	keys, _ := r.kept()
	cl := r.client()
	for key, value := range keys {
		before := key[:strings.LastIndex(key, "/")] + "/-"
		for _, rec := range []*kgo.Record{{Topic: done, Key: []byte(key)}, {Topic: done, Key: []byte(before), Value: []byte(value)}} {
			if err := cl.ProduceSync(r.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.shows("b")
	r.anew()
	r.put("c", "d")
	r.shows("c d")
}
