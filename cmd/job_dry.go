package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// census counts what a job would deliver. It stands in for every flusher and for the
// dead letter queue, so what it counts went through the routes as it would.
type census struct {
	mu   sync.Mutex
	keys map[protocol.Key]*keyCount

	Groups int64       `json:"groups"`
	Logs   int64       `json:"logs"`
	Bytes  int64       `json:"bytes"` // of protobuf
	First  time.Time   `json:"first,omitzero"`
	Last   time.Time   `json:"last,omitzero"`
	Keys   []*keyCount `json:"keys,omitempty"`       // the first mostKeys, by name
	Others int64       `json:"other_keys,omitempty"` // groups of further keys

	Letters int64    `json:"dead_letters,omitempty"`
	Samples []string `json:"dead_letter_samples,omitempty"` // of the first few, why
}

// keyCount is one key toward one flusher entry.
type keyCount struct {
	Key    string `json:"key"`
	Groups int64  `json:"groups"`
	Logs   int64  `json:"logs"`
	Bytes  int64  `json:"bytes"`
}

const (
	mostKeys    = 1000
	mostSamples = 10
	shownKeys   = 20
)

func newCensus() *census { return &census{keys: map[protocol.Key]*keyCount{}} }

// routes are the same routes, whose flushers only count.
func (c *census) routes(of []worker.Route) []worker.Route {
	out := make([]worker.Route, len(of))
	for i := range of {
		out[i] = of[i]
		out[i].Flushers = slices.Clone(of[i].Flushers)
		for k := range out[i].Flushers {
			e := &out[i].Flushers[k]
			e.New = func() flushers.Flusher { return &counter{c} }
			e.Kind = flushers.Kind{Name: "census", Summary: "Counts.", New: e.New, NoRetain: true}
		}
	}
	return out
}

// counter is the flusher of a dry run.
type counter struct{ c *census }

func (*counter) Init(flushers.Context) error        { return nil }
func (*counter) Description() string                { return "Counts." }
func (*counter) IsReady(string, string, int64) bool { return true }
func (*counter) SetUrgent(bool)                     {}
func (*counter) Stop() error                        { return nil }

// Flush is never called: the kind takes batches.
func (*counter) Flush(string, string, string, []*protocol.LogGroup) error {
	return errors.New("a dry run counts batches")
}

// FlushBatch implements flushers.BatchFlusher.
func (f *counter) FlushBatch(_ context.Context, b *flushers.Batch) error {
	f.c.mu.Lock()
	defer f.c.mu.Unlock()
	k := f.c.of(protocol.Key{Project: b.Project, Logstore: b.Logstore, Config: b.Config})
	for i, g := range b.Groups {
		k.Groups++
		k.Logs += int64(len(g.Logs))
		k.Bytes += int64(len(b.Raw[i]))
		f.c.Groups++
		f.c.Logs += int64(len(g.Logs))
		f.c.Bytes += int64(len(b.Raw[i]))
		for _, l := range g.Logs {
			f.c.saw(time.Unix(int64(l.Time), 0))
		}
	}
	return nil
}

func (c *census) saw(t time.Time) {
	if c.First.IsZero() || t.Before(c.First) {
		c.First = t
	}
	if t.After(c.Last) {
		c.Last = t
	}
}

func (c *census) of(key protocol.Key) *keyCount {
	if k := c.keys[key]; k != nil {
		return k
	}
	if len(c.keys) >= mostKeys {
		c.Others++
		return &keyCount{}
	}
	k := &keyCount{Key: key.String()}
	c.keys[key] = k
	at, _ := slices.BinarySearchFunc(c.Keys, k, func(a, b *keyCount) int {
		if a.Key < b.Key {
			return -1
		}
		return 1
	})
	c.Keys = slices.Insert(c.Keys, at, k)
	return k
}

// Describe implements queue.Sink.
func (c *census) Describe() string { return "a dry run" }

// Put implements queue.Sink: it counts what would be a dead letter.
func (c *census) Put(_ context.Context, ms []queue.Message) []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ms {
		c.Letters++
		if len(c.Samples) < mostSamples {
			reason, _ := ms[i].Header(queue.HeaderReason)
			text, _ := ms[i].Header(queue.HeaderError)
			from, _ := ms[i].Header(queue.HeaderSource)
			c.Samples = append(c.Samples, fmt.Sprintf("%s: %s: %s", from, reason, text))
		}
	}
	return nil
}

func (c *census) show(row func(string, string, ...any)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	row("would flush", "%s groups, %s logs, %s of protobuf", number(c.Groups), number(c.Logs), size(c.Bytes))
	if !c.First.IsZero() {
		row("log times", "%s to %s", c.First.UTC().Format(time.RFC3339), c.Last.UTC().Format(time.RFC3339))
	}
	for _, k := range c.Keys[:min(len(c.Keys), shownKeys)] {
		row("key", "%s: %s groups, %s logs, %s", printable(k.Key), number(k.Groups), number(k.Logs), size(k.Bytes))
	}
	if more := len(c.Keys) - shownKeys; more > 0 || c.Others > 0 {
		row("", "and %s more keys (--json has up to %s)", number(int64(max(more, 0))), number(mostKeys))
	}
	for _, s := range c.Samples {
		row("would be a dead letter", "%s", printable(s))
	}
}
