package worker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// BenchmarkMessages is the engine alone: a memory queue, lanes, and a flusher that
// throws everything away. `make bench` measures it with a real server.
func BenchmarkMessages(b *testing.B) {
	for _, lanes := range []int{1, 50, 10_000} {
		b.Run(fmt.Sprintf("lanes=%d", lanes), func(b *testing.B) {
			value, err := group("1").Marshal()
			if err != nil {
				b.Fatal(err)
			}
			headers := make([][]queue.Header, lanes)
			for i := range headers {
				headers[i] = keyed("p", fmt.Sprintf("ls%d", i), nil).Headers
			}
			q := memory.New(memory.Config{})
			kind := blackhole.Kind()
			w, err := worker.New(worker.Config{Routes: []worker.Route{
				{Name: "all", Flushers: []worker.Entry{{Name: "out", Kind: kind, New: kind.New}}},
			}})
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- w.Run(ctx, q) }()
			publish := func(n int) {
				for i := range n {
					q.Publish(queue.Message{Value: value, Headers: headers[i%lanes]})
				}
			}
			wait := func(n int) {
				ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
				defer cancel()
				if err := q.WaitAcked(ctx, int64(n)); err != nil {
					b.Fatal(err)
				}
			}
			publish(lanes)
			wait(lanes)
			b.ReportAllocs()
			b.ResetTimer()
			publish(b.N)
			wait(lanes + b.N)
			b.StopTimer()
			cancel()
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		})
	}
}
