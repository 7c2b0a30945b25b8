package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue"
)

// said is a client whose broker answers every call with body.
func said(tb testing.TB, body []byte) *Client {
	tb.Helper()
	c, err := NewClient(Config{Brokers: []string{"broker:9092"}})
	if err != nil {
		tb.Fatal(err)
	}
	c.send = func(_ context.Context, _ string, q *call) (*answer, error) {
		if _, err := newFrame(q.api, 1, "test", q.body); err != nil {
			return nil, err
		}
		return &answer{body: bytes.Clone(body)}, nil
	}
	return c
}

var (
	somewhere = TopicPartition{Topic: "logs", Partition: 3}
	elsewhere = TopicPartition{Topic: "more", Partition: 0}
)

// everyCall asks each call that reads an answer of a broker.
var everyCall = []struct {
	name string
	ask  func(context.Context, *Client) (any, error)
}{
	{"versions", func(ctx context.Context, c *Client) (any, error) { return c.APIVersions(ctx, "a") }},
	{"metadata", func(ctx context.Context, c *Client) (any, error) { return c.Metadata(ctx, nil) }},
	{"coordinator", func(ctx context.Context, c *Client) (any, error) { return c.Coordinator(ctx, "g") }},
	{"join", func(ctx context.Context, c *Client) (any, error) { return c.Join(ctx, "a", &JoinRequest{}) }},
	{"sync", func(ctx context.Context, c *Client) (any, error) { return c.Sync(ctx, "a", &SyncRequest{}) }},
	{"heartbeat", func(ctx context.Context, c *Client) (any, error) { return nil, c.Heartbeat(ctx, "a", Membership{}) }},
	{"leave", func(ctx context.Context, c *Client) (any, error) { return nil, c.Leave(ctx, "a", Membership{}) }},
	{"describe group", func(ctx context.Context, c *Client) (any, error) { return c.DescribeGroup(ctx, "a", "g") }},
	{"commit", func(ctx context.Context, c *Client) (any, error) {
		return c.Commit(ctx, "a", Membership{}, []CommitPartition{{TopicPartition: somewhere}})
	}},
	{"committed", func(ctx context.Context, c *Client) (any, error) {
		return c.Committed(ctx, "a", "g", []TopicPartition{somewhere})
	}},
	{"list offsets", func(ctx context.Context, c *Client) (any, error) {
		return c.ListOffsets(ctx, "a", true, []OffsetAt{{TopicPartition: somewhere}})
	}},
	{"fetch", func(ctx context.Context, c *Client) (any, error) {
		return c.Fetch(ctx, "a", &FetchRequest{Partitions: []FetchPartition{{TopicPartition: somewhere}}})
	}},
	{"produce", func(ctx context.Context, c *Client) (any, error) {
		return c.Produce(ctx, "a", []Batch{{TopicPartition: somewhere}})
	}},
	{"create topics", func(ctx context.Context, c *Client) (any, error) {
		return c.CreateTopics(ctx, "a", []NewTopic{{Name: "logs"}}, false)
	}},
	{"delete topics", func(ctx context.Context, c *Client) (any, error) { return c.DeleteTopics(ctx, "a", []string{"logs"}) }},
	{"delete records", func(ctx context.Context, c *Client) (any, error) {
		return c.DeleteRecords(ctx, "a", []DeleteBefore{{TopicPartition: somewhere}})
	}},
	{"describe configs", func(ctx context.Context, c *Client) (any, error) {
		return c.DescribeConfigs(ctx, "a", []Resource{TopicResource("logs")})
	}},
	{"alter configs", func(ctx context.Context, c *Client) (any, error) {
		return c.AlterConfigs(ctx, "a", []Change{{Resource: TopicResource("logs")}}, false)
	}},
}

