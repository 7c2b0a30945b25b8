package kafka_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestOptionTags(t *testing.T) {
	t.Parallel()
	if err := option.Check(kafka.Kind().New()); err != nil {
		t.Error(err)
	}
}

func TestWrongOptions(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	list := func(texts ...any) []any { return texts }
	for _, c := range []struct {
		options m
		want    string // begins with ! for a warning
	}{
		{m{}, ""},
		{m{"brokers": list("kafka")}, "write host:port"},
		{m{"brokers": list("http://k:9092")}, "begins with http://"},
		{m{"topic": "a b"}, "cannot stand in the name of a topic"},
		{m{"topic": "t-{content.x}"}, "a record of format loggroup holds a whole group"},
		{m{"topic": "t-{date:2006}", "format": "jsonl"}, "a record of format jsonl holds a whole group"},
		{m{"topic": "t-{date:2006}-{content.x}", "format": "json"}, ""},
		{m{"key": list("app")}, `"app" is no field: write project`},
		{m{"key": list("content.app")}, "contents differ from log to log"},
		{m{"key": list("tag.app", "source", "topic", "host")}, ""},
		{m{"key": list("content.app"), "format": "raw"}, ""},
		{m{"partitioner": "hash"}, "hash needs a key"},
		{m{"partitioner": "random", "key": list("project")}, "random has no use for a key"},
		{m{"headers": m{"X-Log-Project": "p"}}, "cannot be set"},
		{m{"headers": m{"x-flushline-to": "p"}}, "cannot be set"},
		{m{"headers": m{"x": "{content.a}"}}, "content and date differ"},
		{m{"compression": "gzip", "compression_level": 10}, "levels up to 9"},
		{m{"compression": "lz4", "compression_level": 1}, "!lz4 has no levels"},
		{m{"convert": m{"protocol": "custom_single"}}, "write format: json"},
		{m{"format": "json", "convert": m{"protocol": "custom_single"}}, ""},
		{m{"sasl": m{"mechanism": "plain", "user": "u"}}, "allow_plain_without_tls"},
		{m{"sasl": m{"user": "u"}}, "sasl.mechanism is missing"},
		{m{"tls": m{"cert": "c"}}, "tls.cert and tls.key go together"},
		{m{"authentication": m{"plain_text": m{"username": "u", "password": "p"}}}, "allow_plain_without_tls"},
		{m{"authentication": m{"sasl": m{"sasl_mechanism": "SCRAM-SHA-512", "username": "u", "password": "p"}}}, ""},
		{m{"sasl": m{"mechanism": "scram-sha-512", "user": "u"}, "authentication": m{"plain_text": m{"username": "u"}}}, "two users are named"},
		{m{"tls": m{"ca": "a"}, "authentication": m{"tls": m{"enabled": true}}}, "tls says it, too"},
	} {
		f := kafka.Kind().New()
		all := m{"brokers": list("127.0.0.1:1"), "topic": "t"}
		maps.Copy(all, c.options)
		problems := option.Decode(option.FromAny(all), f)
		text := ""
		for i := range problems {
			text += problems[i].Text() + "\n"
		}
		want, warning := strings.CutPrefix(c.want, "!")
		if want == "" && text != "" || !strings.Contains(text, want) || option.Failed(problems) != (want != "" && !warning) {
			t.Errorf("%v: got %q, want %q", c.options, text, c.want)
		}
	}
}

// recordCase is an entry and what its record of one group is.
type recordCase struct {
	name    string
	options map[string]any
	raw     bool     // nothing is decoded
	values  []string // nil: the group as it came
	keys    []string // of each value; "": none
	kind    string   // content-type
	headers map[string]string
}

var ofGroup = map[string]string{"x-flushline-origin": "ab000000000000000000000000000000", "x-flushline-groups": "3"}

