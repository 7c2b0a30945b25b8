package queuetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/queue"
)

const (
	limit = 64 << 20
	kib   = 1 << 10
)

var everything = queue.Room{Messages: 1 << 20, Bytes: 1 << 30}

// bench is one test's queue and its patience.
type bench struct {
	*testing.T
	h   *Harness
	q   Queue
	ctx context.Context
}

func newBench(t *testing.T, h *Harness, q Queue) *bench {
	ctx, cancel := context.WithTimeout(context.Background(), h.Patience)
	t.Cleanup(cancel)
	return &bench{T: t, h: h, q: q, ctx: ctx}
}

// publish stores n messages of at least size bytes, named m000, m001, ... in the
// first bytes of their values.
func (b *bench) publish(n, size int) {
	b.Helper()
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i] = queue.Message{Value: value(fmt.Sprintf("m%03d", i), size)}
	}
	b.put(ms...)
}

func (b *bench) put(ms ...queue.Message) {
	b.Helper()
	if err := b.q.Publish(b.ctx, ms...); err != nil {
		b.Fatalf("publish: %v", err)
	}
}

func value(name string, size int) []byte {
	v := []byte(name + ":")
	for i := len(v); i < size; i++ {
		v = append(v, byte('a'+i%23))
	}
	return v
}

func name(d *queue.Delivery) string { return nameIn(d.Message().Value) }

func nameIn(v []byte) string {
	if i := slices.Index(v, ':'); i >= 0 {
		return string(v[:i])
	}
	return string(v)
}

// pendingBecomes waits until the queue holds n unacknowledged messages.
func (b *bench) pendingBecomes(n int64) {
	b.Helper()
	b.eventually(func() error {
		got, err := b.q.Pending(b.ctx)
		if err == nil && got != n {
			err = fmt.Errorf("%d messages are pending, want %d", got, n)
		}
		return err
	})
}

func (b *bench) eventually(try func() error) {
	b.Helper()
	var err error
	for {
		if err = try(); err == nil {
			return
		}
		select {
		case <-b.ctx.Done():
			b.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// consumer is a running source with its strand.
type consumer struct {
	*bench
	host   *Host
	strand *Serving
	end    context.CancelCauseFunc
	done   chan error
	kept   []*queue.Delivery
}

func (b *bench) start(limit int64) *consumer {
	b.Helper()
	src, err := b.q.Source()
	if err != nil {
		b.Fatalf("source: %v", err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	c := &consumer{bench: b, host: NewHost(limit), end: end, done: make(chan error, 1)}
	go func() { c.done <- src.Run(ctx, c.host) }()
	b.Cleanup(func() { end(stopping()) })
	c.next()
	return c
}

func stopping() *queue.End {
	return &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)}
}

func (c *consumer) next() {
	c.Helper()
	s, err := c.host.Next(c.ctx)
	if err != nil {
		c.Fatal(err)
	}
	c.strand = s
	c.Cleanup(func() { s.Finish(nil) })
}

// fetch is one Fetch that must return something within its room.
func (c *consumer) fetch(room queue.Room) []*queue.Delivery {
	c.Helper()
	ds, err := c.strand.Fetch(c.ctx, room)
	if err != nil {
		c.Fatalf("fetch: %v (host %+v, strand %+v)", err, c.host.Usage(), c.strand.Status())
	}
	c.kept = append(c.kept, ds...)
	c.checkRoom(ds, room)
	return ds
}

func (c *consumer) checkRoom(ds []*queue.Delivery, room queue.Room) {
	c.Helper()
	var bytes int64
	for _, d := range ds {
		bytes += d.Message().Size()
	}
	if len(ds) == 0 || len(ds) > max(room.Messages, 1) || (len(ds) > 1 && bytes > room.Bytes) {
		c.Fatalf("fetch returned %d messages of %d bytes for room %+v", len(ds), bytes, room)
	}
}

// collect fetches until n deliveries came.
func (c *consumer) collect(n int) []*queue.Delivery {
	c.Helper()
	var all []*queue.Delivery
	for len(all) < n {
		all = append(all, c.fetch(queue.Room{Messages: n - len(all), Bytes: 1 << 30})...)
	}
	return all
}

func ack(ds ...*queue.Delivery) {
	for _, d := range ds {
		d.Ack()
		d.Free()
	}
}

// stop ends the strand, gives back what is not settled, and checks that Run
// returned with every byte accounted for.
func (c *consumer) stop() {
	c.Helper()
	c.end(stopping())
	if _, err := c.strand.End(c.ctx); err != nil {
		c.Fatal(err)
	}
	c.leave()
	c.returned()
}

// leave settles what is left and lets Serve return.
func (c *consumer) leave() {
	for _, d := range c.kept {
		if !d.Settled() {
			d.Release()
		}
		d.Free()
	}
	c.kept = nil
	c.strand.Finish(nil)
}

func (c *consumer) returned() {
	c.Helper()
	select {
	case err := <-c.done:
		if err != nil {
			c.Fatalf("run returned %v", err)
		}
	case <-c.ctx.Done():
		c.Fatal("run did not return")
	}
	if u := c.host.Usage(); u.Used != 0 {
		c.Errorf("%d bytes were never given back: %+v", u.Used, u)
	}
	if err := errors.Join(c.host.Err()); err != nil {
		c.Errorf("budget: %v", err)
	}
}

func names(ds []*queue.Delivery) []string {
	out := make([]string, len(ds))
	for i, d := range ds {
		out[i] = name(d)
	}
	slices.Sort(out)
	return out
}

func expected(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("m%03d", i)
	}
	return out
}
