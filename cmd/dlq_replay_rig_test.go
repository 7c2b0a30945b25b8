package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
)

// keepBox is a box in memory. It notes what happens in events.
type keepBox struct {
	letters []*queue.Letter
	fail    error // of Resolve

	mu       sync.Mutex
	resolved map[queue.Place]bool
	events   *noted
}

// noted are the steps of a replay in their order.
type noted struct {
	mu  sync.Mutex
	all []string
}

func (e *noted) add(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, fmt.Sprintf(format, args...))
}

func newKeepBox(ls ...*queue.Letter) *keepBox {
	return &keepBox{letters: ls, resolved: map[queue.Place]bool{}, events: &noted{}}
}

func (b *keepBox) Describe() string { return "stream LOGS_prod_DLQ" }
func (b *keepBox) Close() error     { return nil }

func (b *keepBox) Free(context.Context) (string, error) { return "", nil }

func (b *keepBox) Letters(ctx context.Context, visit func(*queue.Letter) error) error {
	for _, l := range b.letters {
		if b.has(l) {
			continue
		}
		kept := *l // the letter is visit's
		if err := errors.Join(ctx.Err(), visit(&kept)); err != nil {
			return err
		}
	}
	return nil
}

func (b *keepBox) has(l *queue.Letter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.resolved[l.Places[0]]
}

func (b *keepBox) Resolve(_ context.Context, ls []*queue.Letter) error {
	if b.fail != nil {
		return b.fail
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range ls {
		b.resolved[l.Places[0]] = true
		b.events.add("resolve %d", l.Places[0].Position)
	}
	return nil
}

// left is how many letters are open.
func (b *keepBox) left() (n int) {
	for _, l := range b.letters {
		if !b.has(l) {
			n++
		}
	}
	return n
}

// someLetters makes n letters of one group each, toward shop/es of prod.
func someLetters(tb testing.TB, n int, change ...func(*queue.Letter)) (ls []*queue.Letter) {
	tb.Helper()
	for i := range n {
		seed := queue.NewOriginSeed("test", "LOGS")
		g := protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "n", Value: fmt.Sprint(i)}}}}}
		l := &queue.Letter{
			Places: []queue.Place{{Part: "LOGS_prod_DLQ", Position: int64(i + 1)}},
			Message: queue.Message{
				Value: g.AppendMarshal(nil), Key: []byte("k"), Subject: "shop.es.shop.web.app", Time: time.Unix(int64(i), 0),
				Headers: []queue.Header{
					{Key: "Theirs", Value: "kept"},
					{Key: "x-flushline-was-nats-msg-id", Value: "of the producer"},
					{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroup},
					{Key: protocol.HeaderProject, Value: "shop"},
					{Key: protocol.HeaderLogstore, Value: "web"},
					{Key: protocol.HeaderConfig, Value: "app"},
					{Key: queue.HeaderTo, Value: "prod/shop/es"},
					{Key: queue.HeaderVersion, Value: queue.LetterFormat},
					{Key: queue.HeaderOrigin, Value: seed.At(0, int64(i), time.Unix(1, 0)).String()},
					{Key: queue.HeaderGroups, Value: "7"},
					{Key: queue.HeaderMoves, Value: "2"},
					{Key: queue.HeaderFirstSeen, Value: "2026-01-02T03:04:05Z"},
					{Key: queue.HeaderSource, Value: fmt.Sprintf("nats LOGS/prod %d", i)},
					{Key: queue.HeaderSubject, Value: "logs.shop.web.app"},
					{Key: queue.HeaderReason, Value: "permanent"},
					{Key: queue.HeaderError, Value: "400"},
					{Key: queue.HeaderAttempts, Value: "3"},
					{Key: queue.HeaderWorker, Value: "v1 host"},
				},
			},
		}
		for _, f := range change {
			f(l)
		}
		ls = append(ls, l)
	}
	return ls
}

// withHeader sets a header of a letter; an empty value removes it.
func withHeader(key, value string) func(*queue.Letter) {
	return func(l *queue.Letter) {
		kept := make([]queue.Header, 0, len(l.Headers))
		for _, h := range l.Headers {
			if h.Key != key {
				kept = append(kept, h)
			}
		}
		if value != "" {
			kept = append(kept, queue.Header{Key: key, Value: value})
		}
		l.Headers = kept
	}
}

// prodConfig has the routes shop (es, archive) and pay (es).
func prodConfig() *configs.Config {
	entries := func(names ...string) (all []configs.Entry) {
		for _, n := range names {
			all = append(all, configs.Entry{Name: n})
		}
		return all
	}
	return &configs.Config{
		File:   "prod.yaml",
		Source: configs.Source{NATS: &nats.Config{Stream: "LOGS", Durable: "prod"}},
		Routes: []configs.Route{
			{Name: "shop", Match: configs.Match{Project: "shop"}, Flushers: entries("es", "archive")},
			{Name: "pay", Match: configs.Match{Project: "pay"}, Flushers: entries("es")},
		},
	}
}

// told is a replayTold whose lines are kept.
func told() (*replayTold, *strings.Builder) {
	out := new(strings.Builder)
	t := &replayTold{out: out, gone: func(error) {}}
	t.begin(io.Discard, "stream LOGS")
	return t, out
}

// backTo puts all letters into one sink and notes it.
type backTo struct {
	*keepSink
	events *noted
	limit  int64
}

func (b *backTo) close()                     {}
func (b *backTo) Fits(m *queue.Message) bool { return b.limit == 0 || m.Size() <= b.limit }
func (b *backTo) place(context.Context, *queue.Letter, *queue.Facts, *queue.Message) (fitting, error) {
	return b, nil
}

func (b *backTo) Put(ctx context.Context, ms []queue.Message) []error {
	b.events.add("put %d", len(ms))
	return b.keepSink.Put(ctx, ms)
}
