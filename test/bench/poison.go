//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

const (
	poisonRate  = 20_000 // messages a second
	poisonLanes = 50
	poisonOneIn = 100
	poisonCost  = 1.05 // at most, of the time that a good group takes
)

// poisonCases compare a worker whose destination refuses one group in a hundred, with
// plain errors, with the same one whose destination refuses none.
func poisonCases(srv *benchServer, short bool) []benchCase {
	lasts, rounds := 20*time.Second, 4
	if short {
		lasts, rounds = 10*time.Second, 2
	}
	return []benchCase{{"1 % poison", func() (bool, error) { return poison(srv, lasts, rounds) }}}
}

// sorted is what the poison role reports of the time that it measured.
type sorted struct {
	Good, Calls int64
	Letters     int64 // of all groups that were refused, in the end
	CPU, Took   time.Duration
}

func (s sorted) perGood(of time.Duration) time.Duration { return of / time.Duration(max(s.Good, 1)) }

func poison(srv *benchServer, lasts time.Duration, rounds int) (bool, error) {
	var apart, cost [2][]time.Duration
	var last sorted
	for i := range rounds {
		for side, oneIn := range [2]int{0, poisonOneIn} {
			s, err := srv.poison(fmt.Sprintf("POISON%d%d", i, side), oneIn, lasts)
			if err != nil {
				return false, err
			}
			apart[side] = append(apart[side], s.perGood(s.Took))
			cost[side] = append(cost[side], s.perGood(s.CPU))
			last = s
		}
	}
	// One group in a hundred is not there to be flushed.
	slower := float64(middle(apart[1])) / float64(middle(apart[0])) * (1 - 1.0/poisonOneIn)
	cpu := float64(middle(cost[1])) / float64(middle(cost[0]))
	return say("1 % poison", slower <= poisonCost && last.Letters > 0, fmt.Sprintf("at most %.2f of the time", poisonCost),
		"1 %%/none: time a good group %.3f (%v and %v, %d published a second), CPU a good group %.3f (%.2f and %.2f us); %d rounds, in the last %d calls, %d good groups, %d dead letters",
		slower, middle(apart[1]), middle(apart[0]), poisonRate, cpu, float64(middle(cost[1]))/1e3, float64(middle(cost[0]))/1e3, rounds, last.Calls, last.Good, last.Letters)
}

// poison has a worker consume what is published at a steady rate.
func (s *benchServer) poison(stream string, oneIn int, lasts time.Duration) (sorted, error) {
	l := load{stream, 0, 300, poisonLanes, 0}
	if err := s.publish(l); err != nil { // makes the stream
		return sorted{}, err
	}
	text, err := l.json()
	if err != nil {
		return sorted{}, err
	}
	cmd := role("poison", map[string]string{
		"URL": s.url, "LOAD": text, "DURABLE": "d", "POISON": strconv.Itoa(oneIn), "LASTS": lasts.String(),
	})
	cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT=384MiB")
	ctx, stop := context.WithCancel(context.Background())
	published := make(chan error, 1)
	go func() { published <- s.flow(ctx, l) }()
	var out sorted
	err = output(cmd, &out)
	stop()
	return out, errors.Join(err, <-published)
}

// flow publishes at a steady rate until ctx ends.
func (s *benchServer) flow(ctx context.Context, l load) error {
	nc, err := nats.Connect(s.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	body, err := sample(l.Bytes).Marshal()
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for i := 0; ; {
		select {
		case <-ctx.Done():
			return nc.Flush()
		case now := <-tick.C:
			for due := int(now.Sub(began).Seconds() * poisonRate); i < due; i++ {
				if err := nc.PublishMsg(keyed(l, body, i)); err != nil {
					return err
				}
			}
		}
	}
}

// runPoison measures from three seconds behind the first group on, when as much is looked
// into as comes to an end.
func runPoison() error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	if err := env.createConsumer(); err != nil {
		return err
	}
	oneIn, err := strconv.Atoi(os.Getenv("BENCH_POISON"))
	if err != nil {
		return err
	}
	lasts, err := time.ParseDuration(os.Getenv("BENCH_LASTS"))
	if err != nil {
		return err
	}
	stop, err := profile()
	if err != nil {
		return err
	}
	defer stop()
	d := &picky{oneIn: uint64(oneIn)}
	letters := &counter{}
	w, err := newWorker(d.kind(), func(c *worker.Config) { c.DeadLetter.Sink = letters })
	if err != nil {
		return err
	}
	var from, to time.Time
	var cpu time.Duration
	var before, after sorted
	err = env.consumeWith(w, 8192, func(*worker.Status) bool {
		now := time.Now()
		switch {
		case d.good.Load() == 0:
		case from.IsZero():
			from = now.Add(3 * time.Second)
		case before.Took == 0 && now.After(from):
			from, cpu, before = now, cpuTime(), sorted{Good: d.good.Load(), Calls: d.calls.Load(), Took: 1}
		case before.Took != 0 && now.Sub(from) >= lasts:
			if to.IsZero() {
				to = now
				after = sorted{Good: d.good.Load() - before.Good, Calls: d.calls.Load() - before.Calls, Letters: letters.n.Load(), CPU: cpuTime() - cpu, Took: to.Sub(from)}
			}
			return true
		}
		return false
	})
	if err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(after)
}

// picky stores nothing and refuses some groups, by their origin, whatever batch they are
// in.
type picky struct {
	oneIn       uint64 // 0: it refuses none
	good, calls atomic.Int64
}

func (d *picky) kind() flushers.Kind {
	return flushers.Kind{
		Name: "picky", Summary: "Refuses some groups.", NoRetain: true, Atomic: true,
		New: func() flushers.Flusher { return &pickyFlusher{d: d} },
	}
}

type pickyFlusher struct{ d *picky }

var errPicky = errors.New("one of these groups does not fit")

func (*pickyFlusher) Init(flushers.Context) error                        { return nil }
func (*pickyFlusher) Description() string                                { return "refuses some groups" }
func (*pickyFlusher) IsReady(string, string, int64) bool                 { return true }
func (*pickyFlusher) SetUrgent(bool)                                     {}
func (*pickyFlusher) Stop() error                                        { return nil }
func (*pickyFlusher) Flush(_, _, _ string, _ []*protocol.LogGroup) error { return errPicky }

func (f *pickyFlusher) FlushBatch(_ context.Context, b *flushers.Batch) error {
	f.d.calls.Add(1)
	for i := range b.IDs {
		if o := &b.IDs[i].Origin; f.d.oneIn > 0 && (uint64(o[0])<<8|uint64(o[1]))%f.d.oneIn == 0 {
			return errPicky
		}
	}
	f.d.good.Add(int64(len(b.IDs)))
	return nil
}

// counter is a dead letter queue that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Describe() string { return "a count" }

func (c *counter) Put(_ context.Context, ms []queue.Message) []error {
	c.n.Add(int64(len(ms)))
	return nil
}
