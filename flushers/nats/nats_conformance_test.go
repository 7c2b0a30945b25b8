package nats_test

import (
	"net/url"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/nats"
	"github.com/flushline/flushline/protocol"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{
		"bytes as they are":   {},
		"zstd, by tags":       {"compression": "zstd", "subject": "logs.{project}.{tag.none}", "missing_field": "x"},
		"lines":               {"format": "jsonl", "compression": "gzip"},
		"lines by date":       {"format": "jsonl", "subject": "logs.{date:2006-01-02T15-04-05}.{logstore}", "max_names": 100_000},
		"a message a log":     {"format": "json"},
		"an array, no dedupe": {"format": "jsonarray", "dedupe": false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flushertest.Run(t, nats.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				return start(tb.(*testing.T), options)
			}})
		})
	}
}

func start(t *testing.T, options map[string]any) flushertest.Target {
	s := newShelf(t, func(o *server.Options) { o.MaxPayload = 5 << 20 })
	s.make(nil)
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	p := flushertest.NewProxy(t, u.Host)
	all := s.options(options)
	all["url"] = "nats://" + p.Addr()
	answer := func(change func(*jetstream.StreamConfig)) func() { return func() { s.make(change) } }
	return flushertest.Target{
		Options: all,
		Stored:  s.stored,
		Break:   p.Break,
		Heal:    func() { p.Heal(); s.make(nil) },
		Hang:    p.Hang,
		Poison:  swell,
		InitFails: []map[string]any{
			{"tls": map[string]any{"ca": "no/such/file.pem"}},
			{"stream": "MISSING"},
			{"stream": "", "subject": "elsewhere.{logstore}"},
		},
		Answers: map[flushers.Class]func(){
			flushers.ClassMisconfigured: answer(func(c *jetstream.StreamConfig) { c.Subjects = []string{"other.>"} }),
			flushers.ClassRetryAfter:    answer(func(c *jetstream.StreamConfig) { c.MaxMsgs = 1; c.MaxMsgSize = 0 }),
			flushers.ClassTooLarge:      answer(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 50 }),
		},
	}
}

// swell makes a group larger than the stream takes.
func swell(g *protocol.LogGroup) {
	g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: "swollen", Value: noise()})
}

// noise does not compress.
var noise = sync.OnceValue(func() string {
	b := make([]byte, 4500<<10)
	x := uint32(2463534242)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = '!' + byte(x>>8)%90
	}
	return string(b)
})
