package worker

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
)

// complainEvery is the least time between two lines about one class of failures
// of one flusher entry.
const complainEvery = time.Minute

// complaints keep a destination that is down from writing a line for each of its
// lanes: the first failure is logged at once, then one line a minute counts the
// lanes that failed. What each lane suffers from is in status.
type complaints struct {
	mu      sync.Mutex
	byClass [errorClasses]complaint
}

// complaint is what was and what will be said of one class.
type complaint struct {
	said  time.Time
	turn  uint32 // which line comes next, from 1
	lanes int    // that failed since the last one
}

// counted is the line in which a lane counts last.
type counted struct {
	class flushers.Class
	turn  uint32
}

// speak logs a failure, unless one of its class was logged within the last minute.
func (l *lane) speak(v *verdict, wait time.Duration) {
	n := l.entry.complaints.add(&l.complained, v.class, time.Now())
	if n == 0 {
		return
	}
	fields := []zap.Field{zap.String("error", v.text), zap.Duration("next_try", wait), zap.Int("lanes", n)}
	if v.stack != nil {
		fields = append(fields, zap.ByteString("stack", v.stack))
	}
	l.log().Warn("the flusher fails; its parts wait", fields...)
}

// add notes a lane's failure; above zero: it is time to say how many lanes failed.
func (c *complaints) add(lane *counted, class flushers.Class, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	line := &c.byClass[class]
	if next := (counted{class, line.turn + 1}); *lane != next {
		*lane = next
		line.lanes++
	}
	if line.turn > 0 && now.Sub(line.said) < complainEvery {
		return 0
	}
	n := line.lanes
	*line = complaint{said: now, turn: line.turn + 1}
	return n
}
