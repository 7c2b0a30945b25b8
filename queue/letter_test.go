package queue_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func letterMessage(value []byte) queue.Message {
	return queue.Message{
		Value: value, Subject: "main.out.p.l.c", Time: time.Unix(7, 0),
		Headers: []queue.Header{
			{Key: "theirs", Value: "kept"},
			{Key: queue.HeaderVersion, Value: "1"},
			{Key: queue.HeaderTo, Value: "prod/main/out"},
			{Key: queue.HeaderOrigin, Value: strings.Repeat("0a", 16)},
			{Key: queue.HeaderGroups, Value: "3"},
			{Key: queue.HeaderHops, Value: "2"},
			{Key: queue.HeaderFirstSeen, Value: "2026-01-02T03:04:05.000000006Z"},
			{Key: queue.HeaderReason, Value: "permanent"},
			{Key: queue.HeaderError, Value: "no such table"},
			{Key: queue.HeaderAttempts, Value: "5"},
			{Key: queue.HeaderSource, Value: "main LOGS/prod 17"},
			{Key: queue.HeaderSubject, Value: "logs.p"},
			{Key: queue.HeaderWorker, Value: "v1 host"},
		},
	}
}

func TestFactsOfALetter(t *testing.T) {
	l := queue.Letter{Message: letterMessage(nil)}
	want := queue.Facts{
		Reason: "permanent", Error: "no such table", Attempts: 5, Deployment: "prod",
		Lane:   queue.Lane{Route: "main", Flusher: "out", Project: "p", Logstore: "l", Config: "c"},
		Origin: queue.Origin(bytes.Repeat([]byte{10}, 16)), HasOrigin: true, Groups: "3", Hops: 2,
		FirstSeen: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Source: "main LOGS/prod 17", Subject: "logs.p", Worker: "v1 host",
	}
	if d := cmp.Diff(want, l.Facts()); d != "" {
		t.Error(d)
	}
	garbled := queue.Letter{Message: queue.Message{Subject: "x", Headers: []queue.Header{
		{Key: queue.HeaderTo, Value: "x"},
		{Key: queue.HeaderHops, Value: "-7"},
		{Key: queue.HeaderAttempts, Value: "many"},
		{Key: queue.HeaderOrigin, Value: "zz"},
		{Key: queue.HeaderFirstSeen, Value: "yesterday"},
	}}}
	if d := cmp.Diff(queue.Facts{}, garbled.Facts()); d != "" {
		t.Error(d)
	}
}

func TestPlacesAreNames(t *testing.T) {
	for _, p := range []queue.Place{{"LOGS_prod_DLQ", 17}, {"logs.g.dlq-3", 0}, {"a/b.fll", 1 << 40}} {
		if back, err := queue.ParsePlace(p.String()); err != nil || back != p {
			t.Errorf("%s is read as %v, %v", p, back, err)
		}
	}
	for _, s := range []string{"", "17", "/17", "x/", "x/-1", "x/y", "x/99999999999999999999"} {
		if p, err := queue.ParsePlace(s); err == nil {
			t.Errorf("%q is read as %v", s, p)
		}
	}
}

// letters gives messages, as they lie in one box, to a joiner.
func letters(t *testing.T, ms ...queue.Message) (whole, rest []*queue.Letter) {
	t.Helper()
	j := queue.LetterJoiner{Part: "box"}
	for i, m := range ms {
		m.Position = int64(i)
		if l := j.Add(m); l != nil {
			whole = append(whole, l)
		}
	}
	return whole, j.Rest()
}

func TestLettersAreJoined(t *testing.T) {
	one, other := letterMessage([]byte("small")), letterMessage(noise(4000))
	chunks := split(t, other, 900)
	slices.Reverse(chunks)
	whole, rest := letters(t, append(append([]queue.Message{chunks[0]}, one), chunks[1:]...)...)
	if len(whole) != 2 || len(rest) != 0 {
		t.Fatalf("%d letters, %d damaged", len(whole), len(rest))
	}
	for i, want := range []queue.Message{one, other} {
		l := whole[i]
		if l.Damage != nil || !bytes.Equal(l.Value, want.Value) || l.Subject != want.Subject {
			t.Errorf("letter %d: %v, %d bytes of %d", i, l.Damage, len(l.Value), len(want.Value))
		}
		if d := cmp.Diff(want.Headers, l.Headers); d != "" {
			t.Error(d)
		}
	}
	if len(whole[0].Places) != 1 || whole[0].Name() != "box/1" || len(whole[1].Places) != len(chunks) {
		t.Errorf("places %v and %v, of %d chunks", whole[0].Places, whole[1].Places, len(chunks))
	}
}

func TestAPutThatFailedHalfwayIsShown(t *testing.T) {
	chunks := split(t, letterMessage(noise(4000)), 900)
	again := split(t, letterMessage(noise(4000)), 900)
	whole, rest := letters(t, append(slices.Clone(chunks[:2]), again...)...)
	if len(whole) != 1 || len(rest) != 1 {
		t.Fatalf("%d letters, %d damaged", len(whole), len(rest))
	}
	l := rest[0]
	if l.Damage == nil || !strings.Contains(l.Damage.Error(), "chunks [3") || l.Name() != "box/0" || len(l.Places) != 2 {
		t.Errorf("%s at %v: %v", l.Name(), l.Places, l.Damage)
	}
	if f := l.Facts(); f.Reason != "permanent" || f.Lane.Project != "p" {
		t.Errorf("the first chunk says %+v", f)
	}
}

func TestALetterThatCannotBeReadIsKept(t *testing.T) {
	later := letterMessage([]byte("v"))
	later.Headers[1].Value = "2"
	wrapped := letterMessage([]byte("no zstd"))
	wrapped.Headers = append(wrapped.Headers, queue.Header{Key: queue.HeaderWrapped, Value: "zstd"})
	chunk := letterMessage([]byte("v"))
	chunk.Headers = append(chunk.Headers, queue.Header{Key: queue.HeaderPart, Value: "0/0"}, queue.Header{Key: queue.HeaderPartOf, Value: "a"})
	foreign := queue.Message{Value: []byte("somebody else's")}
	whole, rest := letters(t, later, wrapped, chunk, foreign)
	if len(whole) != 4 || len(rest) != 0 {
		t.Fatalf("%d letters, %d damaged", len(whole), len(rest))
	}
	for i, want := range []string{`format is "2"`, "unwrap", "chunk's number", `format is ""`} {
		if l := whole[i]; l.Damage == nil || !strings.Contains(l.Damage.Error(), want) || len(l.Places) != 1 || l.Places[0].Position != int64(i) {
			t.Errorf("letter %d at %v: %v, want %q", i, l.Places, l.Damage, want)
		}
	}
}

func TestWhatMayStillArriveIsNotResolved(t *testing.T) {
	_, rest := letters(t, split(t, letterMessage(noise(4000)), 900)[:2]...)
	damaged := rest[0]
	whole := &queue.Letter{Message: letterMessage(nil), Places: []queue.Place{{Part: "box", Position: 9}}}
	put := damaged.Time
	ready, err := queue.SplitArriving([]*queue.Letter{damaged, whole}, put.Add(queue.ArrivalBound-time.Second))
	if len(ready) != 1 || ready[0] != whole || err == nil || !strings.Contains(err.Error(), "box/0") {
		t.Errorf("%d can be resolved: %v", len(ready), err)
	}
	ready, err = queue.SplitArriving([]*queue.Letter{damaged, whole}, put.Add(queue.ArrivalBound))
	if len(ready) != 2 || err != nil {
		t.Errorf("%d can be resolved: %v", len(ready), err)
	}
}
