//go:build linux

package isolation

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/protocol"
)

// lanes is how many destinations there are.
const lanes = 10

// load publishes groups to stores in turn, each with its number and the time.
type load struct {
	q      queued
	stores int

	mu    sync.Mutex
	rate  float64   // a second; Inf: as many as are taken
	since time.Time // of the rate
	sent  float64   // since then

	counts []atomic.Uint32 // published, of each store
	stop   chan struct{}
	done   chan error
}

func newLoad(q queued, stores int) *load {
	return &load{q: q, stores: stores, counts: make([]atomic.Uint32, stores), since: time.Now()}
}

// begin publishes at the rate until end.
func (l *load) begin(rate float64) {
	l.at(rate)
	l.stop, l.done = make(chan struct{}), make(chan error, 1)
	go func() { l.done <- l.run() }()
}

func (l *load) at(rate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.since, l.sent = rate, time.Now(), 0
}

// due is how many groups are, at most a batch. What a busy machine has put off is made
// up for: the offered load is what was said.
func (l *load) due() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	const batch = 512
	n := batch
	if !math.IsInf(l.rate, 1) {
		n = min(batch, int(l.rate*time.Since(l.since).Seconds()-l.sent))
	}
	l.sent += float64(n)
	return n
}

func (l *load) run() error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for store := 0; ; {
		n := l.due()
		for range n {
			if err := l.publish(store); err != nil {
				return err
			}
			store = (store + 1) % l.stores
		}
		if n > 0 {
			select {
			case <-l.stop:
				return nil
			default:
				continue
			}
		}
		select {
		case <-l.stop:
			return nil
		case <-tick.C:
		}
	}
}

var filler = []*protocol.Log_Content{
	{Key: "message", Value: strings.Repeat("something happened, and this says what ", 4)},
	{Key: "path", Value: "/var/log/nginx/access.log"},
	{Key: "status", Value: "200"},
	{Key: "agent", Value: "isolation/1.0"},
}

func (l *load) publish(store int) error {
	now := time.Now()
	g := protocol.LogGroup{
		Topic: fmt.Sprintf("%d %d", l.counts[store].Load(), now.UnixNano()), Source: "192.0.2.17",
		Logs: []*protocol.Log{{Time: uint32(now.Unix()), Contents: filler}},
	}
	body, err := g.Marshal()
	if err != nil {
		return err
	}
	if err := l.q.send(store, body); err != nil {
		return err
	}
	l.counts[store].Add(1)
	return nil
}

// end stops publishing and waits until all is confirmed.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	if err := <-l.done; err != nil {
		t.Fatalf("couldn't publish: %v", err)
	}
	l.settled(t)
}

func (l *load) settled(t *testing.T) {
	t.Helper()
	if err := l.q.confirmed(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
}

// fill publishes n groups before anybody reads them.
func (l *load) fill(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if err := l.publish(i % l.stores); err != nil {
			t.Fatal(err)
		}
	}
	l.settled(t)
}

// total is how many were published.
func (l *load) total() (n int) {
	for i := range l.counts {
		n += int(l.counts[i].Load())
	}
	return n
}
