package protocol_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/protocol/internal/slspb"
)

// sample is a group of realistic logs: ten fields of 20 to 40 bytes each.
func sample(logs int) *protocol.LogGroup {
	g := &protocol.LogGroup{
		Category: "access", Topic: "nginx", Source: "10.1.2.3", MachineUUID: "6a1f0a52-8f5b-11ef",
		LogTags: []*protocol.LogTag{{Key: "__hostname__", Value: "web-17"}, {Key: "__path__", Value: "/var/log/nginx/access.log"}},
	}
	names := []string{"method", "path", "status", "agent", "referer", "remote", "upstream", "request_id", "trace_id", "message"}
	for i := range logs {
		l := &protocol.Log{Time: 1700000000 + uint32(i)}
		for j, name := range names {
			value := fmt.Sprintf("%s value of log %d, field %d, %0*d", name, i, j, 3+j, i*j)
			l.Contents = append(l.Contents, &protocol.Log_Content{Key: name, Value: value[:min(len(value), 34)]})
		}
		g.Logs = append(g.Logs, l)
	}
	return g
}

// samples are the sizes that are measured: a full group, a small one, 1 KB.
var samples = []struct {
	name string
	logs int
}{{"100logs", 100}, {"5logs", 5}, {"1KB", 2}}

func eachSample(b *testing.B, f func(b *testing.B, data []byte)) {
	for _, s := range samples {
		data := sample(s.logs).AppendMarshal(nil)
		b.Run(s.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			reportCPU(b, len(data), func() { f(b, data) })
		})
	}
}

func BenchmarkScan(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		var groups []protocol.Group
		for b.Loop() {
			_, groups, _ = protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, groups[:0])
		}
	})
}

// BenchmarkDecode is both passes.
func BenchmarkDecode(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		var groups []protocol.Group
		for b.Loop() {
			_, groups, _ = protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, groups[:0])
			groups[0].Decode()
		}
	})
}

// BenchmarkDecodeSlabs is both passes with memory used again.
func BenchmarkDecodeSlabs(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		var groups []protocol.Group
		var slabs protocol.Slabs
		for b.Loop() {
			_, groups, _ = protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, nil, groups[:0])
			slabs.Decode(&groups[0])
			slabs.Reset()
		}
	})
}

func BenchmarkGoogleProtobuf(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		for b.Loop() {
			if err := proto.Unmarshal(data, new(slspb.LogGroup)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMarshal(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		var g protocol.LogGroup
		if err := g.Unmarshal(data); err != nil {
			b.Fatal(err)
		}
		var dst []byte
		for b.Loop() {
			dst = g.AppendMarshal(dst[:0])
		}
	})
}

func BenchmarkGoogleMarshal(b *testing.B) {
	eachSample(b, func(b *testing.B, data []byte) {
		g := new(slspb.LogGroup)
		if err := proto.Unmarshal(data, g); err != nil {
			b.Fatal(err)
		}
		var dst []byte
		for b.Loop() {
			dst, _ = proto.MarshalOptions{}.MarshalAppend(dst[:0], g)
		}
	})
}
