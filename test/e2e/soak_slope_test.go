//go:build linux

package e2e

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A slope is judged of an hour or more: below, the noise of garbage collection is
// larger than the bound.
const (
	slopeOf    = time.Hour
	slopeBound = 1.0 // MiB an hour
)

// slope is how much resident memory grows, in MiB an hour: the median of the slopes
// between any two minutes (Theil and Sen), each minute with its least value, so that
// neither collections nor a single peak decide. It is 0 for less than two minutes.
func slope(samples []sample) float64 {
	type point struct{ hours, mib float64 }
	var minutes []point
	for i := range samples {
		m := math.Floor(samples[i].at.Sub(samples[0].at).Minutes())
		if len(minutes) == 0 || minutes[len(minutes)-1].hours < m/60 {
			minutes = append(minutes, point{m / 60, samples[i].rss})
		}
		last := &minutes[len(minutes)-1]
		last.mib = min(last.mib, samples[i].rss)
	}
	var all []float64
	for i, a := range minutes {
		for _, b := range minutes[:i] {
			all = append(all, (a.mib-b.mib)/(a.hours-b.hours))
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// A leak of twice the bound is told from none within an hour, under the noise of a
// collector that lets a third of the heap come and go.
func TestSlopeTellsALeak(t *testing.T) {
	for _, leak := range []float64{0, 2} {
		rng := rand.New(rand.NewPCG(3, 0))
		var samples []sample
		begin := time.Now()
		for s := range int(slopeOf.Seconds()) {
			at := begin.Add(time.Duration(s) * time.Second)
			saw := 16 * float64(s%97) / 97
			samples = append(samples, sample{at: at, rss: 48 + saw + 4*rng.Float64() + leak*at.Sub(begin).Hours()})
		}
		if got := slope(samples); math.Abs(got-leak) > 0.5 {
			t.Errorf("a leak of %v MiB an hour has the slope %.2f", leak, got)
		}
	}
	if got := slope([]sample{{rss: 1}}); got != 0 {
		t.Errorf("one sample has the slope %v", got)
	}
}
