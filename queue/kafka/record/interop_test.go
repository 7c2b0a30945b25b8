package record

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logLines are values that compress as logs do.
func logLines(n, size int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("error warn info request user latency status GET POST /index.html 200 404 timeout upstream")
	out := make([][]byte, n)
	for i := range out {
		var b bytes.Buffer
		for b.Len() < size {
			fmt.Fprintf(&b, "%s=%x ", words[r.IntN(len(words))], r.Uint32())
		}
		out[i] = b.Bytes()[:size]
	}
	return out
}

// kafkaGoSet is a set as kafka-go writes it, with the length before it that its
// own reader wants.
func kafkaGoSet(t testing.TB, attrs protocol.Attributes, values [][]byte) []byte {
	t.Helper()
	recs := make([]protocol.Record, len(values))
	for i, v := range values {
		recs[i] = protocol.Record{
			Time: time.UnixMilli(int64(1000 + i)), Key: protocol.NewBytes(fmt.Appendf(nil, "k%d", i)), Value: protocol.NewBytes(v),
			Headers: []protocol.Header{{Key: "x-log-project", Value: []byte("shop")}},
		}
	}
	set := protocol.RecordSet{Version: 2, Attributes: attrs, Records: protocol.NewRecordReader(recs...)}
	var out bytes.Buffer
	if _, err := set.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func wantOf(values [][]byte) []Record {
	out := make([]Record, len(values))
	for i, v := range values {
		out[i] = Record{
			Offset: int64(i), Time: int64(1000 + i), Key: fmt.Appendf(nil, "k%d", i), Value: v, Size: int64(len(v)),
			Headers: []Header{{[]byte("x-log-project"), []byte("shop")}},
		}
	}
	return out
}

func TestSetsOfKafkaGo(t *testing.T) {
	t.Parallel()
	values := logLines(200, 700)
	for attrs := protocol.Attributes(0); attrs <= protocol.Zstd; attrs++ {
		got, res := decoded(new(Decoder), Set{Records: kafkaGoSet(t, attrs, values)[4:]})
		if diff := cmp.Diff(wantOf(values), got, cmp.Comparer(same)); diff != "" || res.Err != nil {
			t.Errorf("%v: %v %s", attrs, res.Err, diff)
		}
	}
}

// franz-go writes raw snappy blocks, other lz4 frames, and its own varints.
func TestSetsOfFranzGo(t *testing.T) {
	t.Parallel()
	values := logLines(200, 700)
	codecs := map[codec]kgo.CompressionCodec{
		none: kgo.NoCompression(), gzip: kgo.GzipCompression(), snappy: kgo.SnappyCompression(),
		lz4: kgo.Lz4Compression(), zstandard: kgo.ZstdCompression(),
	}
	for c, with := range codecs {
		got, res := decoded(new(Decoder), Set{Records: franzSet(t, c, with, values)})
		if diff := cmp.Diff(wantOf(values), got, cmp.Comparer(same)); diff != "" || res.Err != nil {
			t.Errorf("%v: %v %s", c, res.Err, diff)
		}
	}
}

func franzSet(t *testing.T, c codec, with kgo.CompressionCodec, values [][]byte) []byte {
	t.Helper()
	var body []byte
	for i, v := range values {
		r := kmsg.Record{
			TimestampDelta64: int64(i), OffsetDelta: int32(i), Key: fmt.Appendf(nil, "k%d", i), Value: v,
			Headers: []kmsg.Header{{Key: "x-log-project", Value: []byte("shop")}},
		}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // less the one byte that a length of 0 took
		body = r.AppendTo(body)
	}
	if c != none {
		z, err := kgo.DefaultCompressor(with)
		if err != nil {
			t.Fatal(err)
		}
		out, as := z.Compress(new(bytes.Buffer), body)
		if codec(as) != c {
			t.Fatalf("%v became %v", c, as)
		}
		body = out
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(c), LastOffsetDelta: int32(len(values) - 1),
		FirstTimestamp: 1000, MaxTimestamp: int64(999 + len(values)), ProducerID: -1, NumRecords: int32(len(values)), Records: body,
	}
	b.Length = int32(headerSize - prefix + len(body))
	return sealed(b.AppendTo(nil))
}

// gzip members, lz4 frames and zstd frames may follow each other and still are one
// stream, also where one ends inside a record.
func TestCompressedInManyFrames(t *testing.T) {
	t.Parallel()
	for _, c := range []codec{gzip, lz4, zstandard} {
		b := batchFor(0, int16(none), rec{value: make([]byte, 5000)}, rec{delta: 1, value: []byte("v")})
		b.body = append(compressed(c, b.body[:2000]), compressed(c, b.body[2000:])...)
		raw := b.bytes()
		raw[atAttrs+1] = byte(c)
		got, res := decoded(new(Decoder), Set{Records: sealed(raw)})
		if res.Err != nil || len(got) != 2 || string(got[1].Value) != "v" {
			t.Errorf("%v: %d records, %+v", c, len(got), res)
		}
	}
}
