package worker

import (
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/queue"
)

// Collector exposes the metrics of docs/DESIGN.md. It is read from one snapshot at
// each scrape, so the hot path knows nothing of it.
func (w *Worker) Collector() prometheus.Collector { return collector{w} }

type collector struct{ w *Worker }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("flushline_"+name, help, labels, nil)
}

var (
	descParts      = desc("parts_total", "Parts by how they ended; outcome received counts those that came.", "source", "route", "flusher", "outcome", "reason")
	descInFlight   = desc("parts_in_flight", "Parts that came and have not ended.", "source")
	descBytes      = desc("in_flight_bytes", "Bytes in use of a pool.", "pool")
	descBytesLimit = desc("in_flight_bytes_limit", "Size of a pool in bytes.", "pool")
	descStrands    = desc("strands", "Strands by state.", "source", "state")
	descLag        = desc("strand_lag_messages", "Messages the broker has not had acknowledged.", "source", "strand")
	descOldest     = desc("oldest_unsettled_seconds", "Age of the oldest message that is held, by the broker's clock; 0 if none.", "source", "strand")
	descCommit     = desc("commit_age_seconds", "Time since all that could be committed last was; 0 while nothing was handed out beyond it. It grows while commits fail.", "source", "strand")
	descPaused     = desc("strand_paused", "1 while a strand is not fetched, by cause.", "source", "strand", "cause")
	descLanes      = desc("lanes", "Lanes by state.", "route", "flusher", "state")
	descSeconds    = desc("flush_seconds", "Duration of Flush calls.", "route", "flusher")
	descErrors     = desc("flush_errors_total", "Failed calls into flushers by class.", "route", "flusher", "class")
	descRepeated   = desc("repeated_groups_total", "Groups of failed batches that were sent again in smaller ones, to find what is to blame; only of kinds of which a failed Flush may have stored some, which then have them twice.", "route", "flusher")
	descAbandoned  = desc("abandoned_calls", "Calls that outlasted their limit and have not returned.", "route", "flusher")
	descPassed     = desc("passed_over_total", "Messages that were lost to the queue before they were delivered, by reason.", "source", "reason")
	descRedeliver  = desc("redelivered_total", "Messages the broker delivered more than once.", "source")
	descRebalances = desc("rebalances_total", "Times that partitions were shared out anew after the first.", "source")
	descMessages   = desc("messages_total", "Messages by what happened: received, acknowledged, released.", "source", "outcome")
	descLate       = desc("late_flushes_total", "Results of Flush that came after their parts had ended.")
	descDefects    = desc("defects_total", "Second settlements of a delivery: zero, or the program has a defect.")
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descParts, descInFlight, descBytes, descBytesLimit, descStrands, descLag, descOldest, descCommit, descPaused, descLanes, descSeconds,
		descErrors, descRepeated, descAbandoned, descPassed, descRedeliver, descRebalances, descMessages, descLate, descDefects,
	} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	g := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	n := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	sn := c.w.snapshot()
	for i, s := range sn.sources {
		collectParts(n, s.name, "", "", lostOf(s))
		for e, totals := range sn.byEntry {
			collectParts(n, s.name, e.route, e.flusher, totals[i].tally)
		}
		if i < len(sn.departed) {
			collectParts(n, s.name, departedRoute, "", sn.departed[i])
		}
		g(descInFlight, float64(sn.bySource[i].inFlight), s.name)
		n(descMessages, s.messages.Load(), s.name, "received")
		n(descMessages, s.acknowledged.Load(), s.name, "acknowledged")
		n(descMessages, s.givenBack.Load(), s.name, "released")
	}
	for _, p := range []PoolStatus{c.w.held.status(), c.w.work.status()} {
		g(descBytes, float64(p.Used), p.Name)
		g(descBytesLimit, float64(p.Limit), p.Name)
	}
	c.collectStrands(sn, g, n)
	for _, e := range sn.entries {
		for _, state := range laneStates {
			g(descLanes, float64(sn.states[e][state]), e.route, e.flusher, state)
		}
		buckets, count, sum := e.seconds.cumulative()
		fixed := make(map[float64]uint64, len(buckets))
		for le, v := range buckets {
			fixed[le] = v
		}
		ch <- prometheus.MustNewConstHistogram(descSeconds, count, sum, fixed, e.route, e.flusher)
		for class := flushers.ClassNone + 1; class < errorClasses; class++ {
			n(descErrors, e.errors[class].Load(), e.route, e.flusher, class.String())
		}
		n(descRepeated, e.repeated.Load(), e.route, e.flusher)
		g(descAbandoned, float64(e.abandoned.Load()), e.route, e.flusher)
	}
	n(descLate, c.w.late.Load())
	n(descDefects, queue.Misuse())
	c.w.kinds.collect(ch)
}