// FuzzAnswers gives each call any bytes as its answer: it never panics, and its
// errors name the broker.
func FuzzAnswers(f *testing.F) {
	for i := range everyCall {
		f.Add(uint8(i), make([]byte, 64))
		f.Add(uint8(i), bytes.Repeat([]byte{0, 0, 0, 1}, 32))
		f.Add(uint8(i), bytes.Repeat([]byte{0x7f, 0xff, 0xff, 0xff}, 8))
		f.Add(uint8(i), []byte{})
	}
	f.Add(uint8(11), fetchAnswer(3, 1<<10))
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		q := everyCall[int(which)%len(everyCall)]
		v, err := q.ask(t.Context(), said(t, body))
		var named *Error
		if err != nil && !errors.As(err, &named) {
			t.Errorf("%s: %v names no broker", q.name, err)
		}
		if q.name == "fetch" && err != nil && !reflect.ValueOf(v).IsNil() {
			t.Errorf("%s: %v comes with an answer", q.name, err)
		}
	})
}

// FuzzHandshake gives a new connection any bytes for the greeting and SASL.
func FuzzHandshake(f *testing.F) {
	for _, mechanism := range []string{"plain", "scram-sha-256"} {
		f.Add(mechanism == "plain", []byte{0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		f.Add(mechanism == "plain", slicesOf(
			[]byte{0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // versions
			[]byte{0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, // mechanisms
			[]byte{0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
		))
	}
	f.Add(true, []byte{0x15, 3, 1, 0, 2, 2, 70})
	f.Add(true, []byte("HTTP/1.1 400 Bad Request\r\n"))
	f.Fuzz(func(t *testing.T, plain bool, stream []byte) {
		mechanism := "scram-sha-256"
		if plain {
			mechanism = "plain"
		}
		c, err := NewClient(Config{
			Brokers: []string{"broker:9092"}, AllowPlainWithoutTLS: true,
			SASL: SASLConfig{Mechanism: mechanism, User: "u", Password: option.NewSecret("p")},
		})
		if err != nil {
			t.Fatal(err)
		}
		raw := &tape{in: bytes.NewReader(stream)}
		if _, err := c.handshake(t.Context(), &link{turns: newTurns()}, &conn{Conn: raw, client: c}, "broker:9092"); err == nil && !plain {
			t.Error("a broker that does not know the password was believed")
		}
	})
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// tape is a connection that plays what was recorded.
type tape struct {
	net.Conn
	in io.Reader
}

func (c *tape) Read(b []byte) (int, error)  { return c.in.Read(b) }
func (c *tape) Write(b []byte) (int, error) { return len(b), nil }
func (c *tape) Close() error                { return nil }

// FuzzReadAnswer reads frames of any content: what is kept is bounded by what
// arrived, never by what the frame says of itself.
func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 7})
	f.Add([]byte{0, 0, 0, 8, 0, 0, 0, 7, 1, 2, 3, 4})
	f.Add([]byte{0x0f, 0xff, 0xff, 0xff, 0, 0, 0, 7, 1})
	f.Fuzz(func(t *testing.T, stream []byte) {
		a, err := readAnswer(bytes.NewReader(stream), 7, maxFetch)
		if err != nil {
			return
		}
		if len(a.body)+8 > len(stream) {
			t.Errorf("%d bytes came of %d", len(a.body), len(stream))
		}
	})
}

func TestSizeThatLiesAllocatesNothing(t *testing.T) {
	t.Parallel()
	for _, sent := range []int{0, 1, chunk, 10 * chunk} {
		got, err := readBounded(bytes.NewReader(make([]byte, sent)), nil, 200<<20)
		if err == nil || len(got) != sent || cap(got) > 2*sent+chunk {
			t.Errorf("%d bytes of 200 MiB arrived: %d are held in %d, %v", sent, len(got), cap(got), err)
		}
	}
	for _, q := range everyCall {
		lie := append(make([]byte, 6), 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff)
		if _, err := q.ask(t.Context(), said(t, lie)); err == nil && q.name != "coordinator" {
			t.Errorf("%s believed an answer of lengths without content", q.name)
		}
	}
}

func TestAnswerOfAnotherRequestIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		frame []byte
		says  string
	}{
		{[]byte{0, 0, 0, 4, 0, 0, 0, 8}, "request 8 instead of 7"},
		{[]byte{0, 0, 0, 3, 0, 0, 0}, "announces 3 bytes"},
		{[]byte{0xff, 0xff, 0xff, 0xff}, "announces -1 bytes"},
		{[]byte{0x70, 0, 0, 0}, "more than"},
		{[]byte{0, 0, 0, 9, 0, 0, 0, 7, 1}, "unexpected EOF"},
		{[]byte{0, 0, 0, 9}, "unexpected EOF"},
		{[]byte{0x15, 3, 3, 0, 2}, "TLS"},
		{[]byte("HTTP/1.0 400"), "HTTP"},
	} {
		_, err := readAnswer(bytes.NewReader(test.frame), 7, maxAnswer)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("% x: the error is %v, without %q", test.frame, err, test.says)
		}
	}
}

