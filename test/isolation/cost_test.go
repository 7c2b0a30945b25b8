//go:build linux

package isolation

import (
	"fmt"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// Parking costs CPU: at most three times of what it costs to throw the same groups away.
func TestCostOnNATS(t *testing.T) { testCost(t, func(t *testing.T) queued { return startNATS(t) }) }

func TestCostOnKafka(t *testing.T) { testCost(t, func(t *testing.T) queued { return startKafka(t) }) }

func testCost(t *testing.T, queue func(*testing.T) queued) {
	var parks, throws []float64
	var record *proof.Run
	n := size(100_000, 500_000)
	for range size(2, 4) {
		for _, c := range []struct {
			name, how string
			costs     *[]float64
		}{
			{"thrown", "flushers: [{name: f, type: blackhole}]", &throws},
			{"parked", "when_blocked: park, park_after: 1s, flushers: [{name: f, type: switched}]", &parks},
		} {
			t.Run(c.name, func(t *testing.T) {
				q := queue(t)
				if record == nil {
					record = proof.Begin("isolation-cost-"+q.name(), "Parking costs the worker at most three times the CPU of flushing the same groups to blackhole.", command)
				}
				*c.costs = append(*c.costs, cost(t, q, n, "\n  - {name: r, "+c.how+"}"))
			})
		}
	}
	if t.Failed() || record == nil {
		return
	}
	record.AtMost("CPU of parking, of that of blackhole", median(parks)/median(throws), 3, "x")
	record.Value("CPU of parking a group", median(parks), "us")
	record.Value("CPU of flushing one to blackhole", median(throws), "us")
	show(t, record)
}

// cost is the CPU time of a worker in microseconds for each of n groups that wait for it,
// of which none can be flushed unless it is thrown away.
func cost(t *testing.T, q queued, n int, routes string) float64 {
	t.Helper()
	l := newLoad(q, lanes)
	r := prepare(t, q, lanes, routes)
	for s := range lanes {
		r.mood(t, "dead", s)
	}
	l.fill(t, n)
	r.begin(t)
	eventually(t, 2*time.Minute, "all has ended", func() bool {
		time.Sleep(time.Second) // a snapshot of thousands of parts costs CPU as well
		return r.ended(t) >= int64(n)
	})
	used := r.cpu(t)
	r.stop(t)
	return float64(used.Microseconds()) / float64(n)
}

// ended is how many groups of the queue are done with; what was parked is a source of its own.
func (r *rig) ended(t *testing.T) int64 {
	t.Helper()
	for _, s := range r.status(t).Sources {
		if s.Name == r.q.name() {
			return s.Acknowledged
		}
	}
	return 0
}

// Ten thousand lanes do what ten do, nearly, and cost little memory while they are idle.
func TestManyLanesOnNATS(t *testing.T) {
	testManyLanes(t, func(t *testing.T) queued { return startNATS(t) })
}

func TestManyLanesOnKafka(t *testing.T) {
	testManyLanes(t, func(t *testing.T) queued { return startKafka(t) })
}

const many = 10_000

func testManyLanes(t *testing.T, queue func(*testing.T) queued) {
	var record *proof.Run
	rates, starts, weights := map[int][]float64{}, map[int][]float64{}, map[int][]float64{}
	n := size(100_000, 1_000_000)
	for range size(2, 4) {
		for _, stores := range []int{lanes, many} {
			t.Run(fmt.Sprint(stores), func(t *testing.T) {
				q := queue(t)
				if record == nil {
					record = proof.Begin("isolation-lanes-"+q.name(), "Ten thousand lanes have at least four fifths of the throughput of ten, and an idle one takes at most 2 KiB.", command)
				}
				rate, whole, weight := spread(t, q, stores, n)
				rates[stores], starts[stores] = append(rates[stores], rate), append(starts[stores], whole)
				weights[stores] = append(weights[stores], weight)
			})
		}
	}
	if t.Failed() || record == nil {
		return
	}
	record.AtLeast("throughput over 10,000 lanes that exist, of that over 10", 100*median(rates[many])/median(rates[lanes]), 80, "%")
	record.Value("the same with the making of the lanes", 100*median(starts[many])/median(starts[lanes]), "%")
	record.Value("groups a second over 10 lanes", median(rates[lanes]), "")
	record.AtMost("memory of an idle lane", (median(weights[many])-median(weights[lanes]))/(many-lanes), 2048, "B")
	show(t, record)
}

// spread has a worker flush n groups that wait for it, of so many lanes: how many a
// second it did once each lane had one, how many in all, and what it has in use when all
// are idle.
func spread(t *testing.T, q queued, stores, n int) (rate, whole, weight float64) {
	t.Helper()
	l := newLoad(q, stores)
	r := prepare(t, q, stores, "\n  - {name: r, when_blocked: park, flushers: [{name: f, type: switched}]}")
	l.fill(t, n)
	r.begin(t)
	var first, made, last int64 // when groups came: the first, that of the last lane to have one, the last
	before, without := 0, stores
	r.book.follow(t, 2*time.Minute, "all has come", func(x note) {
		if first == 0 {
			first = x.came
		}
		if r.book.came[x.store] == 1 && !x.again {
			without--
		}
		if without > 0 {
			made = x.came
			before++
		}
		last = max(last, x.came)
	}, func() bool { return r.book.total() >= n })
	eventually(t, time.Minute, "nothing is in flight", func() bool { return r.ended(t) >= int64(n) })
	weight = r.weight(t)
	r.stop(t)
	if r.book.twice > 0 {
		t.Errorf("%d groups came twice", r.book.twice)
	}
	return float64(n-before) / time.Duration(last-made).Seconds(), float64(n) / time.Duration(last-first).Seconds(), weight
}
