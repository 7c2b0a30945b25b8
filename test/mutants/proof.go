package main

import (
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// leastMutants is how many defects have to be planted.
const leastMutants = 11

// figures adds what was planted and caught.
func figures(run *proof.Run, trials []trial, timeout time.Duration) {
	survived := map[string]bool{}
	planted := map[string][]string{} // by defect: what caught it
	missed := 0
	var slowest time.Duration
	var names []string
	breaks := map[string]string{}
	for _, t := range trials {
		if planted[t.defect.Name] == nil {
			names = append(names, t.defect.Name)
			breaks[t.defect.Name] = t.defect.Breaks
			run.Fault("planted defect", 1)
		}
		by := t.check.Package + " " + t.result.test
		if !t.result.caught {
			missed++
			survived[t.defect.Name] = true
			by = "not " + t.check.Package + " " + t.check.Run
		}
		planted[t.defect.Name] = append(planted[t.defect.Name], by)
		slowest = max(slowest, t.result.took)
	}
	run.AtLeast("defects planted", float64(len(planted)), leastMutants, "")
	run.AtLeast("defects caught by each of their checks", float64(len(planted)-len(survived)), float64(len(planted)), "")
	run.AtLeast("checks that caught", float64(len(trials)-missed), float64(len(trials)), "")
	run.AtMost("time of the slowest check", slowest.Round(10*time.Millisecond).Seconds(), timeout.Seconds(), "s")
	for _, name := range names {
		run.Note("%s (%s): caught by %s.", name, breaks[name], and(planted[name]))
	}
}

// and is a list as people write it.
func and(all []string) string {
	text := ""
	for i, s := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			text += " and "
		default:
			text += ", "
		}
		text += s
	}
	return text
}
