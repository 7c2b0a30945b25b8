package cmd

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// What is replayed is what the producer sent, with its identity, for the flusher that
// missed it.
func TestAReplayedLetterIsTheMessageThatItWas(t *testing.T) {
	t.Parallel()
	l := someLetters(t, 1, withHeader(queue.HeaderHops, "2"))[0]
	f := factsOf(l)
	m, err := (&resending{cfg: prodConfig()}).message(l, &f)
	if err != nil {
		t.Fatal(err)
	}
	origin, _ := l.Header(queue.HeaderOrigin)
	want := queue.Message{Value: l.Value, Key: []byte("k"), Headers: []queue.Header{
		{Key: "Theirs", Value: "kept"},
		{Key: "x-flushline-was-nats-msg-id", Value: "of the producer"},
		{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroup},
		{Key: protocol.HeaderProject, Value: "shop"},
		{Key: protocol.HeaderLogstore, Value: "web"},
		{Key: protocol.HeaderConfig, Value: "app"},
		{Key: queue.HeaderOrigin, Value: origin},
		{Key: queue.HeaderGroups, Value: "7"},
		{Key: queue.HeaderFirstSeen, Value: "2026-01-02T03:04:05Z"},
		{Key: queue.HeaderTo, Value: "prod/shop/es"},
		{Key: queue.HeaderHops, Value: "3"},
	}}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhichLettersAreReplayedAndToWhom(t *testing.T) {
	t.Parallel()
	with := withHeader
	noKey := func(l *queue.Letter) {
		l.Subject = ""
		for _, h := range []string{protocol.HeaderProject, protocol.HeaderLogstore, protocol.HeaderConfig, queue.HeaderTo} {
			with(h, "")(l)
		}
	}
	unrouted := func(project string) func(*queue.Letter) {
		return func(l *queue.Letter) {
			l.Subject = ""
			with(queue.HeaderTo, "")(l)
			with(protocol.HeaderProject, project)(l)
		}
	}
	for name, c := range map[string]struct {
		change   func(*queue.Letter)
		to       string
		anyRoute bool
		want     string // x-flushline-to
		refused  string // in the reason
	}{
		"to the flusher that missed it":               {want: "prod/shop/es"},
		"one without a key":                           {change: noKey},
		"one without a key, to a flusher":             {change: noKey, to: "pay/es", want: "prod/pay/es"},
		"one that had no route and has one":           {change: unrouted("pay")},
		"one that has no route":                       {change: unrouted("nowhere"), refused: "no route of prod.yaml matches nowhere/web/app"},
		"to another flusher":                          {to: "shop/archive", want: "prod/shop/archive"},
		"to a flusher of another route":               {to: "pay/es", refused: "shop/web/app goes to route shop and not to pay/es"},
		"to all":                                      {anyRoute: true},
		"of a flusher that is gone":                   {change: with(queue.HeaderTo, "prod/shop/old"), refused: "prod.yaml has no flusher shop/old: it has shop/es, shop/archive, pay/es"},
		"of a flusher that is gone, to another":       {change: with(queue.HeaderTo, "prod/shop/old"), to: "shop/es", want: "prod/shop/es"},
		"of a flusher that is gone, to all":           {change: with(queue.HeaderTo, "prod/shop/old"), anyRoute: true},
		"of a route that does not take its key":       {change: with(queue.HeaderTo, "prod/pay/es"), refused: "goes to route shop and not to pay/es"},
		"of another deployment":                       {change: with(queue.HeaderTo, "test/shop/es"), refused: "belongs to the deployment test"},
		"of another deployment, to a flusher of this": {change: with(queue.HeaderTo, "test/shop/es"), to: "shop/es", want: "prod/shop/es"},
		"whose target is garbled":                     {change: func(l *queue.Letter) { l.Subject = ""; with(queue.HeaderTo, "shop")(l) }, refused: `"shop"`},
		"replayed seven times":                        {change: with(queue.HeaderHops, "7"), want: "prod/shop/es"},
		"replayed eight times":                        {change: with(queue.HeaderHops, "8"), refused: "replayed 8 times"},
		"replayed eight times, to all":                {change: with(queue.HeaderHops, "8"), anyRoute: true, refused: "replayed 8 times"},
		"that cannot be read":                         {change: func(l *queue.Letter) { l.Damage = errors.New("chunks [2] of 3 are missing") }, refused: "chunks [2] of 3"},
		"that cannot be read and would go to all":     {change: func(l *queue.Letter) { l.Damage = errors.New("its format is 2") }, anyRoute: true, refused: "its format is 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*queue.Letter)
			if c.change != nil {
				change = append(change, c.change)
			}
			l := someLetters(t, 1, change...)[0]
			f := factsOf(l)
			r := &resending{cfg: prodConfig(), to: c.to, anyRoute: c.anyRoute}
			if err := r.check(); err != nil {
				t.Fatal(err)
			}
			m, err := r.message(l, &f)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Fatalf("error = %v, want %q in it", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if to, has := m.Header(queue.HeaderTo); to != c.want || has != (c.want != "") {
				t.Errorf("%s is %q (%v), want %q", queue.HeaderTo, to, has, c.want)
			}
		})
	}
}

func TestATargetThatIsNotThereIsRefused(t *testing.T) {
	t.Parallel()
	err := (&resending{cfg: prodConfig(), to: "shop/old"}).check()
	if err == nil || !strings.Contains(err.Error(), "it has shop/es, shop/archive, pay/es") {
		t.Errorf("error = %v", err)
	}
}

func TestSubjectsOfReplayedLetters(t *testing.T) {
	t.Parallel()
	keyed := queue.Lane{Project: "shop", Logstore: "web logs", Config: "app"}
	for name, c := range map[string]struct {
		filters, subjects []string
		was               string
		lane              queue.Lane
		want, refused     string
	}{
		"as it was":                           {[]string{">"}, []string{"in.*.x"}, "in.7.x", queue.Lane{}, "in.7.x", ""},
		"as it was, with a key":               {[]string{"logs.>"}, []string{"logs.>"}, "logs.a.b.c", keyed, "logs.a.b.c", ""},
		"nobody noted it":                     {[]string{"logs.>"}, []string{"logs.>"}, "", keyed, "logs.shop.web%20logs.app", ""},
		"each token":                          {[]string{"logs.*.*.*"}, []string{"logs.>"}, "", keyed, "logs.shop.web%20logs.app", ""},
		"more tokens than a key has":          {[]string{"a.*.*.*.*.z"}, []string{">"}, "", keyed, "a.shop.web%20logs.app.-.z", ""},
		"a literal":                           {[]string{"logs"}, []string{"logs"}, "", keyed, "logs", ""},
		"the filter is wider than the stream": {[]string{">"}, []string{"logs.>"}, "", keyed, "logs.shop.web%20logs.app", ""},
		"not the consumer's any more":         {[]string{"new.>"}, []string{"new.>", "old.>"}, "old.a", keyed, "new.shop.web%20logs.app", ""},
		"not the consumer's, and without key": {[]string{"new.>"}, []string{">"}, "old.a", queue.Lane{}, "", "from its subject old.a"},
		"nobody noted it, and without key":    {[]string{">"}, []string{">"}, "", queue.Lane{}, "", "nobody noted"},
		"a stream that takes none":            {[]string{">"}, nil, "a", keyed, "", "no subject is known"},
	} {
		got, err := subjectFor(c.filters, c.subjects, &queue.Facts{Subject: c.was, Lane: c.lane})
		if got != c.want || (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %q, %v, want %q or %q", name, got, err, c.want, c.refused)
		}
	}
}

func TestSubjectsMatchAsTheServerMatchesThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.c", false},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"a.*", "a.b", true},
		{"a.*", "a", false},
		{"a.*", "a.b.c", false},
		{"*", "", false},
		{"a.>", "a.b", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{">", "a", true},
		{"*.b.>", "a.b.c.d", true},
		{"*.b.>", "a.c.c.d", false},
	} {
		if got := matchesSubject(c.filter, c.subject); got != c.want {
			t.Errorf("%q takes %q: %v", c.filter, c.subject, got)
		}
	}
}
