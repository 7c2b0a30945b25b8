package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

// A process that stood still between two chunks may come back after the first ones were
// purged.
func TestChunksThatCameLateAreNotConfirmed(t *testing.T) {
	t.Parallel()
	chunk, alone := &piece{cut: true}, &piece{}
	late := queue.ArrivalBound + time.Second
	if err := chunk.result(time.Second); err != nil {
		t.Errorf("chunks that came in time: %v", err)
	}
	if err := chunk.result(late); !errors.Is(err, queue.ErrArrivedLate) {
		t.Errorf("chunks that came late: %v", err)
	}
	if err := alone.result(late); err != nil {
		t.Errorf("a message that is whole: %v", err)
	}
}
