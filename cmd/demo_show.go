package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/worker"
)

// show is what happens beside the worker of a demo: traffic, a line a second,
// and the count at the end.
type show struct {
	out       io.Writer
	cfg       *configs.Config
	dir       string
	last      time.Duration
	rate      rate
	made      *traffic
	breaker   *breaker        // nil: nothing breaks
	producing context.Context // ends at the first signal

	began        time.Time
	produced     atomic.Int64 // groups that the queue confirmed; one a message
	acknowledged int64        // as the broker says
	foreign      int64        // messages that others published
	flushed      int64        // as the worker says
	failed       error
}

// settlePatience is how long a demo waits for its last groups without any of
// them moving.
const settlePatience = 30 * time.Second

func (s *show) prepare(c *worker.Config) {
	if s.breaker != nil {
		s.breaker.attach(c)
	}
}

// play publishes and shows until the time is up and everything arrived. The
// worker stops when it returns.
func (s *show) play(ctx context.Context, w *worker.Worker, q *queues, adminAddr string) {
	fmt.Fprintf(s.out, "queue   %s, stream %s\nfiles   %s\nadmin   http://%s\n\n",
		q.own.cfg.URL, q.own.cfg.Stream, s.dir, adminAddr)
	producing, cancel := context.WithTimeout(s.producing, s.last)
	defer cancel()
	s.began = time.Now()
	done := make(chan error, 1)
	go func() { done <- s.produce(producing, q) }()
	if s.breaker != nil {
		go s.breakAndMend(producing)
	}
	s.tell(ctx, w, done)
	s.settle(ctx, w, q)
	s.flushed = flushedGroups(w.Status())
}

// produce publishes at the rate. A group whose publish was cut off by the end of
// the demo is awaited: it would be delivered without being counted.
func (s *show) produce(ctx context.Context, q *queues) error {
	sink, err := nats.NewPublisher(context.WithoutCancel(ctx), q.own.conn, q.own.cfg.Stream)
	if err != nil {
		return err
	}
	pack := packer{limit: int(q.own.conn.NATS().MaxPayload()), subject: func(k protocol.Key) string { return subjectOf("logs", k) }}
	due := time.Now()
	for ctx.Err() == nil {
		var ms []queue.Message
		// What became due while the last ones were stored goes together.
		for !due.After(time.Now()) && len(ms) < putMessages {
			key, g := s.made.group(time.Now())
			more, err := pack.pack(&parcel{key: key, group: g, from: "demo"})
			if err != nil {
				return err
			}
			ms = append(ms, more...)
			due = due.Add(s.rate.per(bytesOf(more)))
		}
		if errs := sink.Put(context.WithoutCancel(ctx), ms); errs != nil {
			return errors.Join(errs...)
		}
		s.produced.Add(int64(len(ms)))
		waitUntil(ctx, due)
	}
	return nil
}

// breakAndMend breaks the destination in the second third of the demo.
func (s *show) breakAndMend(ctx context.Context) {
	third := s.last / 3
	if !waitUntil(ctx, s.began.Add(third)) {
		return
	}
	fmt.Fprintf(s.out, "        --- %s breaks: from now on its server is down\n", s.breaker.entry)
	s.breaker.set(true)
	waitUntil(ctx, s.began.Add(2*third)) // mended at the end of the demo, too
	s.breaker.set(false)
	fmt.Fprintf(s.out, "        --- %s is mended\n", s.breaker.entry)
}

// tell prints a line a second until nothing is produced any more.
func (s *show) tell(ctx context.Context, w *worker.Worker, done <-chan error) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	for {
		select {
		case s.failed = <-done:
			return
		case <-ctx.Done():
			s.failed = <-done
			return
		case <-every.C:
			s.line(w.Status())
		}
	}
}

func (s *show) line(st *worker.Status) {
	var acknowledged int64
	for i := range st.Sources {
		if src := &st.Sources[i]; !strings.HasSuffix(src.Name, "_parked") {
			acknowledged += src.Acknowledged
		}
	}
	produced := max(s.produced.Load(), acknowledged) // a message may be acknowledged before its publish is confirmed
	fmt.Fprintf(s.out, "%5s   produced %s  flushed %s  acknowledged %s  lag %s%s%s\n",
		span(time.Since(s.began).Round(time.Second)), number(produced), number(flushedGroups(st)), number(acknowledged), number(produced-acknowledged),
		parkedNow(st), trouble(st))
}

