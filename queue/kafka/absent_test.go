package kafka

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
)

// hall serves strands until their contexts end; one it cannot end in order.
type hall struct {
	queue.Host
	fails string
	left  chan string
}

var errHall = errors.New("no way")

func (h *hall) Serve(ctx context.Context, s queue.Strand) error {
	<-ctx.Done()
	h.left <- s.Info().Name
	if s.Info().Name == h.fails {
		return errHall
	}
	return nil
}

// When one strand without messages cannot go on the source ends, and leaves none
// behind.
func TestAbsenceThatFails(t *testing.T) {
	t.Parallel()
	h := &hall{fails: "a", left: make(chan string, 3)}
	x := &absences{src: &Source{log: zap.NewNop()}, host: h, live: map[string]*absence{}}
	want := map[string]queue.Status{"a": {}, "b": {}, "c": {}}
	if err := x.show(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	delete(want, "a")
	if err := x.show(t.Context(), want); !errors.Is(err, errHall) {
		t.Errorf("show returned %v", err)
	}
	if n := len(h.left); n != 3 {
		t.Errorf("%d of 3 strands have ended", n)
	}
}
