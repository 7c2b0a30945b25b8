package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue/job"
)

// shelf keeps the pieces of a plan.
type shelf struct {
	job.State
	pieces [][]byte
}

func (s *shelf) Piece(_ context.Context, i int) ([]byte, error) { return s.pieces[i], nil }

func planOf(all []job.Slice, err error) job.Slices {
	return func(yield func(job.Slice, error) bool) {
		for _, s := range all {
			if !yield(s, nil) {
				return
			}
		}
		if err != nil {
			yield(job.Slice{}, err)
		}
	}
}

func TestAPlanComesBackFromItsPiecesAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of := rapid.IntRange(1, 5).Draw(t, "of")
		long := strings.Repeat("x", rapid.SampledFrom([]int{0, 100, 30_000, 400_000}).Draw(t, "name"))
		var want []job.Slice
		sizes := make([]job.ShardSize, of)
		for i := range rapid.IntRange(0, min(40, 2_000_000/(len(long)+1))).Draw(t, "slices") {
			s := job.Slice{Name: fmt.Sprint(long, i, " <ü> \n"), From: rapid.Int64Range(0, 100).Draw(t, "from"), To: -1, Shard: i % of, Stamp: "s"}
			if rapid.Bool().Draw(t, "bounded") {
				s.To = s.From + rapid.Int64Range(0, 1<<40).Draw(t, "length")
				sizes[s.Shard].Positions += s.To - s.From
			} else {
				s.Size, s.Cut = rapid.Int64Range(0, 1<<50).Draw(t, "size"), rapid.IntRange(0, len(s.Name)).Draw(t, "cut")
				sizes[s.Shard].Bytes += s.Size
			}
			sizes[s.Shard].Slices++
			want = append(want, s)
		}
		st := &shelf{}
		pieces, size := job.Pieces(planOf(want, nil), of)
		for p, err := range pieces {
			if err != nil {
				t.Fatal(err)
			}
			if len(p) > job.MaxValue || len(p) == 0 {
				t.Fatalf("a piece of %d bytes", len(p))
			}
			st.pieces = append(st.pieces, p)
		}
		if diff := cmp.Diff(sizes, size()); diff != "" {
			t.Errorf("sizes (-want +got):\n%s", diff)
		}
		var got []job.Slice
		for s, err := range job.SlicesOf(context.Background(), st, &job.Manifest{Pieces: len(st.pieces), Shards: sizes}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("slices (-want +got):\n%s", diff)
		}
	})
}

func TestAPlanWithWhatNobodyCanReadIsAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("the walk failed")
	for name, plan := range map[string]job.Slices{
		"an error of the plan": planOf([]job.Slice{{Name: "a", To: -1}}, broken),
		"no name":              planOf([]job.Slice{{To: -1}}, nil),
		"a shard beyond":       planOf([]job.Slice{{Name: "a", To: -1, Shard: 2}}, nil),
		"a range backwards":    planOf([]job.Slice{{Name: "a", From: 5, To: 4}}, nil),
		"a name beyond":        planOf([]job.Slice{{Name: strings.Repeat("x", job.MaxValue), To: -1}}, nil),
	} {
		var errs []error
		pieces, _ := job.Pieces(plan, 2)
		for _, err := range pieces {
			errs = append(errs, err)
		}
		if last := errs[len(errs)-1]; last == nil || (name == "an error of the plan") != errors.Is(last, broken) {
			t.Errorf("%s: %v", name, errs)
		}
	}
}

func FuzzPieces(f *testing.F) {
	f.Add([]byte(`{"name":"a","to":-1}` + "\n" + `{"name":"b","from":1,"to":7,"shard":1}` + "\n"))
	f.Add([]byte(`{"name":"a","to":-2}`))
	f.Add([]byte(`{"name"`))
	f.Fuzz(func(t *testing.T, piece []byte) {
		st := &shelf{pieces: [][]byte{piece}}
		var all []job.Slice
		for s, err := range job.SlicesOf(t.Context(), st, &job.Manifest{Pieces: 1, Shards: make([]job.ShardSize, 2)}) {
			if err != nil {
				return
			}
			all = append(all, s)
		}
		pieces, _ := job.Pieces(planOf(all, nil), 2)
		st.pieces = nil
		for p, err := range pieces {
			if err != nil {
				t.Fatalf("what was read cannot be written: %v", err)
			}
			st.pieces = append(st.pieces, slices.Clone(p))
		}
	})
}
