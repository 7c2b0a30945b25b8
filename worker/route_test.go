package worker

import (
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything", true},
		{"*", "", true},
		{"shop", "shop", true},
		{"shop", "shops", false},
		{"shop", "Shop", false},
		{"shop-*", "shop-eu", true},
		{"shop-*", "shop-", true},
		{"shop-*", "shop", false},
		{"*-eu", "a/b-eu", true}, // a slash is a character like others
		{"a/*", "a/b/c", true},
		{"a/b", "a/b", true},
		{"a?c", "a/c", true},
		{"a?c", "a中c", true},
		{"a?c", "ac", false},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"**", "x", true},
		{"nginx.*", "nginx.access", true},
		{"x[ab]*", "x[ab]c", true}, // no classes and no escapes
		{"x[ab]*", "xac", false},
		{`x\*`, `x\y`, true},
		{"x[", "x[", true},
	} {
		if got := newPattern(c.pattern).matches(c.text); got != c.want {
			t.Errorf("pattern %q matches %q: %v", c.pattern, c.text, got)
		}
	}
}

func TestRoutesThatCannotWork(t *testing.T) {
	t.Parallel()
	ok := Entry{Name: "out", New: func() flushers.Flusher { return nil }}
	for want, routes := range map[string][]Route{
		"no routes":        nil,
		"must match":       {{Name: "a b", Flushers: []Entry{ok}}},
		"be unique":        {{Name: "a", Flushers: []Entry{ok}}, {Name: "a", Flushers: []Entry{ok}}},
		"no flushers":      {{Name: "a"}},
		"no constructor":   {{Name: "a", Flushers: []Entry{{Name: "out"}}}},
		"the flusher name": {{Name: "a", Flushers: []Entry{ok, ok}}},
	} {
		_, err := New(Config{Routes: routes})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
