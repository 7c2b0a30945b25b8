package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

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
func readTheirs(b *testing.B, r io.Reader, buf []byte) (size int) {
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

// The ratio to kafka-go on this machine, for the log; TestAllocations and the
// loose bound here are what can fail.
func TestFasterThanKafkaGo(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("speed means nothing here")
	}
	for _, s := range shapes {
		set := kafkaGoSet(t, s.attrs, logLines(s.n, s.size))
		us := testing.Benchmark(func(b *testing.B) { ours(b, set[4:], s.n*s.size) })
		them := testing.Benchmark(func(b *testing.B) { theirs(b, set, s.n*s.size) })
		ratio := float64(us.NsPerOp()) / float64(them.NsPerOp())
		t.Log(fmt.Sprintf("%s: %.0f ns a record, %.2f of kafka-go's time; %d allocations a set, kafka-go %d",
			s.name, float64(us.NsPerOp())/float64(s.n), ratio, us.AllocsPerOp(), them.AllocsPerOp()))
		if ratio > 2 {
			t.Errorf("%s: %.1f times as long as kafka-go", s.name, ratio)
		}
	}
}
