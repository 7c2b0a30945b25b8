package cmd

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

var testKey = protocol.Key{Project: "shop", Logstore: "web", Config: "app"}

// contents shows each group as its logs, each log as its fields.
func contents(ps []parcel) [][]string {
	var out [][]string
	for _, p := range ps {
		var logs []string
		for _, l := range p.group.Logs {
			var fields []string
			for _, c := range l.Contents {
				fields = append(fields, c.Key+"="+c.Value)
			}
			logs = append(logs, strings.Join(fields, " "))
		}
		out = append(out, logs)
	}
	return out
}

func readAll(t *testing.T, in input) ([]parcel, error) {
	t.Helper()
	var ps []parcel
	for p, err := range in.parcels(t.Context()) {
		if err != nil {
			return ps, err
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func TestInputsAreReadByTheirFormat(t *testing.T) {
	t.Parallel()
	group := &protocol.LogGroup{Topic: "t", Logs: []*protocol.Log{{Time: 7, Contents: []*protocol.Log_Content{{Key: "a", Value: "b"}}}}}
	frames := protocol.AppendFrame(nil, protocol.ID{Origin: [16]byte{1}, Group: 2}, testKey, group.AppendMarshal(nil))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprint(z, "packed\n")
	z.Close()

	for _, tc := range []struct {
		name, format, text string
		want               [][]string
	}{
		{"lines", formatAuto, "one\n\ntwo\r\nthree", [][]string{{"content=one", "content=two"}, {"content=three"}}},
		{"objects", formatAuto, `{"a":"b"}` + "\n" + `{"a":"c"}`, [][]string{{"a=b", "a=c"}}},
		{"a group as JSON between objects", formatJSON, `{"a":"b"}` + "\n" + `{"Logs":[{"Time":7,"Contents":[{"Key":"x","Value":"y"}]}]}`, [][]string{{"a=b"}, {"x=y"}}},
		{"objects whose tags differ", formatJSON, `{"contents":{"a":"1"},"tags":{"t":"x"},"time":7}` + "\n" + `{"contents":{"a":"2"},"tags":{"t":"y"},"time":7}`, [][]string{{"a=1"}, {"a=2"}}},
		{"objects taken as lines", formatLines, `{"a":"b"}`, [][]string{{`content={"a":"b"}`}}},
		{"one protobuf group", formatLogGroup, string(group.AppendMarshal(nil)), [][]string{{"a=b"}}},
		{"frames", formatAuto, string(frames), [][]string{{"a=b"}}},
		{"gzip", formatAuto, zipped.String(), [][]string{{"content=packed"}}},
		{"nothing", formatAuto, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := readAll(t, input{name: "in", r: strings.NewReader(tc.text), format: tc.format, lines: 2})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, contents(got)); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFramesKeepKeyAndID(t *testing.T) {
	t.Parallel()
	id := protocol.ID{Origin: [16]byte{0xab}, Group: 3}
	data := append((&protocol.LogGroup{Topic: "t"}).AppendMarshal(nil), 0x78, 1) // and a field 15, of a later version
	frames := protocol.AppendFrame(nil, id, testKey, data)
	got, err := readAll(t, input{name: "in", r: bytes.NewReader(frames), format: formatFrames, lines: 1})
	if err != nil || len(got) != 1 {
		t.Fatalf("got %d parcels, %v", len(got), err)
	}
	k := packer{limit: 1 << 20, subject: func(key protocol.Key) string { return subjectOf("logs", key) }}
	ms, err := k.pack(&got[0])
	if err != nil || len(ms) != 1 {
		t.Fatalf("pack: %d messages, %v", len(ms), err)
	}
	if !bytes.Equal(ms[0].Value, data) {
		t.Errorf("published as %x, want %x", ms[0].Value, data)
	}
	for name, want := range map[string]string{
		protocol.HeaderProject: "shop", protocol.HeaderLogstore: "web", protocol.HeaderConfig: "app",
		queue.HeaderOrigin: queue.Origin(id.Origin).String(), queue.HeaderGroups: "3",
	} {
		if got, _ := ms[0].Header(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestBadInputIsNamedWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, format, text, want string }{
		{"broken JSON", formatJSON, "{\"a\":\"b\"}\n\n{\"a\":", "in:3: "},
		{"no protobuf", formatLogGroup, "\xff\xff", "in is no LogGroup"},
		{"torn frames", formatFrames, "\xf1LG\x01", "the file ends inside a frame"},
		{"a gzip that is none", formatAuto, "\x1f\x8b????????????", "couldn't decompress in"},
		{"an endless line", formatLines, strings.Repeat("x", maxLine+1), "at line 1: it is longer than 16 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := readAll(t, input{name: "in", r: strings.NewReader(tc.text), format: tc.format, lines: 10})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error = %v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestAPausingInputIsPublishedAsItGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		got := make(chan parcel)
		go func() {
			defer close(got)
			in := input{name: "stdin", r: r, format: formatLines, lines: 100}
			for p, err := range in.parcels(t.Context()) {
				if err != nil {
					t.Error(err)
				}
				got <- p
			}
		}()
		fmt.Fprintln(w, "first")
		if one := contents([]parcel{<-got}); one[0][0] != "content=first" {
			t.Errorf("got %v", one)
		}
		w.Close()
		if p, open := <-got; open {
			t.Errorf("after the end: %v", contents([]parcel{p}))
		}
	})
}

// Whatever the group and the limit: every log arrives once, in order, and no
// message is larger than the limit.
func TestPackingLosesNoLogAndExceedsNoLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := &protocol.LogGroup{Topic: "topic", LogTags: []*protocol.LogTag{{Key: "k", Value: "v"}}}
		var want []string
		for range rapid.IntRange(0, 60).Draw(t, "logs") {
			v := strings.Repeat(rapid.SampledFrom([]string{"a", "bc", "Δ"}).Draw(t, "text"), rapid.IntRange(0, 300).Draw(t, "length"))
			g.Logs = append(g.Logs, &protocol.Log{Time: 1, Contents: []*protocol.Log_Content{{Key: "c", Value: v}}})
			want = append(want, v)
		}
		k := packer{
			encoding: protocol.Encoding(rapid.IntRange(0, 4).Draw(t, "encoding")),
			limit:    headerRoom + rapid.IntRange(800, 4000).Draw(t, "room"),
			subject:  func(protocol.Key) string { return "s" },
		}
		ms, err := k.pack(&parcel{key: testKey, group: g, from: "in"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range ms {
			if len(ms[i].Value) > k.limit-headerRoom {
				t.Errorf("message %d has %d bytes, limit %d", i, len(ms[i].Value), k.limit-headerRoom)
			}
			name, _ := ms[i].Header(protocol.HeaderContentEncoding)
			encoding, err := protocol.ParseEncoding(name)
			if err != nil {
				t.Fatal(err)
			}
			_, groups, err := protocol.Scan(ms[i].Value, protocol.FormatLogGroup, encoding, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			lg := groups[0].Decode()
			if lg.Topic != "topic" || len(lg.LogTags) != 1 {
				t.Errorf("message %d lost topic or tags", i)
			}
			for _, l := range lg.Logs {
				got = append(got, l.Contents[0].Value)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("logs (-want +got):\n%s", diff)
		}
	})
}

func TestALogLargerThanAnyMessageIsAnError(t *testing.T) {
	t.Parallel()
	noise := newTraffic(1, demoKeys)
	var b strings.Builder
	for b.Len() < 64<<10 {
		fmt.Fprint(&b, noise.rnd.Uint64())
	}
	g := &protocol.LogGroup{Logs: []*protocol.Log{{Contents: []*protocol.Log_Content{{Key: "c", Value: b.String()}}}}}
	k := packer{limit: headerRoom + 1024, subject: func(protocol.Key) string { return "s" }}
	_, err := k.pack(&parcel{key: testKey, group: g, from: "app.log:7"})
	if err == nil || !strings.HasPrefix(err.Error(), "app.log:7: a single log") {
		t.Errorf("pack: %v", err)
	}
}

// Compression must not build what the worker refuses to decompress.
func TestCompressionDoesNotMakeLargerGroups(t *testing.T) {
	t.Parallel()
	g := &protocol.LogGroup{}
	for range 100 {
		g.Logs = append(g.Logs, &protocol.Log{Contents: []*protocol.Log_Content{{Key: "c", Value: strings.Repeat("a", 100<<10)}}})
	}
	k := packer{encoding: protocol.EncodingZstd, limit: 1 << 20, subject: func(protocol.Key) string { return "s" }}
	ms, err := k.pack(&parcel{key: testKey, group: g, from: "in"})
	if err != nil {
		t.Fatal(err)
	}
	logs := 0
	for i := range ms {
		body, groups, err := protocol.Scan(ms[i].Value, protocol.FormatLogGroup, protocol.EncodingZstd, nil, nil)
		if err != nil || len(body) > largest {
			t.Fatalf("message %d: %d bytes, %v", i, len(body), err)
		}
		logs += len(groups[0].Decode().Logs)
	}
	if logs != 100 {
		t.Errorf("%d logs, want 100", logs)
	}
}

func TestSubjectsEncodeWhatWouldBeAnotherToken(t *testing.T) {
	t.Parallel()
	got := subjectOf("logs", protocol.Key{Project: "a.b", Logstore: "c d", Config: "e*>%é_-Z9"})
	if want := "logs.a%2Eb.c%20d.e%2A%3E%25%C3%A9_-Z9"; got != want {
		t.Errorf("subjectOf = %q, want %q", got, want)
	}
}

func TestIncompleteKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, key := range []protocol.Key{{}, {Project: "a", Logstore: "b"}, {Project: "a\nb", Logstore: "b", Config: "c"}} {
		if err := checkKey(key, "in:1"); err == nil || !strings.Contains(err.Error(), "--") {
			t.Errorf("checkKey(%q) = %v; want an error that names a flag", key, err)
		}
	}
	if err := checkKey(testKey, "in:1"); err != nil {
		t.Error(err)
	}
}

// keepSink keeps what it gets and fails from the nth message on.
type keepSink struct {
	mu     sync.Mutex
	got    []queue.Message
	failAt int
}

func (s *keepSink) Describe() string { return "stream LOGS" }

func (s *keepSink) Put(_ context.Context, ms []queue.Message) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs, failed := make([]error, len(ms)), false
	for i := range ms {
		if s.failAt > 0 && len(s.got)+1 >= s.failAt {
			errs[i], failed = errors.New("stream is full"), true
			continue
		}
		s.got = append(s.got, ms[i])
	}
	if failed {
		return errs
	}
	return nil
}

func publishText(t *testing.T, text string, j *publication) error {
	t.Helper()
	in := input{name: "in", r: strings.NewReader(text), format: formatAuto, lines: 1}
	j.pack = packer{limit: 1 << 20, subject: func(key protocol.Key) string { return subjectOf("logs", key) }}
	if j.key == (protocol.Key{}) {
		j.key = testKey
	}
	j.show = newProgress(io.Discard, "published", 0, "groups")
	return j.run(t.Context(), in.parcels)
}

func TestPublishStopsAtItsCount(t *testing.T) {
	t.Parallel()
	sink := &keepSink{}
	j := &publication{sink: sink, count: 3}
	if err := publishText(t, "1\n2\n3\n4\n5\n", j); err != nil {
		t.Fatal(err)
	}
	if len(sink.got) != 3 || j.show.groups != 3 {
		t.Errorf("stored %d, shown %d, want 3", len(sink.got), j.show.groups)
	}
}

func TestPublishStoresWhatCameBeforeABadLine(t *testing.T) {
	t.Parallel()
	sink := &keepSink{}
	j := &publication{sink: sink}
	err := publishText(t, `{"a":"1"}`+"\n"+`{"a":"2"}`+"\nno object\n"+`{"a":"4"}`, j)
	if err == nil || !strings.Contains(err.Error(), "in:3") {
		t.Errorf("error = %v, want line 3 in it", err)
	}
	if len(sink.got) != 2 {
		t.Errorf("stored %d groups, want the 2 before the bad line", len(sink.got))
	}
}

func TestPublishCountsOnlyWhatTheQueueConfirmed(t *testing.T) {
	t.Parallel()
	sink := &keepSink{failAt: 3}
	j := &publication{sink: sink}
	err := publishText(t, "1\n2\n3\n4\n5\n", j)
	if err == nil || !strings.Contains(err.Error(), "stream is full") || !strings.Contains(err.Error(), "stream LOGS") {
		t.Errorf("error = %v, want the sink's words and name", err)
	}
	if j.show.groups != 2 {
		t.Errorf("shown %d groups, want 2", j.show.groups)
	}
}

func TestPublishKeepsItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		j := &publication{sink: &keepSink{}, rate: rate{groups: 2}}
		begin := time.Now()
		if err := publishText(t, strings.Repeat("x\n", 11), j); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("11 groups at 2/s took %v, want 5s", took)
		}
	})
}

func TestRates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"500/s": 2 * time.Millisecond, "1MiB": time.Second / 16, "64KiB/s": time.Second} {
		var r rate
		if err := r.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := r.per(64 << 10); got != want {
			t.Errorf("%s: 64 KiB take %v, want %v", text, got, want)
		}
	}
	if err := new(rate).Set("500"); err == nil || !strings.Contains(err.Error(), "500/s for groups a second or 500KiB") {
		t.Errorf("a bare 500 = %v; want an error that offers both units", err)
	}
	for _, text := range []string{"", "fast", "-5/s", "0", "1e999/s"} {
		if err := new(rate).Set(text); err == nil || !strings.Contains(err.Error(), "500/s") {
			t.Errorf("%q: %v; want an error that shows how to write it", text, err)
		}
	}
}
