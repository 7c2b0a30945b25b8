package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func everyMessageIsDelivered(b *bench) {
	b.publish(300, 100)
	c := b.start(limit)
	ds := c.collect(300)
	if diff := cmp.Diff(expected(300), names(ds)); diff != "" {
		b.Errorf("deliveries (-want +got):\n%s", diff)
	}
	for _, d := range ds {
		if d.Attempt() != 1 || d.Held() < d.Message().Size() {
			b.Fatalf("%s: attempt %d, held %d of size %d", name(d), d.Attempt(), d.Held(), d.Message().Size())
		}
	}
	ack(ds...)
	b.pendingBecomes(0)
	c.stop()
}

func headersArrive(b *bench) {
	want := []queue.Header{
		{Key: "Content-Type", Value: "application/x-protobuf;type=loggroup"},
		{Key: "X-Log-Logstore", Value: "access"},
		{Key: "x-custom-UPPER", Value: "ünïcode, commas; and: colons"},
		{Key: "x-empty", Value: ""},
		{Key: "x-log-project", Value: "shop"},
	}
	b.put(queue.Message{Value: []byte{0, 1, 0xff, '\r', '\n', 0}, Headers: want})
	c := b.start(limit)
	d := c.fetch(everything)[0]
	m := d.Message()
	got := slices.Clone(m.Headers)
	slices.SortFunc(got, func(a, b queue.Header) int { return strings.Compare(a.Key, b.Key) })
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("headers (-want +got):\n%s", diff)
	}
	if v, ok := m.Header("X-LOG-PROJECT"); !ok || v != "shop" {
		b.Errorf("header looked up in another case: %q, %v", v, ok)
	}
	if !bytes.Equal(m.Value, []byte{0, 1, 0xff, '\r', '\n', 0}) {
		b.Errorf("value is %q", m.Value)
	}
	if m.Time.IsZero() || m.Position < 0 {
		b.Errorf("time %v, position %d", m.Time, m.Position)
	}
	ack(d)
	c.stop()
}

func originSurvives(b *bench) {
	b.publish(20, 10)
	c := b.start(limit)
	first := map[string]queue.Origin{}
	seen := map[queue.Origin]bool{}
	for _, d := range c.collect(20) {
		first[name(d)], seen[d.Origin()] = d.Origin(), true
	}
	c.stop()
	if len(seen) != 20 {
		b.Errorf("20 messages have %d origins", len(seen))
	}
	c = b.start(limit)
	for _, d := range c.collect(20) {
		if d.Origin() != first[name(d)] {
			b.Errorf("%s came again with origin %s, was %s", name(d), d.Origin(), first[name(d)])
		}
		ack(d)
	}
	c.stop()
}

// What was parked, dead-lettered or replayed keeps the ids of its first queue.
func originIsCarried(b *bench) {
	var want queue.Origin
	copy(want[:], "sixteen bytes ..")
	b.put(
		queue.Message{Value: []byte("m000:"), Headers: []queue.Header{{Key: "X-Flushline-Origin", Value: want.String()}}},
		queue.Message{Value: []byte("m001:"), Headers: []queue.Header{{Key: queue.HeaderOrigin, Value: "not an origin"}}},
	)
	c := b.start(limit)
	for _, d := range c.collect(2) {
		if (d.Origin() == want) != (name(d) == "m000") || d.Origin() == (queue.Origin{}) {
			b.Errorf("%s has origin %s", name(d), d.Origin())
		}
		ack(d)
	}
	c.stop()
}

func roomIsRespected(b *bench) {
	b.publish(120, 2*kib)
	c := b.start(limit)
	rooms := []queue.Room{{Messages: 1, Bytes: 1 << 30}, {Messages: 7, Bytes: 1 << 30}, {Messages: 100, Bytes: 20 * kib}}
	var all []*queue.Delivery
	for i := 0; len(all) < 120; i++ {
		room := rooms[i%len(rooms)]
		room.Messages = min(room.Messages, 120-len(all))
		all = append(all, c.fetch(room)...)
	}
	if diff := cmp.Diff(expected(120), names(all)); diff != "" {
		b.Errorf("deliveries (-want +got):\n%s", diff)
	}
	ack(all...)
	c.stop()
}

