package job_test

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// endless is an input whose messages cost nothing.
type endless struct {
	value []byte
	seed  queue.OriginSeed
	next  int64
	to    int64
}

func (e *endless) Open(_ context.Context, s *job.Slice, at int64) (job.Reader, error) {
	return &endless{value: e.value, seed: e.seed, next: at, to: s.To}, nil
}
func (e *endless) Seed() *queue.OriginSeed { return &e.seed }
func (e *endless) Close() error            { return nil }

func (e *endless) Read(_ context.Context, bytes int64) (job.Batch, error) {
	if e.next == e.to {
		return job.Batch{}, io.EOF
	}
	n := min(e.to-e.next, bytes/int64(len(e.value)+queue.Bookkeeping)+1)
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i] = queue.Message{Value: e.value, Position: e.next}
		e.next++
	}
	return job.Batch{Messages: ms, Next: e.next}, nil
}

// What a Source adds to each message: from Read to Ack, with four slices side by
// side and checkpoints.
func BenchmarkSource(b *testing.B) {
	in := &endless{value: make([]byte, 300), seed: queue.NewOriginSeed("bench", "slice")}
	var plan []job.Slice
	for _, name := range []string{"a", "b", "c", "d"} {
		plan = append(plan, job.Slice{Name: name, To: int64(b.N)/4 + 1})
	}
	src, err := job.New(configOf(in, newLease(nil), plan...))
	if err != nil {
		b.Fatal(err)
	}
	h := &server{serve: func(ctx context.Context, s queue.Strand) error {
		for {
			ds, err := s.Fetch(ctx, room)
			ack(ds...)
			if err != nil {
				return nilIf(err, errors.Is(err, io.EOF))
			}
		}
	}}
	b.ReportAllocs()
	b.ResetTimer()
	if err := src.Run(context.Background(), h); err != nil {
		b.Fatal(err)
	}
}
