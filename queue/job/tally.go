package job

import (
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/flushline/flushline/queue"
)

// ends are the different ends of parts that a Source has heard of: a few for each
// flusher entry. A delivery remembers its own by their index.
type ends struct {
	mu  sync.Mutex
	all atomic.Pointer[[]queue.PartEnd] // never changed, only replaced
}

// index finds an end, looking first behind the one that was found before: the parts
// of messages tend to end in the same ways.
func (e *ends) index(end *queue.PartEnd, before int) int {
	all := *e.all.Load()
	for i := range all {
		at := (before + 1 + i) % len(all)
		if all[at] == *end {
			return at
		}
	}
	return e.add(end)
}

func (e *ends) add(end *queue.PartEnd) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := *e.all.Load()
	for i := range all {
		if all[i] == *end {
			return i
		}
	}
	kept := queue.PartEnd{
		Route: strings.Clone(end.Route), Flusher: strings.Clone(end.Flusher),
		Outcome: end.Outcome, Reason: strings.Clone(end.Reason),
	}
	more := append(all[:len(all):len(all)], kept)
	e.all.Store(&more)
	return len(all)
}

// counts are what a strand has counted since it began; under its lock.
type counts struct {
	messages, bytes int64
	parts           []int64 // by index in ends
	passed          map[string]int64
	damaged         int64
	damage          []Damage
}

func (c *counts) part(index int) {
	for len(c.parts) <= index {
		c.parts = append(c.parts, 0)
	}
	c.parts[index]++
}

func (c *counts) pass(passed map[string]int64) {
	if len(passed) > 0 && c.passed == nil {
		c.passed = map[string]int64{}
	}
	for reason, n := range passed {
		c.passed[reason] += n
	}
}

// addTo adds up counts; all are the ends that parts refers to.
func (c *counts) addTo(t *Totals, all []queue.PartEnd) {
	t.Messages += c.messages
	t.Bytes += c.bytes
	for reason, n := range c.passed {
		if n > 0 {
			t.Passed = added(t.Passed, reason, n)
		}
	}
	for i, n := range c.parts {
		if n > 0 {
			t.end(&all[i], n)
		}
	}
	t.Damaged += c.damaged
	for _, d := range c.damage {
		t.Damage = note(t.Damage, d)
	}
}

func (t *Totals) end(e *queue.PartEnd, n int64) {
	name := ""
	if e.Route != "" {
		name = e.Route + "/" + e.Flusher
	}
	g := t.Groups[name]
	switch e.Outcome {
	case queue.Flushed:
		g.Flushed += n
	case queue.DeadLettered:
		g.DeadLettered = added(g.DeadLettered, e.Reason, n)
	case queue.Skipped:
		g.Skipped = added(g.Skipped, e.Reason, n)
	default:
		return
	}
	if t.Groups == nil {
		t.Groups = map[string]Groups{}
	}
	t.Groups[name] = g
}

func added(m map[string]int64, name string, n int64) map[string]int64 {
	if m == nil {
		m = map[string]int64{}
	}
	m[name] += n
	return m
}

// clone shares nothing that changes.
func (t *Totals) clone() Totals {
	c := *t
	c.Passed = maps.Clone(t.Passed)
	c.Groups = maps.Clone(t.Groups)
	for name, g := range c.Groups {
		g.DeadLettered, g.Skipped = maps.Clone(g.DeadLettered), maps.Clone(g.Skipped)
		c.Groups[name] = g
	}
	c.Damage = t.Damage[:len(t.Damage):len(t.Damage)]
	c.Failure = t.Failure[:len(t.Failure):len(t.Failure)]
	return c
}

// Notes are bounded in number and, as they are part of every checkpoint, in bytes.
const (
	noteText  = 1 << 10
	noteBytes = 32 << 10 // of one list
)

// note appends to a list of notes unless it is full.
func note[N any](list []N, n N) []N {
	if len(list) >= MaxNotes {
		return list
	}
	more := append(list[:len(list):len(list)], n)
	if b, err := json.Marshal(more); err != nil || len(b) > noteBytes {
		return list
	}
	return more
}

func shortened(s string) string {
	if len(s) <= noteText {
		return s
	}
	return strings.ToValidUTF8(s[:noteText-3], "") + "..."
}
