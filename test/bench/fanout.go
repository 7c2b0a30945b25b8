//go:build linux

package main

import (
	"fmt"

	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/worker"
)

// fanoutCases compare a route to two flusher entries with a route to one. 5,000 keys
// are the 10,000 lanes that `limits.lanes` allows: with more, lanes are stopped and
// opened again for every few messages, and that is measured instead.
func fanoutCases(srv *benchServer, short bool) []benchCase {
	n, rounds := 1, 4
	if short {
		n, rounds = 4, 2
	}
	var cases []benchCase
	for _, l := range []load{
		{"FAN50", 600_000 / n, 1000, 50, 0}, {"FAN5K", 600_000 / n, 1000, 5_000, 0}, {"FANLARGE", 20_000 / n, 50_000, 50, 0},
	} {
		name := fmt.Sprintf("fan-out, %dKB, %d lanes", l.Bytes/1000, l.Keys)
		cases = append(cases, benchCase{name, func() (bool, error) { return fanout(srv, name, l, rounds) }})
	}
	return cases
}

const fanoutBound = 1.6

func fanout(srv *benchServer, name string, l load, rounds int) (bool, error) {
	if err := srv.publish(l); err != nil {
		return false, err
	}
	by := map[string][]usage{}
	for i := range rounds {
		for _, who := range []string{"worker", "worker-two"} {
			u, err := consume(srv, who, l, i)
			if err != nil {
				return false, err
			}
			by[who] = append(by[who], u)
		}
	}
	one, two := median(by["worker"]), median(by["worker-two"])
	ratio := float64(two.perMessage()) / float64(one.perMessage())
	return say(name, ratio <= fanoutBound, fmt.Sprintf("at most %.2f", fanoutBound), "two/one %.2f (one %.2f us, two %.2f us a message; %d rounds; GCs %d and %d; peak RSS %d and %d MiB)",
		ratio, float64(one.perMessage())/1e3, float64(two.perMessage())/1e3, rounds, one.GCs, two.GCs, one.PeakRSS>>10, two.PeakRSS>>10)
}

// runWorkerTwo is runWorker with a second flusher entry.
func runWorkerTwo(env benchEnv) error {
	if err := env.createConsumer(); err != nil {
		return err
	}
	k := blackhole.Kind()
	w, err := newWorker(k, func(c *worker.Config) {
		c.Routes[0].Flushers = append(c.Routes[0].Flushers, worker.Entry{Name: "second", Kind: k, New: k.New})
	})
	if err != nil {
		return err
	}
	return env.consume(w, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}
