package worker

import (
	"strings"
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

func TestKeysOfMessages(t *testing.T) {
	t.Parallel()
	rules := KeyRules{Subject: "logs.{project}.{logstore}.{config}", MessageKey: "{project}/*/{config}"}
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
		rules KeyRules
		m     queue.Message
		want  protocol.Key
	}{
		"the topic says all": {
			KeyRules{Subject: "logs.{project}.{logstore}.{config}", MessageKey: "{project}/{logstore}/{config}"},
			queue.Message{Subject: "logs.shop.web.app", Key: []byte("x/y/z")},
			protocol.Key{Project: "shop", Logstore: "web", Config: "app"},
		},
		"topic and key share the work": {
			KeyRules{Subject: "logs-v2.{project}", MessageKey: "{logstore}/{config}"},
			queue.Message{Subject: "logs-v2.shop", Key: []byte("web/app")},
			protocol.Key{Project: "shop", Logstore: "web", Config: "app"},
		},
		"the key alone, on any topic": {
			KeyRules{Subject: "logs.{project}.{logstore}.{config}", MessageKey: "{project}/{logstore}/{config}"},
			queue.Message{Subject: "logs", Key: []byte("shop/we%2Fb/app")},
			protocol.Key{Project: "shop", Logstore: "we/b", Config: "app"},
		},
		"headers win over both": {
			KeyRules{Subject: "{project}", MessageKey: "{logstore}/{config}"},
			queue.Message{Subject: "shop", Key: []byte("web/app"), Headers: []queue.Header{{Key: "X-Log-Config", Value: "c"}}},
			protocol.Key{Project: "shop", Logstore: "web", Config: "c"},
		},
		"a key of another shape says nothing": {
			KeyRules{MessageKey: "{project}/{logstore}/{config}"},
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
		rules   KeyRules
		base    protocol.Key
		want    protocol.Key
		missing string
	}{
		"tag, category, constant": {
			rules: KeyRules{Tags: protocol.Key{Project: "team"}, Category: true, Constant: protocol.Key{Project: "x", Logstore: "x", Config: "c"}},
			want:  protocol.Key{Project: "shop", Logstore: "cat", Config: "c"},
		},
		"a tag wins over the category": {
			rules: KeyRules{Tags: protocol.Key{Logstore: "team"}, Category: true, Constant: protocol.Key{Project: "p", Config: "c"}},
			want:  protocol.Key{Project: "p", Logstore: "shop", Config: "c"},
		},
		"what the message says wins": {
			rules: KeyRules{Tags: protocol.Key{Project: "team"}, Category: true},
			base:  protocol.Key{Project: "p", Logstore: "l", Config: "c"},
			want:  protocol.Key{Project: "p", Logstore: "l", Config: "c"},
		},
		"an empty or absent tag fills nothing": {
			rules: KeyRules{Tags: protocol.Key{Project: "empty", Logstore: "none"}, Constant: protocol.Key{Config: "c"}},
			want:  protocol.Key{Config: "c"}, missing: "no x-log-project, no x-log-logstore header",
		},
		"nothing": {missing: "no x-log-project, no x-log-logstore, no x-log-config header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := newKeyer(c.rules)
			if err != nil {
				t.Fatal(err)
			}
			got, err := k.ofGroup(c.base, &groups[0])
			if got != c.want || (err != nil) != (c.missing != "") || err != nil && !strings.Contains(err.Error(), c.missing) {
				t.Errorf("got %+v, %v; want %+v, %q", got, err, c.want, c.missing)
			}
		})
	}
}

func TestMalformedKeyPatterns(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"logs.{projct}", "logs.x{project}", "{project", "a.}"} {
		if _, err := newKeyer(KeyRules{Subject: p}); err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("pattern %q: %v", p, err)
		}
	}
}
