package record

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

var shapes = []struct {
	name  string
	n     int
	size  int
	attrs protocol.Attributes
}{
	{"1KB", 900, 1 << 10, 0},
	{"1KB-zstd", 900, 1 << 10, protocol.Zstd},
	{"50KB", 20, 50 << 10, 0},
	{"50KB-zstd", 20, 50 << 10, protocol.Zstd},
}

// BenchmarkDecode reads one set of about 1 MB, as a fetch answer holds it.
func BenchmarkDecode(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) { ours(b, kafkaGoSet(b, s.attrs, logLines(s.n, s.size))[4:], s.n*s.size) })
	}
}

// BenchmarkKafkaGo reads the same bytes with kafka-go's RecordSet.
func BenchmarkKafkaGo(b *testing.B) {
	for _, s := range shapes {
		b.Run(s.name, func(b *testing.B) { theirs(b, kafkaGoSet(b, s.attrs, logLines(s.n, s.size)), s.n*s.size) })
	}
}

func ours(b *testing.B, raw []byte, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	var d Decoder
	var sum int64
	each := func(r *Record) bool {
		sum += int64(len(r.Value))
		return true
	}
	for b.Loop() {
		res := d.Decode(Set{Records: raw}, each)
		if res.Err != nil {
			b.Fatal(res.Err)
		}
	}
	if sum%int64(size) != 0 || sum == 0 {
		b.Fatal(sum)
	}
}

func theirs(b *testing.B, raw []byte, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	buf := make([]byte, 64<<10)
	in := bytes.NewReader(nil)
	br := bufio.NewReader(in)
	for b.Loop() {
		in.Reset(raw)
		br.Reset(in)
		if got := readTheirs(b, br, buf); got != size {
			b.Fatal(got)
		}
	}
}

// readTheirs reads every value into buf, which costs the copy that a reader of
// pages cannot avoid.
func readTheirs(b testing.TB, r io.Reader, buf []byte) (size int) {
	var set protocol.RecordSet
	if _, err := set.ReadFrom(r); err != nil {
		b.Fatal(err)
	}
	for {
		rec, err := set.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			return size
		}
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.ReadFull(rec.Value, buf[:rec.Value.Len()])
		if err != nil {
			b.Fatal(err)
		}
		size += n
		_ = rec.Key.Close()
		_ = rec.Value.Close()
	}
}

// A set costs no allocation, however many records it has; gzip and lz4 cost the
// few small ones per batch that kafka-go's codecs make.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector empties pools at random")
	}
	for attrs := protocol.Attributes(0); attrs <= protocol.Zstd; attrs++ {
		raw := kafkaGoSet(t, attrs, logLines(900, 1<<10))[4:]
		var d Decoder
		n := int64(0)
		each := func(r *Record) bool {
			n += r.Size
			return true
		}
		most := 0.0
		if attrs == protocol.Gzip || attrs == protocol.Lz4 {
			most = 8
		}
		if got := testing.AllocsPerRun(50, func() { d.Decode(Set{Records: raw}, each) }); got > most {
			t.Errorf("%v: %.1f allocations for 900 records", attrs, got)
		}
	}
}

// The ratio to kafka-go, both in turns so that a busy machine disturbs both, and
// the best turn of each. The bound is loose; the log has the figures.
func TestAgainstKafkaGo(t *testing.T) {
	if raceEnabled {
		t.Skip("speed means nothing with the race detector")
	}
	const turns, sets = 12, 10
	buf := make([]byte, 64<<10)
	for _, s := range shapes {
		set := kafkaGoSet(t, s.attrs, logLines(s.n, s.size))
		var d Decoder
		us, them := time.Hour, time.Hour
		for range turns {
			us = min(us, took(sets, func() {
				if res := d.Decode(Set{Records: set[4:]}, func(*Record) bool { return true }); res.Delivered != int64(s.n) {
					t.Fatalf("%+v", res)
				}
			}))
			them = min(them, took(sets, func() {
				if got := readTheirs(t, bufio.NewReader(bytes.NewReader(set)), buf); got != s.n*s.size {
					t.Fatal(got)
				}
			}))
		}
		ratio := float64(us) / float64(them)
		t.Logf("%s: %d ns a record, kafka-go %d: %.2f of its time", s.name, us.Nanoseconds()/int64(s.n*sets), them.Nanoseconds()/int64(s.n*sets), ratio)
		if ratio > 1.5 {
			t.Errorf("%s: %.2f times as long as kafka-go", s.name, ratio)
		}
	}
}

func took(n int, f func()) time.Duration {
	start := time.Now()
	for range n {
		f()
	}
	return time.Since(start)
}