// parkedNow says how many records are parked, if any ever were.
func parkedNow(st *worker.Status) string {
	var put, served int64
	for i := range st.Sources {
		src := &st.Sources[i]
		put += src.Counts.Parked
		if strings.HasSuffix(src.Name, "_parked") {
			served += src.Acknowledged
		}
	}
	if put == 0 {
		return ""
	}
	return "  parked " + number(max(put-served, 0))
}

// trouble says in a few words what does not move.
func trouble(st *worker.Status) string {
	lanes, why := map[string]int{}, map[string]string{}
	for i := range st.Lanes {
		if l := &st.Lanes[i]; blocked(l.State) {
			entry := l.Route + "/" + l.Flusher + " " + l.State
			lanes[entry]++
			why[entry] = cmp.Or(l.Why, why[entry])
		}
	}
	var out []string
	for i := range st.Strands {
		if t := &st.Strands[i]; t.State == "window_full" || t.State == "budget_exhausted" {
			out = append(out, "PAUSED ("+t.State+")")
		}
	}
	for _, entry := range slices.Sorted(maps.Keys(lanes)) {
		noun := "lanes"
		if lanes[entry] == 1 {
			noun = "lane"
		}
		out = append(out, fmt.Sprintf("%d %s of %s: %s", lanes[entry], noun, entry, printable(why[entry])))
	}
	if len(out) == 0 {
		return ""
	}
	return "  " + strings.Join(out, "; ")
}

// settle waits until the broker has everything acknowledged and what was parked is
// flushed, too, as long as something moves.
func (s *show) settle(ctx context.Context, w *worker.Worker, q *queues) {
	produced := s.produced.Load()
	moved, told := time.Now(), time.Now()
	var flushed int64
	for ctx.Err() == nil && time.Since(moved) < settlePatience {
		left, stored, err := owed(ctx, q)
		if err == nil {
			s.foreign = stored - produced
			if now := produced - left; now != s.acknowledged {
				s.acknowledged, moved = now, time.Now()
			}
			if now := flushedGroups(w.Status()); now != flushed {
				flushed, moved = now, time.Now()
			}
			if left == 0 && flushed >= produced {
				return
			}
		}
		if time.Since(told) >= time.Second {
			told = time.Now()
			s.line(w.Status())
		}
		waitUntil(ctx, time.Now().Add(50*time.Millisecond))
	}
}

// owed asks the broker how many messages the consumer still has to acknowledge,
// and how many were ever stored.
func owed(ctx context.Context, q *queues) (left, stored int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	js, err := q.own.conn.JetStream()
	if err != nil {
		return 0, 0, err
	}
	c, err := js.Consumer(ctx, q.own.cfg.Stream, q.own.cfg.Durable)
	if err != nil {
		return 0, 0, fmt.Errorf("couldn't ask for the consumer: %w", err)
	}
	stream, err := js.Stream(ctx, q.own.cfg.Stream)
	if err != nil {
		return 0, 0, fmt.Errorf("couldn't ask for the stream: %w", err)
	}
	// Not NumPending: the server counts a new message there some time after it
	// confirmed it.
	stored = int64(stream.CachedInfo().State.LastSeq)
	return max(0, stored-int64(c.CachedInfo().AckFloor.Stream)), stored, nil
}

// end prints the one summary line and what to try next.
func (s *show) end(o *demoOptions) error {
	produced := s.produced.Load()
	if s.foreign > 0 {
		fmt.Fprintf(s.out, "\nothers published %s messages to the demo's queue, too\n", number(s.foreign))
		produced, s.acknowledged = produced+s.foreign, s.acknowledged+s.foreign
	}
	fmt.Fprintf(s.out, "\nproduced %d flushed %d acknowledged %d\n", produced, s.flushed, s.acknowledged)
	switch {
	case s.failed != nil:
		return unavailable(fmt.Errorf("couldn't publish: %w", s.failed))
	case produced == 0 || s.flushed != produced || s.acknowledged != produced:
		return &coded{exitIncomplete, errors.New("not everything that was produced was flushed and acknowledged; run it again with --verbose to see why")}
	}
	next := []string{"flushline demo --break", "flushline flushers ls", "flushline check --example nats > flushline.yaml"}
	if o.broken {
		next[0] = "flushline demo --for 1m --keep"
	}
	fmt.Fprintf(s.out, "\nnext:\n  %s\n", strings.Join(next, "\n  "))
	return nil
}
