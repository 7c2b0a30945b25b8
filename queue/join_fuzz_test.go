package queue

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// FuzzJoiner joins a message of ours whose chunks come in any order, some of them
// twice, among messages that anybody could have put beside them: ours comes back as it
// was, nothing else becomes it, and what is kept stays within the bound.
func FuzzJoiner(f *testing.F) {
	f.Add([]byte("a value"), uint16(300), []byte{1, 0, 2}, "x", "1/2", "zstd", []byte("junk"))
	f.Add(bytes.Repeat([]byte("abcdefgh"), 600), uint16(260), []byte{3, 250, 9, 251, 0}, "x", "9999/9999", "", []byte{0x28, 0xb5, 0x2f, 0xfd})
	f.Add([]byte{}, uint16(0), []byte{250, 251}, "", "2/1", "gzip", []byte{})
	f.Fuzz(func(t *testing.T, value []byte, limit uint16, order []byte, id, part, form string, foreign []byte) {
		const bound = 1 << 20
		j := &Joiner{MaxBytes: bound}
		sent := Message{Value: value, Headers: []Header{{Key: "n", Value: "ours"}}, Subject: "s"}
		chunks, err := Split(sent, int(limit), func(m *Message) int { return int(m.Size()) })
		if err != nil {
			chunks = nil // not even the headers fit
		}
		var back []*Whole
		add := func(m Message) {
			w, err := j.Add(m)
			if (w != nil) && (err != nil) {
				t.Fatalf("a message and the error %v", err)
			}
			if w != nil && len(w.Value) > bound {
				t.Fatalf("%d bytes, at most %d are kept", len(w.Value), bound)
			}
			if n, _ := m.Header("n"); w != nil && (n == "ours" || w.Subject == "s") {
				back = append(back, w)
			}
			j.check(t)
		}
		// Each byte takes a chunk, or puts a foreign message, of one of two numbers.
		var taken []int
		for i, b := range order {
			if b >= 240 || len(chunks) == 0 {
				headers := []Header{{Key: HeaderPartOf, Value: fmt.Sprint(id, b%2)}, {Key: HeaderPart, Value: part}}
				if b%3 == 0 {
					headers = headers[1:]
				}
				if form != "" {
					headers = append(headers, Header{Key: HeaderWrapped, Value: form})
				}
				add(Message{Value: foreign, Headers: headers, Position: int64(i)})
				continue
			}
			at := int(b) % len(chunks)
			add(chunks[at])
			taken = append(taken, at)
		}
		for i := range chunks {
			if !slices.Contains(taken, i) {
				add(chunks[i])
			}
		}
		if len(chunks) == 0 {
			return
		}
		if len(back) == 0 {
			t.Fatalf("%d bytes in %d chunks did not come back", len(value), len(chunks))
		}
		for _, w := range back {
			if !bytes.Equal(w.Value, value) || !slices.Equal(w.Headers, sent.Headers) {
				t.Fatalf("%d bytes %v came back as %d bytes %v", len(value), sent.Headers, len(w.Value), w.Headers)
			}
		}
	})
}

// check holds what a Joiner keeps to its own count and bound.
func (j *Joiner) check(t *testing.T) {
	t.Helper()
	var sum int64
	for _, one := range j.open {
		sum += int64(len(one.values)) * sliceBytes
		have := 0
		for _, v := range one.values {
			sum += int64(len(v))
			if v != nil {
				have++
			}
		}
		if have != one.have || have == len(one.values) || j.byID[one.gap.ID] != one {
			t.Fatalf("message %s has %d of %d chunks and says %d", one.gap.ID, have, len(one.values), one.have)
		}
	}
	if sum != j.bytes || sum > j.limit() || len(j.byID) != len(j.open) {
		t.Fatalf("%d bytes of %d messages are kept, the count says %d of %d, the bound %d", sum, len(j.open), j.bytes, len(j.byID), j.limit())
	}
}
