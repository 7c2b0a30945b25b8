package job

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue"
)

func FuzzSpans(f *testing.F) {
	f.Add(encodeSpans(5, []queue.Interval{{From: 7, To: 9}, {From: 20, To: 1 << 60}}), int64(5))
	f.Add([]byte{0xff}, int64(0))
	f.Fuzz(func(t *testing.T, b []byte, from int64) {
		if from < 0 {
			return
		}
		spans, err := parseSpans(b, from)
		if err != nil {
			return
		}
		last := from
		for _, s := range spans {
			if s.From < last || s.To <= s.From {
				t.Fatalf("%v from %d", spans, from)
			}
			last = s.To
		}
		again, err := parseSpans(encodeSpans(from, spans), from)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(spans, again); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestOrdinalsAreASet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var o ordinals
		set := map[int64]bool{}
		for range rapid.IntRange(0, 60).Draw(t, "adds") {
			n := rapid.Int64Range(0, 40).Draw(t, "n")
			o.add(n)
			set[n] = true
		}
		for n := range int64(45) {
			if o.has(n) != set[n] {
				t.Fatalf("%d: %v in %+v", n, o.has(n), o)
			}
		}
		last := o.below
		for _, s := range o.above {
			if s.From <= last || s.To <= s.From {
				t.Fatalf("%+v", o)
			}
			last = s.To
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(`{"version":1,"starts":1,"below":3,"ended":[[5,9]],"open":[{"n":3,"slice":"a","at":7,"ended":"AgM=","messages":3}],"messages":5}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := parseCheckpoint(value)
		if err != nil || len(value) == 0 {
			return
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseCheckpoint(b)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if b2, err := json.Marshal(again); err != nil || !bytes.Equal(b, b2) {
			t.Fatalf("%s became %s (%v)", b, b2, err)
		}
	})
}

// The largest list of what has ended fits into a checkpoint: each second message of
// as many as may be out has ended, far apart from each other.
func TestTheLongestCheckpointFits(t *testing.T) {
	t.Parallel()
	for name, apart := range map[string]int64{"neighbours": 2, "parts of files": 300 << 10, "a petabyte apart": 1 << 38} {
		m := queue.NewWatermark(0, ahead)
		for i := range int64(2 * ahead) {
			m.Add(i * apart)
		}
		for i := range int64(ahead) {
			m.End(2*i + 1)
		}
		// What does not exist between two that ended is theirs; here all are apart.
		low, ended := m.Above()
		c := checkpoint{Open: []openSlice{{Name: "a", Spans: encodeSpans(low, ended)}}}
		b, err := json.Marshal(&c)
		if err != nil || len(b) > MaxValue*9/10 || len(ended) != ahead {
			t.Errorf("%s: %d intervals take %d bytes (%v)", name, len(ended), len(b), err)
		}
	}
}
