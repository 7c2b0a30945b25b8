package worker

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestTheCollectorIsPacedByHowOftenItRuns(t *testing.T) {
	t.Parallel()
	percent := 0
	p := newPacer(400, func(to int) { percent = to })
	done := float64(p.cycles)
	// run lets seconds pass with so many collections a second at 100 %.
	run := func(seconds int, rate float64) {
		for range seconds {
			done += rate * 100 / float64(percent)
			p.adjust(uint64(done))
		}
	}
	for i, phase := range []struct {
		seconds int
		rate    float64
		want    int
	}{
		{20, 0.3, 50},
		{3, 1.5, 50},  // the heap of a start grows
		{20, 0.3, 50}, //
		{4, 14, 400},  // a full load
		{60, 14, 400}, //
		{60, 3, 200},  // neither frequent nor rare: it stays
		{60, 1.3, 100},
		{60, 0.5, 50},
		{30, 0, 50},
	} {
		if run(phase.seconds, phase.rate); percent != phase.want {
			t.Fatalf("phase %d: %d %%, want %d (rate %g)", i, percent, phase.want, p.rate)
		}
	}
	if newPacer(0, nil) != nil || newPacer(gcLeast, nil) != nil {
		t.Error("a pacer without room to move")
	}
	(*pacer)(nil).look()
}

// Not parallel: the collector is the process's.
func TestThePacerReadsAndSetsTheRealCollector(t *testing.T) {
	before := debug.SetGCPercent(300)
	defer debug.SetGCPercent(before)
	p := newPacer(400, setGCPercent)
	if got := debug.SetGCPercent(gcLeast); got != 50 {
		t.Errorf("GOGC is %d at first, want 50", got)
	}
	for range 20 {
		runtime.GC()
	}
	p.look()
	if got := debug.SetGCPercent(gcLeast); got != 100 {
		t.Errorf("after twenty collections GOGC is %d, want 100", got)
	}
}
