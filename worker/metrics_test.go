package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// scrape reads all series of a worker: "name{a=b,c=d}" and its value.
func scrape(t *testing.T, w *worker.Worker) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(w.Collector()); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := strings.TrimPrefix(f.GetName(), "flushline_") + "{" + strings.Join(labels, ",") + "}"
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

func expect(t *testing.T, got, want map[string]float64) {
	t.Helper()
	for name, v := range want {
		if g, ok := got[name]; !ok || g != v {
			t.Errorf("%s is %v (there: %v), want %v", name, g, ok, v)
		}
	}
}

// A rate of a series that is not there is no alarm: what may happen exists at zero.
func TestSeriesExistBeforeAnythingHappens(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := muteWorker(t, &mute{strands: []*muteStrand{{name: "logs[0]", st: queue.Status{State: queue.StateConsuming}}}})
		synctest.Wait()
		expect(t, scrape(t, w), map[string]float64{
			"lanes{flusher=out,route=all,state=backoff}":                         0,
			"lanes{flusher=out,route=all,state=wedged}":                          0,
			"flush_errors_total{class=timeout,flusher=out,route=all}":            0,
			"flush_errors_total{class=panic,flusher=out,route=all}":              0,
			"passed_over_total{reason=expired,source=kafka}":                     0,
			"passed_over_total{reason=aborted,source=kafka}":                     0,
			"redelivered_total{source=kafka}":                                    0,
			"rebalances_total{source=kafka}":                                     0,
			"strands{source=kafka,state=fetching}":                               1,
			"strands{source=kafka,state=broker_away}":                            0,
			"oldest_unsettled_seconds{source=kafka,strand=logs[0]}":              0,
			"strand_lag_messages{source=kafka,strand=logs[0]}":                   0,
			"parts_total{flusher=,outcome=received,reason=,route=,source=kafka}": 0,
			"parts_total{flusher=,outcome=parked,reason=,route=,source=kafka}":   0,
		})
	})
}

// The commit is as old as what it leaves out; where nothing is committed there is
// no such series.
func TestTheAgeOfACommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		now := time.Now()
		w := muteWorker(t, &mute{totals: queue.Totals{Rebalances: 3}, strands: []*muteStrand{
			{name: "behind", st: queue.Status{Position: 9, Committed: 4, CommittedAt: now.Add(-time.Minute)}},
			{name: "even", st: queue.Status{Position: 9, Committed: 9, CommittedAt: now.Add(-time.Hour)}},
			{name: "LOGS/durable", st: queue.Status{Position: 9, Committed: 4}},
		}})
		synctest.Wait()
		got := scrape(t, w)
		expect(t, got, map[string]float64{
			"commit_age_seconds{source=kafka,strand=behind}": 60,
			"commit_age_seconds{source=kafka,strand=even}":   0,
			"rebalances_total{source=kafka}":                 3,
		})
		if _, there := got["commit_age_seconds{source=kafka,strand=LOGS/durable}"]; there {
			t.Error("a strand without commits has an age")
		}
	})
}

// The label strand is bounded, whatever a worker owns; nothing gets lost of the sum.
func TestManyStrandsAreFewSeries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const strands = 250
		src := &mute{}
		for i := range strands {
			src.strands = append(src.strands, &muteStrand{
				name: fmt.Sprintf("logs[%d]", i), st: queue.Status{State: queue.StateBrokerAway, Lag: 2, PassedOver: map[string]int64{"expired": 1}},
			})
		}
		// One follows another of the same name.
		src.strands = append(src.strands, &muteStrand{name: "logs[0]", st: queue.Status{State: queue.StateBrokerAway}})
		w := muteWorker(t, src)
		synctest.Wait()
		got := scrape(t, w)
		series, lag := 0, 0.0
		for name, v := range got {
			if strings.HasPrefix(name, "strand_lag_messages{") {
				series++
				lag += v
			}
		}
		if series != 101 || lag != 2*strands {
			t.Errorf("%d series with a lag of %v, want 101 and %d", series, lag, 2*strands)
		}
		expect(t, got, map[string]float64{
			"strands{source=kafka,state=broker_away}":                      strands + 1,
			"strand_lag_messages{source=kafka,strand=others}":              2 * (strands - 100),
			"passed_over_total{reason=expired,source=kafka}":               strands,
			"strand_paused{cause=broker_away,source=kafka,strand=logs[0]}": 1,
		})
	})
}

func TestFailuresAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.FailNext(2, errors.New("503"))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("out", s))}})
		r.publish(1, 1)
		r.acked(1)
		expect(t, scrape(t, r.w), map[string]float64{
			"flush_errors_total{class=retry,flusher=out,route=all}": 2,
			"lanes{flusher=out,route=all,state=idle}":               1,
		})
		r.mustStop()
	})
}
