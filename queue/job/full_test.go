package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// A strand that was handed all that may come twice says that it is full, but not while
// it is the place of checkpoints that takes none.
func TestAStrandIsFullOfWhatHasNotEnded(t *testing.T) {
	for _, down := range []error{nil, errors.New("disk full")} {
		t.Run(fmt.Sprint(down), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := newTape()
				plan := in.fill("a", 30_000)
				var held []*queue.Delivery
				strands := make(chan queue.Strand, 1)
				h := &server{serve: func(ctx context.Context, s queue.Strand) error {
					strands <- s
					for ctx.Err() == nil {
						ds, _ := s.Fetch(ctx, room) // until ctx ends
						held = append(held, ds...)
						if down != nil && len(held) > 0 {
							ack(held[0])
							held = held[1:]
						}
					}
					ack(held...)
					return nil
				}}
				lease := newLease(nil)
				src := newSource(t, configOf(in, lease, plan))
				saves := 0
				lease.set(func() error {
					if saves++; saves > 1 {
						return down
					}
					return nil
				})
				ctx, end := context.WithCancelCause(t.Context())
				done := make(chan error, 1)
				go func() { done <- src.Run(ctx, h) }()
				s := <-strands
				time.Sleep(time.Minute)
				state, cause := queue.StateConsuming, "20000 messages are unended"
				if down != nil {
					state, cause = queue.StateStalled, down.Error()
				}
				if st := s.Status(); st.State != state || st.Full != (down == nil) || !strings.Contains(st.Cause, cause) {
					t.Errorf("while checkpoints give %v: %+v", down, st)
				}
				lease.set(nil)
				end(stopping(time.Minute))
				<-done
			})
		})
	}
}
