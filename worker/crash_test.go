package worker_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// broken panics where a source or a strand runs.
type broken struct{ inFetch bool }

func (b *broken) Run(ctx context.Context, h queue.Host) error {
	if !b.inFetch {
		panic("in Run")
	}
	done := make(chan error)
	go func() { done <- h.Serve(ctx, b) }()
	return <-done
}

func (b *broken) Info() queue.Info     { return queue.Info{Source: "broken"} }
func (b *broken) Status() queue.Status { return queue.Status{} }
func (b *broken) Fetch(context.Context, queue.Room) ([]*queue.Delivery, error) {
	panic("in Fetch")
}

// Whoever runs the worker hears of a panic and ends the process.
func TestAPanicOutsideOfFlushersEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, b := range []*broken{{}, {inFetch: true}} {
		said, over := make(chan string, 1), make(chan struct{})
		w, err := worker.New(worker.Config{
			Deployment: "test", Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", checker.New()))},
			Crash: func(v any, stack []byte) {
				said <- v.(string) + "\n" + string(stack)
				<-over // nothing goes on: the process has ended
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ran := make(chan struct{})
		go func() { _ = w.Run(context.Background(), b); close(ran) }()
		want := "in Run"
		if b.inFetch {
			want = "in Fetch"
		}
		select {
		case got := <-said:
			if !strings.HasPrefix(got, want) || !strings.Contains(got, "crash_test.go") {
				t.Errorf("got %s", got)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("nobody heard of a panic %s", want)
		}
		close(over)
		<-ran
	}
}