func TestAnswerLongerThanItsFormatIsRefused(t *testing.T) {
	t.Parallel()
	err := said(t, make([]byte, 7)).Heartbeat(t.Context(), "a", Membership{})
	if err == nil || !strings.Contains(err.Error(), "1 bytes longer") {
		t.Error(err)
	}
}

// A partition that the answer leaves out is a failure, never a success.
func TestWhatTheAnswerLeavesOutHasFailed(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := encoder{}
	e.int32(0)
	e.count(0)
	c := said(t, e.b)
	failed, err := c.Commit(ctx, "a", Membership{}, []CommitPartition{{TopicPartition: somewhere}})
	if err != nil || failed[somewhere] == nil {
		t.Errorf("commit: %v, %v", failed, err)
	}
	made, err := c.CreateTopics(ctx, "a", []NewTopic{{Name: "logs"}}, false)
	if err != nil || made["logs"] == nil {
		t.Errorf("create: %v, %v", made, err)
	}
	offsets, err := c.ListOffsets(ctx, "a", false, []OffsetAt{{TopicPartition: somewhere}})
	if err != nil || offsets[somewhere].Err == nil {
		t.Errorf("offsets: %v, %v", offsets, err)
	}
	deleted, err := c.DeleteRecords(ctx, "a", []DeleteBefore{{TopicPartition: somewhere}})
	if err != nil || deleted[somewhere].Err == nil {
		t.Errorf("delete: %v, %v", deleted, err)
	}
	settings, err := c.DescribeConfigs(ctx, "a", []Resource{TopicResource("logs")})
	if err != nil || settings[TopicResource("logs")].Err == nil {
		t.Errorf("configs: %v, %v", settings, err)
	}
	e = encoder{}
	e.count(0)
	e.int32(0)
	stored, err := said(t, e.b).Produce(ctx, "a", []Batch{{TopicPartition: somewhere}})
	if err != nil || stored[somewhere].Err == nil {
		t.Errorf("produce: %v, %v", stored, err)
	}
}

func TestStringTooLongForAFrameIsAnErrorHere(t *testing.T) {
	t.Parallel()
	_, err := said(t, nil).Commit(t.Context(), "a", Membership{Group: "g"}, []CommitPartition{
		{TopicPartition: somewhere, Metadata: strings.Repeat("x", 1<<15)},
	})
	if err == nil || !strings.Contains(err.Error(), "32768 bytes") {
		t.Errorf("metadata of 32768 bytes gave %v", err)
	}
}

// Neighbours share a topic's entry; the order of the request is the order sent,
// since a broker fills its answer in that order.
func TestFetchKeepsTheOrderOfItsPartitions(t *testing.T) {
	t.Parallel()
	q := &FetchRequest{MaxWait: time.Second, MaxBytes: 9, Rack: "r"}
	for _, p := range []TopicPartition{somewhere, {Topic: "logs", Partition: 1}, elsewhere, {Topic: "logs", Partition: 7}} {
		q.Partitions = append(q.Partitions, FetchPartition{TopicPartition: p, Offset: 5, LeaderEpoch: -1, MaxBytes: 8})
	}
	e := encoder{}
	q.encode(&e)
	d := decoder{b: e.b[4+4+4+4+1+4+4:]}
	var order []string
	for range d.count(1) {
		topic := d.str()
		for range d.count(1) {
			p := TopicPartition{topic, d.int32()}
			order = append(order, p.String())
			if epoch, offset, start, most := d.int32(), d.int64(), d.int64(), d.int32(); epoch != -1 || offset != 5 || start != -1 || most != 8 {
				t.Error(p, epoch, offset, start, most)
			}
		}
	}
	if got := strings.Join(order, " "); got != "logs[3] logs[1] more[0] logs[7]" {
		t.Error(got)
	}
	if d.count(1) != 0 || d.str() != "r" || d.end() != nil {
		t.Error(d.err)
	}
}

