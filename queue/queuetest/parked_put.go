package queuetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
)

func putIsDurable(b *parkedBench) {
	first := b.open(false)
	var want []queue.Message
	for i := range 30 {
		want = append(want, b.record(false, "a", fmt.Sprintf("r%02d", i), 1000))
	}
	want[7].Value = []byte{0, 1, 0xff, '\r', '\n', 0}
	b.put(first, want...)
	r := b.serve(b.open(false), limit, gate(queue.GateOpen, "a"))
	b.eventually(func() error {
		if n := len(r.Took(parkedLane("a"))); n < len(want) {
			return fmt.Errorf("%d of %d records came", n, len(want))
		}
		return nil
	})
	r.stop()
	byOrigin := map[string]Taken{}
	for _, got := range r.Took(parkedLane("a")) {
		byOrigin[got.Origin.String()] = got
	}
	for i := range want {
		origin, _ := want[i].Header(queue.HeaderOrigin)
		got, ok := byOrigin[origin]
		if !ok || got.Attempt < 1 || !bytes.Equal(got.Message.Value, want[i].Value) {
			b.Errorf("record %d came back as %d bytes, attempt %d: %v", i, len(got.Message.Value), got.Attempt, ok)
			continue
		}
		for _, h := range want[i].Headers {
			if v, _ := got.Message.Header(strings.ToUpper(h.Key)); v != h.Value {
				b.Errorf("record %d: header %s is %q, was %q", i, h.Key, v, h.Value)
			}
		}
	}
}

// A worker that dies behind a put parks the message again when it gets it again.
func putTwiceIsServedTwice(b *parkedBench) {
	p := b.open(false)
	m := b.record(false, "a", "twice", 100)
	b.put(p, m)
	b.put(b.open(false), m)
	r := b.serve(p, limit, gate(queue.GateOpen, "a"))
	b.eventually(func() error {
		if n := len(r.Took(parkedLane("a"))); n != 2 {
			return fmt.Errorf("%d records came, want 2", n)
		}
		return nil
	})
	r.stop()
	all := r.Took(parkedLane("a"))
	if all[0].Origin != all[1].Origin || all[0].Origin.String() != fmt.Sprintf("%032x", b.n) {
		b.Errorf("their origins are %s and %s", all[0].Origin, all[1].Origin)
	}
}

func putsSideBySide(b *parkedBench) {
	p := b.open(false)
	var ms [8][]queue.Message
	for i := range ms {
		for k := range 50 {
			ms[i] = append(ms[i], b.record(false, fmt.Sprint("p", i%4), fmt.Sprintf("r%d-%02d", i, k), 100))
		}
	}
	var puts sync.WaitGroup
	for i := range ms {
		puts.Go(func() {
			if errs := p.Put(b.Context(), ms[i]); errs != nil {
				b.Errorf("put %d: %v", i, errs)
			}
		})
	}
	puts.Wait()
	b.parked(p, 400)
	r := b.serve(p, limit, gate(queue.GateOpen, "p0", "p1", "p2", "p3"))
	for i := range 4 {
		r.took(fmt.Sprint("p", i), 100)
	}
	b.parked(p, 0)
	r.stop()
}

func largeRecord(b *parkedBench) {
	p := b.open(false)
	noise := make([]byte, b.h.Large)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	m := b.record(false, "a", "large", 0)
	m.Value = append([]byte("large:"), noise...)
	b.put(p, b.record(false, "a", "before", 100), m, b.record(false, "a", "behind", 100))
	r := b.serve(p, limit, gate(queue.GateOpen, "a"))
	all := r.drains("a", 3)
	if diff := cmp.Diff(map[string]int{"before": 1, "large": 1, "behind": 1}, namesOf(all)); diff != "" {
		b.Errorf("records (-want +got):\n%s", diff)
	}
	for i := range all {
		if got := all[i].Message; nameIn(got.Value) == "large" && !bytes.Equal(got.Value, m.Value) {
			b.Errorf("%d bytes came back, not the %d that were parked", len(got.Value), len(m.Value))
		}
	}
}
