package clock

import (
	"math"
	"time"
)

// Stamp is a time of this process in one word, where a time.Time takes three; zero is
// none, longer ago than any.
type Stamp int64

// At is the stamp of a time which was read from time.Now in this process.
func At(t time.Time) Stamp {
	if t.IsZero() {
		return 0
	}
	return Stamp(Of(t))
}

// IsZero says that it is none.
func (s Stamp) IsZero() bool { return s == 0 }

// After says whether it is behind t.
func (s Stamp) After(t time.Time) bool { return s != 0 && int64(s) > Of(t) }

// Age is how long before now it was; for none as long as a time.Duration can be.
func (s Stamp) Age(now time.Time) time.Duration {
	if s == 0 {
		return math.MaxInt64
	}
	return time.Duration(Of(now) - int64(s))
}

// Time is for people: the hour by the wall clock as it is set now.
func (s Stamp) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	now := time.Now()
	return now.Add(-s.Age(now))
}