// fetchAnswer has n partitions with records of size bytes each.
func fetchAnswer(n, size int) []byte {
	e := encoder{}
	e.int32(0)
	e.int16(0)
	e.int32(0)
	e.count(1)
	e.str("logs")
	e.count(n)
	for i := range n {
		e.int32(int32(i))
		e.int16(0)
		e.int64(100)
		e.int64(90)
		e.int64(1)
		if i%2 == 0 {
			e.count(-1)
		} else {
			e.count(1)
			e.int64(7)
			e.int64(8)
		}
		e.int32(-1)
		e.bytes(make([]byte, size))
	}
	return e.b
}

func TestFetchAnswerIsReadInPlace(t *testing.T) {
	t.Parallel()
	body := fetchAnswer(2, 3)
	r, err := parseFetch(body, &FetchRequest{})
	if err != nil {
		t.Fatal(err)
	}
	p := r.Partitions[1]
	if p.Topic != "logs" || p.Partition != 1 || p.HighWatermark != 100 || p.LastStable != 90 || p.LogStart != 1 ||
		p.PreferredReplica != -1 || len(p.Records) != 3 || p.Err != nil || r.Size != len(body) {
		t.Errorf("%+v", p)
	}
	if len(p.Aborted) != 1 || p.Aborted[0] != (AbortedTransaction{7, 8}) || r.Partitions[0].Aborted != nil {
		t.Errorf("%+v", r.Partitions)
	}
	body[len(body)-1] = 9
	if p.Records[2] != 9 {
		t.Error("the records were copied")
	}
	binary.BigEndian.PutUint16(body[4:], 56)
	if _, err := parseFetch(body, &FetchRequest{}); !hasCode(err, kafka.KafkaStorageError) {
		t.Error(err)
	}
}

// The bytes of a batch are those of another client: checked against a known one
// in TestLogIsWrittenAndReadBack and by real brokers; here its sizes.
func TestSizeOfARecordIsWhatItTakes(t *testing.T) {
	t.Parallel()
	r := Record{Key: []byte("key"), Value: make([]byte, 1000), Headers: []queue.Header{{Key: "h"}, {Key: "i", Value: "v"}}}
	b := Batch{TopicPartition: somewhere, Records: []Record{r, r, r}}
	set, err := b.encode(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if most := BatchOverhead + 3*r.Size(); len(set) > most || len(set) < most-100 {
		t.Errorf("the batch has %d bytes, at most %d were foretold", len(set), most)
	}
	b.Compression = compress.Compression(100)
	if _, err := b.encode(time.Now()); err == nil {
		t.Error("a codec that does not exist was used")
	}
}

func BenchmarkFetchParse(b *testing.B) {
	const partitions = 200
	body := fetchAnswer(partitions, 16<<10)
	q := &FetchRequest{Partitions: make([]FetchPartition, partitions)}
	for i := range q.Partitions {
		q.Partitions[i].Topic = "logs"
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseFetch(body, q); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFetchRead(b *testing.B) {
	body := fetchAnswer(16, 64<<10)
	e := encoder{}
	e.count(len(body) + 4)
	e.int32(7)
	frame := append(e.b, body...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		a, err := readAnswer(bytes.NewReader(frame), 7, maxFetch)
		if err != nil {
			b.Fatal(err)
		}
		a.release()
	}
}
