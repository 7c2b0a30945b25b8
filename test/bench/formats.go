//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/protocol"
)

// formatsCase compares a batch written as JSON lines with encoding/json over maps that
// are filled for each log, as iLogtail's converter does. Both begin without a buffer.
// The batch has a hundred logs, in one group or in one each.
type formatsCase struct {
	shape, time string
	groups      int
	names       map[string]string // new names of tags
	foreign     bool              // values are not ASCII
	duel
}

const (
	leastOut   = 10 // times faster than encoding/json
	mostAllocs = 2  // a group
)

func formatsSuite(short bool) ([]benchCase, func(), error) {
	var cases []benchCase
	for _, c := range []formatsCase{
		{shape: formats.Single, time: formats.Seconds},
		{shape: formats.Flatten, time: formats.Seconds},
		{shape: formats.Flatten, time: formats.RFC3339, names: map[string]string{"__path__": "path", "log.topic": ""}},
		{shape: formats.Flatten, time: formats.Millis, foreign: true},
	} {
		for _, c.groups = range []int{1, 100} {
			c.duel = newDuel(short)
			cases = append(cases, benchCase{c.name(), c.run})
		}
	}
	return cases, func() {}, nil
}

func (c formatsCase) name() string {
	name := fmt.Sprintf("%s, %s", c.shape, c.time)
	if c.names != nil {
		name += ", renamed"
	}
	if c.foreign {
		name += ", Chinese"
	}
	return fmt.Sprintf("%s, groups: %d", name, c.groups)
}

func (c formatsCase) run() (bool, error) {
	o := formats.Defaults()
	o.Shape, o.TimeFormat, o.TagNames = c.shape, c.time, c.names
	w, err := o.Compile()
	if err != nil {
		return false, err
	}
	g := payloadGroup(100)
	if c.foreign {
		for _, l := range g.Logs {
			for _, p := range l.Contents {
				p.Value = "订单已经提交" + p.Value[:10] + "，等待支付" // 43 bytes
			}
		}
	}
	batch := []*protocol.LogGroup{g}
	if c.groups > 1 {
		batch = batch[:0]
		for _, l := range g.Logs {
			one := payloadGroup(0) // with strings of its own
			one.Logs = append(one.Logs, l)
			batch = append(batch, one)
		}
	}
	ours := func() error { w.AppendGroups(nil, batch); return nil }
	own, other, err := c.fight(ours, func() error { return c.maps(batch) })
	if err != nil {
		return false, err
	}
	text := w.AppendGroups(nil, batch)
	allocs := allocations(func() { w.AppendGroups(nil, batch) }) / float64(c.groups)
	ratio := float64(other) / float64(own)
	kept := ratio >= leastOut && allocs <= mostAllocs
	fmt.Printf("%-66s encoding/json/ours %.2f (ours %.0f MB, encoding/json %.0f MB of JSON a CPU second; %d bytes; %d rounds), %.2f allocations a group%s\n",
		c.name(), ratio, perSecond(text, own), perSecond(text, other), len(text), c.rounds, allocs,
		verdict(kept, fmt.Sprintf("at least %d and at most %d", leastOut, mostAllocs)))
	return kept, nil
}

// maps writes the batch with a map for each log.
func (c formatsCase) maps(batch []*protocol.LogGroup) error {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	for _, g := range batch {
		for _, l := range g.Logs {
			contents, tags := make(map[string]string, len(l.Contents)), make(map[string]string, len(g.LogTags)+2)
			for _, p := range l.Contents {
				contents[p.Key] = p.Value
			}
			for _, t := range g.LogTags {
				tags[t.Key] = t.Value
			}
			tags["host.ip"], tags["log.topic"] = g.Source, g.Topic
			var log any = map[string]any{"contents": contents, "tags": tags, "time": l.Time}
			if c.shape == formats.Flatten {
				flat := make(map[string]any, len(contents)+len(tags)+1)
				for k, v := range contents {
					flat[k] = v
				}
				for k, v := range tags {
					flat[k] = v
				}
				flat["time"] = l.Time
				log = flat
			}
			if err := e.Encode(log); err != nil {
				return err
			}
		}
	}
	return nil
}

// allocations is how many objects a call allocates, on the average.
func allocations(call func()) float64 {
	const calls = 2000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		call()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / calls
}
