package main

import (
	"fmt"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// command is what repeats a run of all targets.
func command(total, least time.Duration, cached bool) string {
	switch {
	case cached && total == 0:
		return fmt.Sprintf("make fuzz FUZZ_TIME=%s", least)
	case !cached && total == 2*time.Minute && least == 3*time.Second:
		return "make fuzz-short"
	}
	return fmt.Sprintf("go run ./test/fuzz -time %s -least %s", total, least)
}

// figures adds what a run of all targets came to.
func (r *runner) figures(run *proof.Run, targets int) {
	run.AtLeast("targets", float64(targets), 1, "")
	run.AtLeast("executions", float64(r.execs), float64(targets), "")
	run.Value("time of each target", r.each.Round(time.Millisecond).Seconds(), "s")
	run.AtMost("targets that failed", float64(r.failures), 0, "")
}
