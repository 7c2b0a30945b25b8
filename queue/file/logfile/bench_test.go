package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/flushline/flushline/protocol"
)

// benchLines are lines of the usual length.
func benchLines(n int) []byte {
	var b []byte
	for i := range n {
		b = fmt.Appendf(b, `{"contents":{"level":"INFO","method":"GET","path":"/api/v1/orders/%d","status":"200","latency":"%d","user":"u-%d","agent":"Mozilla/5.0 (X11; Linux x86_64)"},"tags":{"host":"web-%d"},"time":%d}`+"\n",
			i*7919%100000, i%997, i*31%5000, i/40000, 1700000000+i/100)
	}
	return b
}

// BenchmarkRead is to be compared with BenchmarkBare: the same work without a reader
// around it. Both decode all groups, as a flusher gets them.
func BenchmarkRead(b *testing.B) {
	text := benchLines(200000)
	cfg := DefaultConfig()
	s := sliceOf(b, &cfg, written(b, "a.jsonl.zst", compressed(b, "zstd", text)))
	in := inputOf(b, &cfg)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := in.Open(context.Background(), &s, 0)
		if err != nil {
			b.Fatal(err)
		}
		var groups []protocol.Group
		var slabs protocol.Slabs
		for {
			batch, err := r.Read(context.Background(), 1<<20)
			for i := range batch.Messages {
				m := &batch.Messages[i]
				t, _ := m.Header(protocol.HeaderContentType)
				f, _ := protocol.ParseContentType(t)
				p := protocol.Payload{Value: m.Value, Format: f}
				if _, groups, err = p.Scan(nil, groups[:0]); err != nil {
					b.Fatal(err)
				}
				decodeAll(&slabs, groups)
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		_ = r.Close()
	}
}

func BenchmarkBare(b *testing.B) {
	text := benchLines(200000)
	path := written(b, "a.jsonl.zst", compressed(b, "zstd", text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 0, 512<<10)
		var groups []protocol.Group
		var slabs protocol.Slabs
		for {
			n, err := z.Read(buf[len(buf):min(cap(buf), 256<<10)])
			buf = buf[:len(buf)+n]
			if len(buf) == 256<<10 || err != nil {
				end := bytes.LastIndexByte(buf, '\n') + 1
				p := protocol.Payload{Value: buf[:end], Format: protocol.FormatJSON}
				var wrong error
				if _, groups, wrong = p.Scan(nil, groups[:0]); wrong != nil {
					b.Fatal(wrong)
				}
				decodeAll(&slabs, groups)
				buf = append(buf[:0], buf[end:]...)
			}
			if err != nil {
				break
			}
		}
		z.Close()
		_ = f.Close()
	}
}

func decodeAll(slabs *protocol.Slabs, groups []protocol.Group) {
	for i := range groups {
		slabs.Decode(&groups[i])
	}
	slabs.Reset()
}
