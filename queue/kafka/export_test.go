package kafka

import (
	"time"

	"github.com/flushline/flushline/queue"
)

// Rested says that a strand has been left alone for so long that it is not read before
// brokers said its topic's id again, and that they have not just done so.
func Rested(q queue.Strand) bool {
	s, ok := q.(*strand)
	if !ok {
		return false
	}
	since := time.Now().Add(-paused)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id != topicID{} && s.asked == nil && !s.taking && s.seen.Before(since) && s.src.atlas.asked().Before(since)
}
