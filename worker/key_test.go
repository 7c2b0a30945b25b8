package worker

import (
	"strings"
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

var headersRule = KeyRule{From: KeyHeaders}

func subjectRule(pattern string) KeyRule { return KeyRule{From: KeySubject, Pattern: pattern} }
func messageRule(pattern string) KeyRule { return KeyRule{From: KeyMessageKey, Pattern: pattern} }

func TestKeysOfMessages(t *testing.T) {
	t.Parallel()
	rules := []KeyRule{headersRule, subjectRule("logs.{project}.{logstore}.{config}"), messageRule("{project}/*/{config}")}
	header := func(pairs ...string) (hs []queue.Header) {
		for i := 0; i < len(pairs); i += 2 {
			hs = append(hs, queue.Header{Key: pairs[i], Value: pairs[i+1]})
		}
		return hs
	}
	for name, c := range map[string]struct {
		m    queue.Message
		want protocol.Key
	}{
		"headers in any case": {
			queue.Message{Headers: header("X-LOG-Project", "p", "x-log-Logstore", "l", "X-Log-Config", "c")},
			protocol.Key{Project: "p", Logstore: "l", Config: "c"},
		},
		"headers of the same lengths are others": {
			queue.Message{Headers: header("x-log-projecT", "p", "x-log-projekt", "no", "x-log-logstory", "no", "x-log-konfig", "no")},
			protocol.Key{Project: "p"},
		},
		"the first of two counts": {
			queue.Message{Headers: header("x-log-project", "first", "X-Log-Project", "second")},
			protocol.Key{Project: "first"},
		},
		"headers win over the subject": {
			queue.Message{Subject: "logs.a.b.c", Headers: header("x-log-logstore", "l")},
			protocol.Key{Project: "a", Logstore: "l", Config: "c"},
		},
		"an empty header is none": {
			queue.Message{Subject: "logs.a.b.c", Headers: header("x-log-logstore", "")},
			protocol.Key{Project: "a", Logstore: "b", Config: "c"},
		},
		"subject tokens are percent-decoded": {
			queue.Message{Subject: "logs.a%2Eb.%E4%B8%AD.c%20d"},
			protocol.Key{Project: "a.b", Logstore: "中", Config: "c d"},
		},
		"what is no encoding stays": {
			queue.Message{Subject: "logs.50%.%zz.a+b"},
			protocol.Key{Project: "50%", Logstore: "%zz", Config: "a+b"},
		},
		"another number of tokens": {queue.Message{Subject: "logs.a.b"}, protocol.Key{}},
		"more tokens":              {queue.Message{Subject: "logs.a.b.c.d"}, protocol.Key{}},
		"another literal":          {queue.Message{Subject: "metrics.a.b.c"}, protocol.Key{}},
		"an empty token":           {queue.Message{Subject: "logs..b.c"}, protocol.Key{Logstore: "b", Config: "c"}},
		"the message key fills what is left": {
			queue.Message{Subject: "logs..b.c", Key: []byte("x/any/y")},
			protocol.Key{Project: "x", Logstore: "b", Config: "c"},
		},
		"nothing": {queue.Message{}, protocol.Key{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := newKeyer(rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.ofMessage(&c.m); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// On Kafka the subject is the topic's name, and the record's key may say the rest.
func TestKeysOfKafkaMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rules []KeyRule
		m     queue.Message
		want  protocol.Key
	}{
		"the topic says all": {
			[]KeyRule{headersRule, subjectRule("logs.{project}.{logstore}.{config}"), messageRule("{project}/{logstore}/{config}")},
			queue.Message{Subject: "logs.shop.web.app", Key: []byte("x/y/z")},
			protocol.Key{Project: "shop", Logstore: "web", Config: "app"},
		},
		"topic and key share the work": {
			[]KeyRule{headersRule, subjectRule("logs-v2.{project}"), messageRule("{logstore}/{config}")},
			queue.Message{Subject: "logs-v2.shop", Key: []byte("web/app")},
			protocol.Key{Project: "shop", Logstore: "web", Config: "app"},
		},
		"the key alone, on any topic": {
			[]KeyRule{headersRule, subjectRule("logs.{project}.{logstore}.{config}"), messageRule("{project}/{logstore}/{config}")},
			queue.Message{Subject: "logs", Key: []byte("shop/we%2Fb/app")},
			protocol.Key{Project: "shop", Logstore: "we/b", Config: "app"},
		},
		"headers win over both": {
			[]KeyRule{headersRule, subjectRule("{project}"), messageRule("{logstore}/{config}")},
			queue.Message{Subject: "shop", Key: []byte("web/app"), Headers: []queue.Header{{Key: "X-Log-Config", Value: "c"}}},
			protocol.Key{Project: "shop", Logstore: "web", Config: "c"},
		},
		"a key of another shape says nothing": {
			[]KeyRule{headersRule, messageRule("{project}/{logstore}/{config}")},
			queue.Message{Subject: "logs", Key: []byte{0, 0, 0, 7}},
			protocol.Key{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := newKeyer(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.ofMessage(&c.m); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestKeysOfGroups(t *testing.T) {
	t.Parallel()
	body, err := (&protocol.LogGroup{
		Category: "cat",
		LogTags:  []*protocol.LogTag{{Key: "team", Value: "shop"}, {Key: "empty", Value: ""}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, groups, err := protocol.Scan(body, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rules   []KeyRule
		m       queue.Message
		want    protocol.Key
		missing string
	}{
		"tag, category, constant": {
			rules: []KeyRule{
				{From: KeyTag, Parts: protocol.Key{Project: "team"}},
				{From: KeyCategory},
				{From: KeyConstant, Parts: protocol.Key{Project: "x", Logstore: "x", Config: "c"}},
			},
			want: protocol.Key{Project: "shop", Logstore: "cat", Config: "c"},
		},
		"the order is that of the list": {
			rules: []KeyRule{
				{From: KeyCategory},
				{From: KeyTag, Parts: protocol.Key{Project: "team", Logstore: "team"}},
				{From: KeyConstant, Parts: protocol.Key{Project: "x", Config: "c"}},
			},
			want: protocol.Key{Project: "shop", Logstore: "cat", Config: "c"},
		},
		"headers, subject and message key behind a tag fill what it left open": {
			rules: []KeyRule{
				{From: KeyTag, Parts: protocol.Key{Project: "team"}}, headersRule, subjectRule("{config}"), messageRule("*/{logstore}"),
			},
			m: queue.Message{
				Subject: "sub", Key: []byte("a/key"), Headers: []queue.Header{{Key: "x-log-project", Value: "no"}},
			},
			want: protocol.Key{Project: "shop", Logstore: "key", Config: "sub"},
		},
		"a constant in front leaves nothing to the headers": {
			rules: []KeyRule{{From: KeyConstant, Parts: protocol.Key{Project: "p", Logstore: "l", Config: "c"}}, headersRule},
			m:     queue.Message{Headers: []queue.Header{{Key: "x-log-project", Value: "no"}}},
			want:  protocol.Key{Project: "p", Logstore: "l", Config: "c"},
		},
		"headers that are not in the list are not read": {
			rules: []KeyRule{{From: KeyConstant, Parts: protocol.Key{Logstore: "l", Config: "c"}}},
			m:     queue.Message{Headers: []queue.Header{{Key: "x-log-project", Value: "p"}}},
			want:  protocol.Key{Logstore: "l", Config: "c"}, missing: "no project: the source's key rules are constant",
		},
		"what the message says wins": {
			rules: []KeyRule{headersRule, {From: KeyTag, Parts: protocol.Key{Project: "team"}}, {From: KeyCategory}},
			m: queue.Message{Headers: []queue.Header{
				{Key: "x-log-project", Value: "p"}, {Key: "x-log-logstore", Value: "l"}, {Key: "x-log-config", Value: "c"},
			}},
			want: protocol.Key{Project: "p", Logstore: "l", Config: "c"},
		},
		"an empty or absent tag fills nothing": {
			rules: []KeyRule{
				{From: KeyTag, Parts: protocol.Key{Project: "empty", Logstore: "none"}},
				{From: KeyConstant, Parts: protocol.Key{Config: "c"}},
			},
			want: protocol.Key{Config: "c"}, missing: "no project, no logstore: the source's key rules are tag, constant",
		},
		"nothing": {
			rules:   []KeyRule{headersRule, subjectRule("{project}.{config}")},
			missing: "no project, no logstore, no config: the source's key rules are headers, subject {project}.{config}",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := newKeyer(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.ofGroup(k.ofMessage(&c.m), &c.m, &groups[0])
			if got != c.want || (err != nil) != (c.missing != "") || err != nil && !strings.Contains(err.Error(), c.missing) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, c.want, c.missing)
			}
		})
	}
}

func TestMalformedKeyPatterns(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"logs.{projct}", "logs.x{project}", "{project", "a.}"} {
		if _, err := newKeyer([]KeyRule{headersRule, subjectRule(p)}); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("pattern %q: %v", p, err)
		}
	}
}

// The walk runs for each group of each message.
func TestKeysAreFoundWithoutAllocation(t *testing.T) {
	body := (&protocol.LogGroup{Category: "cat", LogTags: []*protocol.LogTag{{Key: "team", Value: "shop"}}}).AppendMarshal(nil)
	_, groups, err := protocol.Scan(body, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeyer([]KeyRule{
		headersRule, subjectRule("logs.{project}.{logstore}.{config}"),
		{From: KeyTag, Parts: protocol.Key{Project: "team"}},
		messageRule("*/{config}"),
		{From: KeyCategory},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := queue.Message{Subject: "logs", Key: []byte("a/b"), Headers: []queue.Header{{Key: "content-type", Value: "x"}}}
	if n := testing.AllocsPerRun(100, func() {
		if key, err := k.ofGroup(k.ofMessage(&m), &m, &groups[0]); err != nil || key.Config != "b" {
			t.Fatal(key, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
