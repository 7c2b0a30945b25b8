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
	form   jsonForm
	logs   int
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

func payloadSuite(short bool) ([]benchCase, func(), error) {
	rounds, spend := 8, 300*time.Millisecond
	if short {
		rounds, spend = 4, 100*time.Millisecond
	}
	var cases []benchCase
	for _, f := range jsonForms {
		for _, logs := range []int{100, 1} {
			c := payloadCase{form: f, logs: logs, rounds: rounds, spend: spend}
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

	var a, b []time.Duration
	for range c.rounds {
		for _, side := range []struct {
			costs *[]time.Duration
			read  func() error
		}{{&a, ours}, {&b, theirs}} {
			cost, err := c.measure(side.read)
			if err != nil {
				return false, err
			}
			*side.costs = append(*side.costs, cost)
		}
	}
	own, other := middleOf(a), middleOf(b)
	ratio := float64(other) / float64(own)
	kept := ratio >= leastRatio
	fmt.Printf("%-42s encoding/json/ours %.2f (ours %.0f MB, encoding/json %.0f MB of JSON a CPU second; %d bytes; %d rounds)%s\n",
		c.name(), ratio, perSecond(text, own), perSecond(text, other), len(text), c.rounds, verdict(kept, fmt.Sprintf("at least %d", leastRatio)))
	return kept, nil
}

func perSecond(text []byte, d time.Duration) float64 { return float64(len(text)) / d.Seconds() / 1e6 }

// measure is the CPU time of one reading, garbage collection included.
func (c payloadCase) measure(read func() error) (time.Duration, error) {
	runtime.GC()
	start := cpuTime()
	for n := 1; ; n++ {
		if err := read(); err != nil {
			return 0, err
		}
		if n%16 == 0 {
			if d := cpuTime() - start; d > c.spend {
				return d / time.Duration(n), nil
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