func oversizePasses(b *bench) {
	b.publish(3, 50*kib)
	c := b.start(limit)
	for range 3 {
		if ds := c.fetch(queue.Room{Messages: 10, Bytes: 1}); len(ds) != 1 {
			b.Errorf("%d messages for a room of one byte", len(ds))
		}
	}
	ack(c.kept...)
	c.stop()
}

func fetchWaits(b *bench) {
	c := b.start(limit)
	got := make(chan []*queue.Delivery, 1)
	go func() {
		ds, err := c.strand.Fetch(b.ctx, everything)
		if err != nil {
			b.Errorf("fetch: %v", err)
		}
		got <- ds
	}()
	b.publish(1, 10)
	ds := <-got
	if len(ds) != 1 || name(ds[0]) != "m000" {
		b.Fatalf("waiting fetch got %v", names(ds))
	}
	ack(ds...)
	c.stop()
}

func cancelLosesNothing(b *bench) {
	c := b.start(limit)
	var all []*queue.Delivery
	for i := range 60 {
		b.put(queue.Message{Value: value(fmt.Sprintf("m%03d", i), 500)})
		ctx, cancel := context.WithTimeout(b.ctx, time.Duration(i%7)*300*time.Microsecond)
		ds, err := c.strand.Fetch(ctx, queue.Room{Messages: 2, Bytes: 1 << 20})
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			b.Fatalf("cancelled fetch: %v", err)
		}
		c.kept = append(c.kept, ds...)
		all = append(all, ds...)
	}
	if len(all) < 60 {
		all = append(all, c.collect(60-len(all))...)
	}
	if diff := cmp.Diff(expected(60), names(all)); diff != "" {
		b.Errorf("deliveries (-want +got):\n%s", diff)
	}
	ack(all...)
	b.pendingBecomes(0)
	c.stop()
}

func notFetchingIsThePause(b *bench) {
	b.publish(256, 64*kib)
	c := b.start(limit)
	c.fetch(queue.Room{Messages: 1, Bytes: 1 << 30})
	var most int64
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		most = max(most, c.host.Usage().Used)
	}
	if most > 8<<20 {
		b.Errorf("one fetch of one message holds up to %d bytes of the 16 MiB in the queue", most)
	}
	ack(c.kept...)
	all := c.collect(255)
	ack(all...)
	b.pendingBecomes(0)
	c.stop()
}

func largeMessage(b *bench) {
	v := value("m000", b.h.Large)
	b.put(queue.Message{Value: v}, queue.Message{Value: []byte("m001:")})
	c := b.start(limit)
	ds := c.collect(2)
	if diff := cmp.Diff([]string{"m000", "m001"}, names(ds)); diff != "" {
		b.Fatalf("deliveries (-want +got):\n%s", diff)
	}
	for _, d := range ds {
		if name(d) == "m000" && !bytes.Equal(d.Message().Value, v) {
			b.Errorf("the value of %d bytes came as other %d bytes", len(v), len(d.Message().Value))
		}
	}
	ack(ds...)
	c.stop()
}

func boundedEnds(b *bench) {
	b.publish(50, 100)
	c := b.start(limit)
	if !c.strand.Info().Bounded {
		b.Error("the strand does not say that it is bounded")
	}
	ds := c.collect(50)
	if more, err := c.strand.Fetch(b.ctx, everything); !errors.Is(err, io.EOF) || len(more) > 0 {
		b.Errorf("fetch after the end: %d messages and %v, want io.EOF", len(more), err)
	}
	ack(ds...)
	c.strand.Finish(io.EOF)
	c.returned()
	b.pendingBecomes(0)
}
