package worker

import (
	"testing"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// FuzzKey asks any rules about any message and group. A key is whole or an error, not
// both; what an earlier rule found stays; and no part is longer than what it was found
// in, so that a key costs no more than its message.
func FuzzKey(f *testing.F) {
	f.Add("logs.{project}.{logstore}.{config}", "{project}/*/{config}", "{project}/{logstore}/{config}.*/**", "logs.a%2Eb.%E4.c", []byte("p/x/c"), "X-Log-Project", "h", "team", "shop", "cat", uint8(0))
	f.Add("", "{config}", "**", "..", []byte{}, "x-log-config", "", "", "", "", uint8(3))
	f.Add("{project}", "{", "{project}.*", "a/b.c/d", []byte("\xff%00"), "x-log-logstore", "%", "a", "\x00", "\n", uint8(200))
	f.Fuzz(func(t *testing.T, subject, message, path, text string, key []byte, header, value, tag, tagged, category string, order uint8) {
		rules := []KeyRule{
			{From: KeyHeaders},
			{From: KeySubject, Pattern: subject},
			{From: KeyMessageKey, Pattern: message},
			{From: KeyPath, Pattern: path},
			{From: KeyTag, Parts: protocol.Key{Project: tag, Config: tag}},
			{From: KeyCategory},
		}
		n := int(order) % len(rules)
		rules = append(rules[n:], rules[:n]...)
		k, err := newKeyer(rules)
		if err != nil {
			return
		}
		body, err := (&protocol.LogGroup{Category: category, LogTags: []*protocol.LogTag{{Key: tag, Value: tagged}}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		_, groups, err := protocol.Scan(body, protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
		if err != nil {
			return // Scan refuses what is no UTF-8
		}
		m := &queue.Message{Subject: text, Key: key, Headers: []queue.Header{{Key: header, Value: value}}}
		found := k.ofMessage(m)
		whole, err := k.ofGroup(found, m, &groups[0])
		if complete(&whole) != (err == nil) {
			t.Fatalf("%q with the error %v", whole, err)
		}
		longest := max(len(text), len(key), len(value), len(tagged), len(category))
		for _, part := range [][2]string{{found.Project, whole.Project}, {found.Logstore, whole.Logstore}, {found.Config, whole.Config}} {
			if part[0] != "" && part[0] != part[1] {
				t.Fatalf("the message says %q, the group made it %q", part[0], part[1])
			}
			if len(part[1]) > longest {
				t.Fatalf("%q is longer than all that it could come from", part[1])
			}
		}
		if again, _ := k.ofGroup(k.ofMessage(m), m, &groups[0]); again != whole {
			t.Fatalf("%q, then %q", whole, again)
		}
		trace, traced := TraceKey(rules, protocol.Key{}, m, &groups[0])
		if traced != nil || trace.Key != whole || (trace.Missing == nil) != (err == nil) {
			t.Fatalf("the key is %q with the error %v, traced it is %q with %v and %v", whole, err, trace.Key, trace.Missing, traced)
		}
	})
}
