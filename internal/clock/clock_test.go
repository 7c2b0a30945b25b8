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
