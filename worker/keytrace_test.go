package worker

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

func taggedGroup(t *testing.T, category string, tags ...*protocol.LogTag) *protocol.Group {
	t.Helper()
	body, err := (&protocol.LogGroup{Category: category, LogTags: tags}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	_, groups, err := protocol.Scan(body, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &groups[0]
}

func TestTraceKeySaysWhichRuleFilledWhat(t *testing.T) {
	t.Parallel()
	rules := []KeyRule{
		{From: KeyHeaders},
		{From: KeySubject, Pattern: "logs.{project}.{logstore}.*"},
		{From: KeyTag, Parts: protocol.Key{Config: "app"}},
		{From: KeyConstant, Parts: protocol.Key{Config: "other"}},
	}
	m := &queue.Message{Subject: "logs.shop.web.x", Headers: []queue.Header{{Key: "X-Log-Project", Value: "pay"}}}
	for _, tc := range []struct {
		name  string
		given protocol.Key
		group *protocol.Group
		want  KeyTrace
	}{
		{
			"each rule fills what those before left open",
			protocol.Key{},
			taggedGroup(t, "", &protocol.LogTag{Key: "app", Value: "cart"}),
			KeyTrace{Key: protocol.Key{Project: "pay", Logstore: "web", Config: "cart"}, By: [3]int{1, 2, 3}},
		},
		{
			"a group without the tag",
			protocol.Key{},
			nil,
			KeyTrace{Key: protocol.Key{Project: "pay", Logstore: "web", Config: "other"}, By: [3]int{1, 2, 4}},
		},
		{
			"what is given stays",
			protocol.Key{Logstore: "mine"},
			nil,
			KeyTrace{Key: protocol.Key{Project: "pay", Logstore: "mine", Config: "other"}, By: [3]int{1, 0, 4}},
		},
	} {
		got, err := TraceKey(rules, tc.given, m, tc.group)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}

	got, err := TraceKey(rules[:2], protocol.Key{}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := newKeyer(rules[:2])
	if err != nil {
		t.Fatal(err)
	}
	_, want := k.ofGroup(k.ofMessage(m), m, &protocol.Group{})
	if got.Missing == nil || want == nil || got.Missing.Error() != want.Error() {
		t.Errorf("the trace says %v, the dead letter %v", got.Missing, want)
	}
	if _, err := TraceKey([]KeyRule{{From: KeySubject, Pattern: "{proj}"}}, protocol.Key{}, m, nil); err == nil {
		t.Error("a pattern that no worker accepts is traced")
	}
}

func TestMissesNameFieldAndPattern(t *testing.T) {
	t.Parallel()
	key := protocol.Key{Project: "shop", Logstore: "web/eu", Config: "app"}
	for _, tc := range []struct {
		match Match
		want  []Miss
	}{
		{Match{}, nil},
		{Match{Project: "sh?p", Logstore: "web*", Config: "*"}, nil},
		{Match{Project: "pay", Logstore: "*", Config: "app2"}, []Miss{{"project", "pay", "shop"}, {"config", "app2", "app"}}},
	} {
		got := tc.match.Misses(key)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.match, diff)
		}
		if matches := tc.match.Matches(key.Project, key.Logstore, key.Config); matches != (len(got) == 0) {
			t.Errorf("%+v matches: %t, and misses %v", tc.match, matches, got)
		}
	}
}