var recordCases = []recordCase{
	{"as it came", nil, true, nil, []string{""}, protocol.TypeLogGroup, ofGroup},
	{
		"without origin",
		map[string]any{"origin": false, "key": []any{"logstore", "project"}, "headers": map[string]any{"of": "{project}"}},
		true, nil,
		[]string{"cart###shop"},
		protocol.TypeLogGroup,
		map[string]string{"of": "shop"},
	},
	{
		"by a tag",
		map[string]any{"key": []any{"tag.app"}, "headers": map[string]any{"app": "{tag.app}", "no": "{tag.none}", "env": "prod"}},
		false, nil,
		[]string{"web"},
		protocol.TypeLogGroup,
		map[string]string{"app": "web", "env": "prod", "x-flushline-origin": ofGroup["x-flushline-origin"], "x-flushline-groups": "3"},
	},
	{"by fields, some missing", map[string]any{"key": []any{"tag.none", "source", "topic"}}, false, nil, []string{"###10.0.0.1###"}, protocol.TypeLogGroup, ofGroup},
	{"by a field that is missing", map[string]any{"key": []any{"tag.none"}}, false, nil, []string{""}, protocol.TypeLogGroup, ofGroup},
	{
		"lines",
		map[string]any{"format": "jsonl", "shape": "custom_single_flatten", "only_contents": true},
		false,
		[]string{"{\"content\":\"a\",\"time\":7}\n{\"content\":\"b\",\"time\":8}\n"},
		[]string{""},
		"application/x-ndjson", nil,
	},
	{"text by content", map[string]any{"format": "raw", "key": []any{"content.content"}}, false, []string{"a", "b"}, []string{"a", "b"}, "text/plain", nil},
}

func TestRecords(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Shared(t)
	for i, tc := range recordCases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			topic := fmt.Sprint("records-", i)
			c.CreateTopic(t, topic, 7, 1, nil)
			c.Ends(t, topic)
			f := openAt(t, c.Bootstrap(), topic, tc.options)
			if k := kafka.Kind().As(f); k.Raw != tc.raw {
				t.Errorf("Raw is %v, want %v", k.Raw, tc.raw)
			}
			g := &protocol.LogGroup{Source: "10.0.0.1", LogTags: []*protocol.LogTag{{Key: "app", Value: "web"}}}
			for n, text := range []string{"a", "b"} {
				g.Logs = append(g.Logs, &protocol.Log{Time: uint32(7 + n), Contents: []*protocol.Log_Content{{Key: "content", Value: text}}})
			}
			b := batchOf(t, g)
			b.IDs[0] = protocol.ID{Origin: [16]byte{0xab}, Group: 3}
			if tc.raw {
				b.Groups = nil
			}
			if err := f.FlushBatch(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if tc.values == nil {
				tc.values = []string{string(b.Raw[0])}
			}
			tc.check(t, records(t, c, topic))
		})
	}
}

func (tc *recordCase) check(t *testing.T, got []*kgo.Record) {
	t.Helper()
	if len(got) != len(tc.values) {
		t.Fatalf("%d records, want %d", len(got), len(tc.values))
	}
	for n, value := range tc.values {
		var r *kgo.Record
		for _, each := range got {
			if string(each.Value) == value {
				r = each
			}
		}
		if r == nil {
			t.Fatalf("no record has the value %q", value)
		}
		if string(r.Key) != tc.keys[n] || (r.Key == nil) != (tc.keys[n] == "") {
			t.Errorf("the key is %q, want %q", r.Key, tc.keys[n])
		}
		if r.Key != nil {
			others := kgo.StickyKeyPartitioner(nil).ForTopic(r.Topic).Partition(&kgo.Record{Key: r.Key}, 7)
			if int(r.Partition) != others {
				t.Errorf("the key %q is in partition %d, and other producers put it into %d", r.Key, r.Partition, others)
			}
		}
		want := map[string]string{"x-log-project": "shop", "x-log-logstore": "cart", "x-log-config": "c1", "content-type": tc.kind}
		maps.Copy(want, tc.headers)
		have := map[string]string{}
		for _, h := range r.Headers {
			have[h.Key] = string(h.Value)
		}
		if !maps.Equal(have, want) {
			t.Errorf("the headers are %v, want %v", have, want)
		}
	}
}

// A group of which one log cannot be written is refused before any of it is sent.
func TestAGroupIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "whole-web", 1, 1, nil)
	c.Ends(t, "whole-web")
	f := openAt(t, c.Bootstrap(), "whole-{content.app}", map[string]any{"format": "json"})
	good, bad := group("1"), group("2")
	app := &protocol.Log_Content{Key: "app", Value: "web"}
	for _, g := range []*protocol.LogGroup{good, bad} {
		g.Logs[0].Contents = append(g.Logs[0].Contents, app)
	}
	bad.Logs = append(bad.Logs, nil, &protocol.Log{Contents: []*protocol.Log_Content{{Key: "id", Value: "3"}}})
	got := classes(flush(t, f, good, bad), 2)
	if got[0] != flushers.ClassNone || got[1] != flushers.ClassPermanent {
		t.Errorf("got %v", got)
	}
	if have := stored(t, c, "whole-web"); have["1"] != 1 || have["2"] != 0 {
		t.Errorf("stored are %v", have)
	}
}
