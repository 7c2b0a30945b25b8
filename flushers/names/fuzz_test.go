package names_test

import (
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/protocol"
)

// FuzzName: whatever stands in a log, its name can be had, is short enough, and is the
// template's: a value adds no token to a subject and no path to an index.
func FuzzName(f *testing.F) {
	for _, s := range []string{"", "a", "..", ".", "_x", "A b/c", "*", ">", "a.b", "\xff\x00", "日本", "%2E", strings.Repeat("x", 1025), "+", "\\<|>"} {
		f.Add(s, "b")
	}
	rules := []names.Rule{names.KafkaTopic, names.NATSToken, names.Index}
	f.Fuzz(func(t *testing.T, a, b string) {
		g := &protocol.LogGroup{LogTags: []*protocol.LogTag{{Key: "a", Value: a}, {Key: "b", Value: b}}}
		for i, rule := range rules {
			for _, text := range []string{"{tag.a}", "logs.{tag.a}.{tag.b}", "x{tag.a}-{tag.b}"} {
				got, err := names.New(template(t, text), names.Defaults(), rule).Name(vars(g))
				if err != nil || len(got) > rule.Limit {
					t.Fatalf("rule %d, %s of %q and %q: %q (%d bytes), %v", i, text, a, b, got, len(got), err)
				}
				if err := rule.Check(got); err != nil {
					t.Fatalf("rule %d, %s of %q and %q: %v", i, text, a, b, err)
				}
				if tokens := strings.Count(text, ".") - strings.Count(text, "tag."); i == 1 && strings.Count(got, ".") > tokens {
					t.Fatalf("%s of %q and %q has the tokens of %q", text, a, b, got)
				}
			}
		}
	})
}
