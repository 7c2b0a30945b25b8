package protocol_test

import (
	"encoding/json"
	"testing"

	"github.com/flushline/flushline/protocol"
)

// jsonSample is a sample as a collector writes it, and what encoding/json would
// decode it into.
type jsonSample struct {
	name string
	text func(logs int) []byte
	into func() any
}

// singleLog is custom_single as a struct.
type singleLog struct {
	Contents map[string]string `json:"contents"`
	Tags     map[string]string `json:"tags"`
	Time     uint32            `json:"time"`
}

var jsonSamples = []jsonSample{
	{"custom_single", func(logs int) []byte { return asArray(protocol.AppendJSONLines(nil, sample(logs))) }, func() any { return new([]singleLog) }},
	{"flat", func(logs int) []byte { return asArray(flatLines(sample(logs))) }, func() any { return new([]map[string]any) }},
	{"loggroup", func(logs int) []byte { return marshalJSON(sample(logs)) }, func() any { return new(protocol.LogGroup) }},
	{"log", func(logs int) []byte { return marshalJSON(sample(logs).Logs) }, func() any { return new([]*protocol.Log) }},
}

func marshalJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// asArray makes lines one array, which encoding/json reads in one call.
func asArray(lines []byte) []byte {
	text := append([]byte{'['}, lines...)
	for i, c := range text {
		if c == '\n' {
			text[i] = ','
		}
	}
	text[len(text)-1] = ']'
	return text
}

func flatLines(g *protocol.LogGroup) (lines []byte) {
	for _, l := range g.Logs {
		fields := map[string]any{"__time__": l.Time}
		for _, t := range g.LogTags {
			fields[t.Key] = t.Value
		}
		for _, c := range l.Contents {
			fields[c.Key] = c.Value
		}
		lines = append(append(lines, marshalJSON(fields)...), '\n')
	}
	return lines
}

func eachJSON(b *testing.B, f func(b *testing.B, s jsonSample, text []byte)) {
	for _, s := range jsonSamples {
		for _, size := range samples[:2] {
			text := s.text(size.logs)
			b.Run(s.name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				reportCPU(b, len(text), func() { f(b, s, text) })
			})
		}
	}
}

// BenchmarkJSONIn is both passes.
func BenchmarkJSONIn(b *testing.B) {
	eachJSON(b, func(b *testing.B, _ jsonSample, text []byte) {
		var groups []protocol.Group
		for b.Loop() {
			var err error
			if _, groups, err = protocol.Scan(text, protocol.FormatJSON, protocol.EncodingNone, nil, groups[:0]); err != nil {
				b.Fatal(err)
			}
			for i := range groups {
				groups[i].Decode()
			}
		}
	})
}

// BenchmarkEncodingJSON is what the reader is compared with: structs, where the
// form has one.
func BenchmarkEncodingJSON(b *testing.B) {
	eachJSON(b, func(b *testing.B, s jsonSample, text []byte) {
		for b.Loop() {
			if err := json.Unmarshal(text, s.into()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkJSONOut writes groups without a buffer, as a Flush does.
func BenchmarkJSONOut(b *testing.B) {
	for _, shape := range []struct {
		name string
		o    protocol.JSONOptions
	}{
		{"single", protocol.JSONOptions{}},
		{"flat", protocol.JSONOptions{Flatten: true}},
		{"rfc3339", protocol.JSONOptions{Flatten: true, Time: protocol.JSONRFC3339}},
	} {
		s := protocol.NewJSONShape(shape.o)
		for _, size := range samples[:2] {
			g := sample(size.logs)
			text := s.AppendLines(nil, g)
			b.Run(shape.name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				reportCPU(b, len(text), func() {
					for b.Loop() {
						s.AppendLines(nil, g)
					}
				})
			})
		}
	}
}
