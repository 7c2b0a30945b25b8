//go:build linux

package isolation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flushline/flushline/internal/proof"
)

// judge writes down what the windows showed.
func (x *trial) judge(t *testing.T, record *proof.Run) {
	t.Helper()
	for _, c := range []struct {
		what  string
		ill   []int
		least float64
	}{
		{oneDead, one, 95}, {fiveDead, five, 90}, {oneSlow, one, 95},
	} {
		if len(x.beside[c.what]) == 0 {
			continue // -run chose others
		}
		well := beside(c.ill)
		quiet := median(each(x.quiet, func(w *window) float64 { return w.rate(well) }))
		ill := median(each(x.beside[c.what], func(w *window) float64 { return w.rate(well) }))
		record.AtLeast("throughput of the others, "+c.what, 100*ill/quiet, c.least, "%")
		late := median(each(x.quiet, (*window).p99))
		with := median(each(x.beside[c.what], (*window).p99))
		if c.what == oneDead {
			record.AtMost("p99 latency of the others, "+c.what+", of that without", with/late, 2, "x")
		} else {
			record.Value("p99 latency of the others, "+c.what+", of that without", with/late, "x")
		}
		record.Value("p99 latency of the others, "+c.what, with, "ms")
	}
	record.Value("p99 latency while all are well", median(each(x.quiet, (*window).p99)), "ms")
	x.judgeDrains(record)
	record.AtMost("memory of the worker at most", float64(x.peak.Load()>>20), mostMiB, "MiB")
	record.AtMost("groups lost", float64(x.load.total()-x.book.total()), 0, "")
	record.AtMost("groups that came twice, of a worker that was never killed", float64(x.book.twice), 0, "")
	record.Value("groups", float64(x.load.total()), "")
}

// judgeDrains writes down how what was parked came.
func (x *trial) judgeDrains(record *proof.Run) {
	// Five lanes at half their destinations' speed are more than this machine's maximum.
	single := slices.DeleteFunc(slices.Clone(x.drains), func(d drain) bool { return d.lanes > 1 })
	if len(single) == 0 {
		return
	}
	drains := func(f func(drain) float64) float64 { return median(each(single, f)) }
	record.AtLeast("a parked backlog's speed after the outage, of its destination's", 100*drains(func(d drain) float64 { return d.speed }), 50, "%")
	record.AtLeast("live traffic of the lane beside it, of what was offered", 100*drains(func(d drain) float64 { return d.live }), 95, "%")
	record.AtLeast("throughput of the others beside it, of what was offered", 100*drains(func(d drain) float64 { return d.others }), 95, "%")
	record.Value("from the end of an outage until a parked record came", drains(func(d drain) float64 { return d.waited.Seconds() }), "s")
	record.Value("from the end of an outage until all of them had", drains(func(d drain) float64 { return d.empty.Seconds() }), "s")
	for _, d := range x.drains {
		if d.lanes > 1 {
			record.Value("groups a second of five parked backlogs together, beside live traffic", d.speed*float64(d.lanes)*faster*x.lane, "")
		}
	}
}

func each[T any](of []T, f func(T) float64) []float64 {
	var all []float64
	for _, x := range of {
		all = append(all, f(x))
	}
	return all
}

func median(of []float64) float64 {
	slices.Sort(of)
	return (of[(len(of)-1)/2] + of[len(of)/2]) / 2
}

// show prints what a run showed, keeps it, and fails for a figure beyond its bound.
func show(t *testing.T, record *proof.Run) {
	t.Helper()
	var b strings.Builder
	for _, f := range record.Figures {
		bound := ""
		switch {
		case f.AtMost != nil:
			bound = fmt.Sprintf(" (at most %g)", *f.AtMost)
		case f.AtLeast != nil:
			bound = fmt.Sprintf(" (at least %g)", *f.AtLeast)
		}
		fmt.Fprintf(&b, "%12.2f %-4s %s%s\n", f.Value, f.Unit, f.Of, bound)
		if !f.Kept() {
			t.Errorf("beyond its bound: %s: %.2f %s%s", f.Of, f.Value, f.Unit, bound)
		}
	}
	t.Logf("%s:\n%s", record.Name, b.String())
	record.End(t)
}