// departedRoute is the label route of what entries counted that are gone: no entry
// has an empty label flusher beside it.
const departedRoute = "removed"

func lostOf(s *source) tally {
	s.lost.mu.Lock()
	defer s.lost.mu.Unlock()
	var t tally
	for i := range s.lost.tally {
		t.merge(&s.lost.tally[i])
	}
	return t
}

func collectParts(n func(*prometheus.Desc, int64, ...string), source, route, flusher string, t tally) {
	n(descParts, t.received, source, route, flusher, "received", "")
	n(descParts, t.flushed, source, route, flusher, "flushed", "")
	n(descParts, t.parked, source, route, flusher, "parked", "")
	for outcome, m := range map[string]map[string]int64{
		"dead_lettered": t.deadLettered, "skipped": t.skipped, "released": t.released,
	} {
		for reason, v := range m {
			n(descParts, v, source, route, flusher, outcome, reason)
		}
	}
}

// kindMetrics are the counters and gauges that flushers made for themselves. What a
// flusher says of one must not spoil the scrape of all: names are made valid, and the
// first to make one settles its help and type.
type kindMetrics struct {
	mu       sync.Mutex
	values   map[kindMetric]*kindValue
	families map[string]kindFamily
}

type kindMetric struct {
	family, route, flusher string
}

type kindFamily struct {
	help string
	kind prometheus.ValueType
}

type kindValue struct{ v atomic.Int64 }

func (v *kindValue) Add(n int64) { v.v.Add(n) }
func (v *kindValue) Set(n int64) { v.v.Store(n) }

// entryKindMetrics is the flushers.Metrics of one flusher entry, while it is of a
// kind.
type entryKindMetrics struct {
	e    *entry
	kind string
}

func (m entryKindMetrics) Counter(name, help string) flushers.Counter {
	return m.get(name, help, prometheus.CounterValue)
}

func (m entryKindMetrics) Gauge(name, help string) flushers.Gauge {
	return m.get(name, help, prometheus.GaugeValue)
}

var notInNames = regexp.MustCompile(`[^a-z0-9_]`)

func (m entryKindMetrics) get(name, help string, kind prometheus.ValueType) *kindValue {
	family := "flusher_" + m.kind + "_" + notInNames.ReplaceAllString(strings.ToLower(name), "_")
	k := &m.e.w.kinds
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.values == nil {
		k.values, k.families = map[kindMetric]*kindValue{}, map[string]kindFamily{}
	}
	if _, known := k.families[family]; !known {
		k.families[family] = kindFamily{strings.ToValidUTF8(help, "?"), kind}
	}
	id := kindMetric{family, m.e.route, m.e.flusher}
	v := k.values[id]
	if v == nil {
		v = &kindValue{}
		k.values[id] = v
	}
	return v
}

// forget drops what instances of an entry counted that is gone.
func (k *kindMetrics) forget(e *entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id := range k.values {
		if id.route == e.route && id.flusher == e.flusher {
			delete(k.values, id)
		}
	}
}

func (k *kindMetrics) collect(ch chan<- prometheus.Metric) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for id, v := range k.values {
		f := k.families[id.family]
		d := desc(id.family, f.help, "route", "flusher")
		ch <- prometheus.MustNewConstMetric(d, f.kind, float64(v.v.Load()), id.route, id.flusher)
	}
}
