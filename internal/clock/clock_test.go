package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/internal/clock"
)

func TestNumbersAreTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, at := clock.Now(), time.Now()
		if got := clock.Of(at); got != began {
			t.Errorf("the same moment is %d and %d", began, got)
		}
		<-time.After(3 * time.Second)
		if took := time.Duration(clock.Now() - began); took != 3*time.Second {
			t.Errorf("three seconds took %v", took)
		}
		if took := time.Since(clock.Time(began)); took != 3*time.Second {
			t.Errorf("a number as a time is %v old, want 3s", took)
		}
		if got := clock.Of(clock.Time(began)); got != began {
			t.Errorf("%d as a time is %d", began, got)
		}
	})
}

func TestStampsAreTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none clock.Stamp
		now := time.Now()
		if s := clock.At(time.Time{}); s != none || !s.IsZero() || !s.Time().IsZero() {
			t.Errorf("no time is stamped %d, which is %v", s, s.Time())
		}
		if none.After(now.Add(-time.Hour)) || none.Age(now) < 1000*time.Hour {
			t.Errorf("no time is %v old", none.Age(now))
		}
		s := clock.At(now)
		if s.IsZero() || !s.Time().Equal(now) || s.After(now) || !s.After(now.Add(-1)) {
			t.Errorf("%v is stamped %d, which is %v", now, s, s.Time())
		}
		<-time.After(3 * time.Second)
		if age := s.Age(time.Now()); age != 3*time.Second || !s.Time().Equal(now) {
			t.Errorf("three seconds later %v is %v and %v old", now, s.Time(), age)
		}
	})
}
