package queue_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
)

func size(m *queue.Message) int { return int(m.Size()) }

func noise(n int) []byte {
	r := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}

func split(t *testing.T, m queue.Message, limit int) []queue.Message {
	t.Helper()
	parts, err := queue.Split(m, limit, size)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

func join(t *testing.T, j *queue.Joiner, parts ...queue.Message) *queue.Whole {
	t.Helper()
	var whole *queue.Whole
	for _, p := range parts {
		w, err := j.Add(p)
		if err != nil {
			t.Fatal(err)
		}
		if w != nil {
			if whole != nil {
				t.Fatal("two whole messages of one")
			}
			whole = w
		}
	}
	return whole
}

func TestSplitLeavesAloneWhatFits(t *testing.T) {
	t.Parallel()
	m := queue.Message{Value: []byte("small"), Headers: []queue.Header{{Key: "a", Value: "b"}}}
	if diff := cmp.Diff([]queue.Message{m}, split(t, m, 7)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSplitCompressesBeforeItCuts(t *testing.T) {
	t.Parallel()
	m := queue.Message{Value: bytes.Repeat([]byte("log line "), 10_000)}
	parts := split(t, m, 2000)
	if len(parts) != 1 {
		t.Fatalf("%d messages", len(parts))
	}
	if how, _ := parts[0].Header(queue.HeaderWrapped); how != "zstd" {
		t.Errorf("%s is %q", queue.HeaderWrapped, how)
	}
	w := join(t, &queue.Joiner{}, parts...)
	if !bytes.Equal(w.Value, m.Value) || len(w.Headers) != 0 {
		t.Errorf("%d bytes and headers %v came back", len(w.Value), w.Headers)
	}
}

// Whatever is split fits the limit and comes back as it was, in any order, with
// duplicates, mixed with others.
func TestSplitAndJoinAreInverse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(200, 3000).Draw(t, "limit")
		all := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) queue.Message {
			return queue.Message{
				Value:   noise(rapid.IntRange(0, 20_000).Draw(t, "bytes")),
				Headers: []queue.Header{{Key: "X-Log-Project", Value: rapid.StringN(0, 20, 40).Draw(t, "project")}},
				Subject: "s",
			}
		}), 1, 4).Draw(t, "messages")
		var pieces []queue.Message
		for i, m := range all {
			m.Headers = append(m.Headers, queue.Header{Key: "n", Value: fmt.Sprint(i)})
			all[i] = m
			parts, err := queue.Split(m, limit, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range parts {
				if size(&p) > limit {
					t.Fatalf("a piece of %d bytes for a limit of %d", size(&p), limit)
				}
			}
			pieces = append(pieces, parts...)
			if len(parts) > 1 {
				pieces = append(pieces, parts[0]) // tried again
			}
		}
		pieces = rapid.Permutation(pieces).Draw(t, "order")
		got := map[string]*queue.Whole{}
		var j queue.Joiner
		for i, p := range pieces {
			p.Position = int64(i)
			w, err := j.Add(p)
			if err != nil {
				t.Fatal(err)
			}
			if w != nil {
				n, _ := w.Header("n")
				got[n] = w
			}
		}
		for i, m := range all {
			w := got[fmt.Sprint(i)]
			if w == nil || !bytes.Equal(w.Value, m.Value) || !cmp.Equal(w.Headers, m.Headers) || w.Subject != m.Subject {
				t.Fatalf("message %d came back as %v", i, w)
			}
		}
	})
}

func TestJoinerReportsMissingChunks(t *testing.T) {
	t.Parallel()
	parts := split(t, queue.Message{Value: noise(1000)}, 400)
	if len(parts) < 3 {
		t.Fatalf("%d parts", len(parts))
	}
	var j queue.Joiner
	parts[0].Position, parts[2].Position = 7, 9
	if w := join(t, &j, parts[0], parts[2]); w != nil {
		t.Fatal("whole without its second chunk")
	}
	gaps := j.Missing()
	if len(gaps) != 1 || gaps[0].Missing[0] != 2 || !cmp.Equal(gaps[0].Positions, []int64{7, 9}) || gaps[0].Parts != len(parts) {
		t.Errorf("gaps %+v", gaps)
	}
}

func TestJoinerKeepsItsBound(t *testing.T) {
	t.Parallel()
	j := queue.Joiner{MaxBytes: 2000}
	var ids []string
	for range 10 {
		parts := split(t, queue.Message{Value: noise(1000)}, 500)
		id, _ := parts[0].Header(queue.HeaderPartOf)
		ids = append(ids, id)
		join(t, &j, parts[:len(parts)-1]...)
	}
	gaps := j.Missing()
	if len(gaps) != 10 || gaps[0].ID != ids[0] {
		t.Errorf("%d gaps, the first %+v, want all ten and the oldest first", len(gaps), gaps)
	}
	// The last one still has room: its missing chunk makes it whole.
	parts := split(t, queue.Message{Value: noise(900)}, 500)
	if w := join(t, &j, parts...); w == nil || len(w.Value) != 900 {
		t.Errorf("after giving up others: %v", w)
	}
}

func TestJoinerRefusesBombsAndNonsense(t *testing.T) {
	t.Parallel()
	bomb := split(t, queue.Message{Value: make([]byte, 10<<20)}, 10_000)
	j := queue.Joiner{MaxBytes: 1 << 20}
	if _, err := j.Add(bomb[0]); err == nil {
		t.Error("10 MiB of zeros passed a bound of 1 MiB")
	}
	for _, part := range []string{"", "1", "0/2", "3/2", "a/b", "1/100000"} {
		m := queue.Message{Headers: []queue.Header{{Key: queue.HeaderPartOf, Value: "x"}, {Key: queue.HeaderPart, Value: part}}}
		if w, err := j.Add(m); err == nil || !strings.Contains(err.Error(), queue.HeaderPart) {
			t.Errorf("part %q: %v, %v", part, w, err)
		}
	}
	for _, wrapped := range []queue.Header{{Key: queue.HeaderWrapped, Value: "rot13"}, {Key: queue.HeaderWrapped, Value: "zstd"}} {
		if _, err := j.Add(queue.Message{Value: []byte("no frame"), Headers: []queue.Header{wrapped}}); err == nil {
			t.Errorf("%v was unwrapped", wrapped)
		}
	}
}

func TestHeadersThatDoNotFitAreAnError(t *testing.T) {
	t.Parallel()
	m := queue.Message{Value: noise(100), Headers: []queue.Header{{Key: "k", Value: strings.Repeat("v", 500)}}}
	if parts, err := queue.Split(m, 400, size); err == nil {
		t.Errorf("%d parts for headers larger than the limit", len(parts))
	}
}
