package configs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

const parkingFile = `source: {embedded: {}}
routes:
  - name: pay
    match: {project: pay}
    when_blocked: park
    flushers:
      - {type: stdout, rate: {groups: 500, bytes: 2MiB}}
      - {type: stdout, name: copy}
  - {name: slow, match: {project: slow}, when_blocked: park, park_after: 1m, flushers: [{type: stdout}]}
  - {name: rest, when_blocked: wait, flushers: [{type: stdout}]}
`

func TestParking(t *testing.T) {
	t.Parallel()
	c := loadText(t, parkingFile)
	w := c.Worker()
	for i, want := range []worker.Route{{Park: true, ParkAfter: 10 * time.Second}, {Park: true, ParkAfter: time.Minute}, {}} {
		if r := w.Routes[i]; r.Park != want.Park || r.ParkAfter != want.ParkAfter || r.Strict {
			t.Errorf("route %s: park %t after %v, strict %t", r.Name, r.Park, r.ParkAfter, r.Strict)
		}
	}
	if got, want := w.Routes[0].Flushers[0].Rate, (worker.Rate{Groups: 500, Bytes: 2 << 20}); got != want {
		t.Errorf("rate %+v", got)
	}
	parked := []queue.Lane{{Route: "pay", Flusher: "stdout"}, {Route: "pay", Flusher: "copy"}, {Route: "slow", Flusher: "stdout"}}
	if diff := cmp.Diff(parked, c.Parked()); diff != "" || !c.Parks() {
		t.Errorf("parks %t: %s", c.Parks(), diff)
	}
	all := loadText(t, parkingFile+"removed: park\n")
	if diff := cmp.Diff(append(parked, queue.Lane{Route: "rest", Flusher: "stdout"}), all.Parked()); diff != "" || all.Table().Removed != worker.RemovedPark {
		t.Errorf("removed %q: %s", all.Table().Removed, diff)
	}
	if waits := loadText(t, strings.NewReplacer(": park", ": wait", "park_after: 1m, ", "").Replace(parkingFile)); waits.Parks() || waits.Parked() != nil {
		t.Errorf("%v", waits.Parked())
	}
}

// order: strict is also a setting of the consumer, which was verified at the start.
func TestStrictOrder(t *testing.T) {
	t.Parallel()
	const text = "source: {SOURCE}\nroutes: [{name: a, when_blocked: wait, flushers: [{type: stdout}]}]\n"
	for source, oneAtATime := range map[string]bool{
		"embedded: {}":                     true,
		"nats: {stream: LOGS, durable: d}": true,
		`kafka: {brokers: ["k1:9092"], topics: [logs], group: g}`: false,
	} {
		text := strings.Replace(text, "SOURCE", source, 1)
		plain := loadText(t, text)
		strict := loadText(t, strings.Replace(text, "name: a", "name: a, order: strict", 1))
		if !strict.Strict() || !strict.Worker().Routes[0].Strict || plain.Strict() {
			t.Errorf("%s: %t, %t", source, strict.Strict(), plain.Strict())
		}
		for _, err := range []error{plain.NeedsRestart(strict), strict.NeedsRestart(plain)} {
			if (err != nil) != oneAtATime || err != nil && !strings.Contains(err.Error(), "routes (line 2) needs a restart") {
				t.Errorf("%s: %v", source, err)
			}
		}
		switch src := strict.Source; {
		case src.NATS != nil && !src.NATS.Strict, src.Embedded != nil && !src.Embedded.Strict:
			t.Errorf("%s: the consumer may hand out many", source)
		}
	}
}
