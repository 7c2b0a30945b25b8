//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/flushline/flushline/protocol"
)

// payloadCase compares both passes over JSON with encoding/json, which decodes the
// same bytes into structs. It needs no broker: both run in this process, in turn.
type payloadCase struct {
	form jsonForm
	logs int
	duel
}

// duel measures two sides in turn.
type duel struct {
	rounds int
	spend  time.Duration // of CPU, about, for each round
}

// jsonForm is a form of JSON that collectors write.
type jsonForm struct {
	name string
	text func(*protocol.LogGroup) ([]byte, error)
	into func() any // what encoding/json decodes into
}

// singleLog is custom_single as a struct.
type singleLog struct {
	Contents map[string]string `json:"contents"`
	Tags     map[string]string `json:"tags"`
	Time     uint32            `json:"time"`
}

var jsonForms = []jsonForm{
	{"custom_single", singleJSON, func() any { return new([]singleLog) }},
	{"flat", flatJSON, func() any { return new([]map[string]any) }},
	{"Log", func(g *protocol.LogGroup) ([]byte, error) { return json.Marshal(g.Logs) }, func() any { return new([]*protocol.Log) }},
	{"LogGroup", func(g *protocol.LogGroup) ([]byte, error) { return json.Marshal(g) }, func() any { return new(protocol.LogGroup) }},
}

func singleJSON(g *protocol.LogGroup) ([]byte, error) {
	lines := protocol.AppendJSONLines([]byte{'['}, g)
	for i, c := range lines {
		if c == '\n' {
			lines[i] = ','
		}
	}
	lines[len(lines)-1] = ']'
	return lines, nil
}

func flatJSON(g *protocol.LogGroup) ([]byte, error) {
	var all []map[string]any
	for _, l := range g.Logs {
		fields := map[string]any{"__time__": l.Time}
		for _, t := range g.LogTags {
			fields[t.Key] = t.Value
		}
		for _, c := range l.Contents {
			fields[c.Key] = c.Value
		}
		all = append(all, fields)
	}
	return json.Marshal(all)
}

// leastRatio is how many times faster than encoding/json both passes have to be.
const leastRatio = 3

func newDuel(short bool) duel {
	if short {
		return duel{rounds: 4, spend: 100 * time.Millisecond}
	}
	return duel{rounds: 8, spend: 300 * time.Millisecond}
}

func payloadSuite(short bool) ([]benchCase, func(), error) {
	var cases []benchCase
	for _, f := range jsonForms {
		for _, logs := range []int{100, 1} {
			c := payloadCase{form: f, logs: logs, duel: newDuel(short)}
			cases = append(cases, benchCase{c.name(), c.run})
		}
	}
	return cases, func() {}, nil
}

func (c payloadCase) name() string {
	return fmt.Sprintf("json %s, logs a message: %d", c.form.name, c.logs)
}

func (c payloadCase) run() (bool, error) {
	text, err := c.form.text(payloadGroup(c.logs))
	if err != nil {
		return false, err
	}
	var groups []protocol.Group
	ours := func() error {
		_, found, err := protocol.Scan(text, protocol.FormatJSON, protocol.EncodingNone, nil, groups[:0])
		groups = found
		for i := range groups {
			groups[i].Decode()
		}
		return err
	}
	theirs := func() error { return json.Unmarshal(text, c.form.into()) }

	own, other, err := c.fight(ours, theirs)
	if err != nil {
		return false, err
	}
	ratio := float64(other) / float64(own)
	kept := ratio >= leastRatio
	fmt.Printf("%-42s encoding/json/ours %.2f (ours %.0f MB, encoding/json %.0f MB of JSON a CPU second; %d bytes; %d rounds)%s\n",
		c.name(), ratio, perSecond(text, own), perSecond(text, other), len(text), c.rounds, verdict(kept, fmt.Sprintf("at least %d", leastRatio)))
	return kept, nil
}

func perSecond(text []byte, d time.Duration) float64 { return float64(len(text)) / d.Seconds() / 1e6 }

// fight returns the medians of what both sides cost.
func (d duel) fight(ours, theirs func() error) (own, other time.Duration, err error) {
	var costs [2][]time.Duration
	for range d.rounds {
		for i, side := range []func() error{ours, theirs} {
			cost, err := d.measure(side)
			if err != nil {
				return 0, 0, err
			}
			costs[i] = append(costs[i], cost)
		}
	}
	return middleOf(costs[0]), middleOf(costs[1]), nil
}

// measure is the CPU time of one call, garbage collection included.
func (d duel) measure(call func() error) (time.Duration, error) {
	runtime.GC()
	start := cpuTime()
	for n := 1; ; n++ {
		if err := call(); err != nil {
			return 0, err
		}
		if n%16 == 0 {
			if spent := cpuTime() - start; spent > d.spend {
				return spent / time.Duration(n), nil
			}
		}
	}
}

func middleOf(ds []time.Duration) time.Duration {
	ds = slices.Clone(ds)
	slices.Sort(ds)
	return (ds[(len(ds)-1)/2] + ds[len(ds)/2]) / 2
}

// payloadGroup is realistic: ten fields of 20 to 40 bytes in each log, two tags.
func payloadGroup(logs int) *protocol.LogGroup {
	g := &protocol.LogGroup{
		Topic: "nginx", Source: "192.0.2.17",
		LogTags: []*protocol.LogTag{{Key: "__hostname__", Value: "web-17"}, {Key: "__path__", Value: "/var/log/nginx/access.log"}},
	}
	names := []string{"method", "path", "status", "agent", "referer", "remote", "upstream", "request_id", "trace_id", "message"}
	for i := range logs {
		l := &protocol.Log{Time: 1_700_000_000 + uint32(i)}
		for j, name := range names {
			value := fmt.Sprintf("%s value of log %d, field %d, %0*d", name, i, j, 3+j, i*j)
			l.Contents = append(l.Contents, &protocol.Log_Content{Key: name, Value: value[:min(len(value), 34)]})
		}
		g.Logs = append(g.Logs, l)
	}
	return g
}
