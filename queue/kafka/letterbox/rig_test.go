package letterbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

// within is how long anything in these tests may take on a busy machine.
const within = 2 * time.Minute

const (
	topic   = "logs"
	letters = "logs.g.dlq"
	done    = "logs.g.dlq.done"
)

// rig is a source topic with dead letters.
type rig struct {
	*testing.T
	cfg  *kafka.Config
	fake *kfake.Cluster
	sink *kafka.Letters
	ctx  context.Context // ends when the test has taken too long
}

// Context ends when the test has taken too long.
func (r *rig) Context() context.Context { return r.ctx }

func fake(t *testing.T, partitions int32, opts ...kfake.Opt) *rig {
	t.Helper()
	f, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	r := on(t, f.ListenAddrs(), topic)
	r.fake = f
	return r
}

func on(t *testing.T, brokers []string, topics ...string) *rig {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = brokers, topics, "g"
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return &rig{T: t, cfg: &cfg, ctx: ctx}
}

// put stores letters with these names. Their topic is made the first time.
func (r *rig) put(names ...string) {
	r.Helper()
	var ms []queue.Message
	for _, name := range names {
		ms = append(ms, letter(name, []byte("value of "+name)))
	}
	r.putAll(ms...)
}

func (r *rig) putAll(ms ...queue.Message) {
	r.Helper()
	if r.sink == nil {
		client, err := kafka.Connect(r.cfg)
		if err != nil {
			r.Fatal(err)
		}
		r.Cleanup(client.Close)
		if r.sink, err = kafka.DeadLetters(r.Context(), client, r.cfg); err != nil {
			r.Fatal(err)
		}
	}
	if err := errors.Join(r.sink.Put(r.Context(), ms)...); err != nil {
		r.Fatal(err)
	}
}

// letter is one as a worker puts it.
func letter(name string, value []byte) queue.Message {
	return queue.Message{Value: value, Headers: []queue.Header{
		{Key: "x-log-project", Value: "shop"},
		{Key: "x-log-logstore", Value: "access"},
		{Key: "x-log-config", Value: "nginx"},
		{Key: queue.HeaderTo, Value: "g/all/es"},
		{Key: queue.HeaderVersion, Value: queue.LetterFormat},
		{Key: queue.HeaderOrigin, Value: origin(name).String()},
		{Key: queue.HeaderReason, Value: "permanent"},
		{Key: "name", Value: name},
	}}
}

func origin(name string) queue.Origin {
	return queue.NewOriginSeed("cluster", name).At(0, 1, time.Unix(1, 0))
}

func (r *rig) box() queue.LetterBox {
	r.Helper()
	b, err := open(r)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func open(r *rig) (queue.LetterBox, error) {
	b, err := letterbox.Open(r.cfg, r.cfg.Topics[0])
	if err == nil {
		r.Cleanup(func() { _ = b.Close() })
	}
	return b, err
}

func openAll(r *rig) ([]queue.LetterBox, error) {
	boxes, err := letterbox.OpenAll(r.Context(), r.cfg)
	for _, b := range boxes {
		r.Cleanup(func() { _ = b.Close() })
	}
	return boxes, err
}

// read is what a box shows.
func (r *rig) read(b queue.LetterBox) []*queue.Letter {
	r.Helper()
	ls, err := r.tryRead(b)
	if err != nil {
		r.Fatal(err)
	}
	return ls
}

func (r *rig) tryRead(b queue.LetterBox) (ls []*queue.Letter, err error) {
	err = b.Letters(r.Context(), func(l *queue.Letter) error {
		ls = append(ls, l)
		return nil
	})
	return ls, err
}

// nameOf is the name that a letter was put with, and what is wrong with it.
func nameOf(l *queue.Letter) string {
	name, _ := l.Header("name")
	if l.Damage != nil {
		name += "!"
	}
	return name
}

func namesOf(ls []*queue.Letter) string {
	var names []string
	for _, l := range ls {
		names = append(names, nameOf(l))
	}
	return strings.Join(names, " ")
}

// shows checks which letters a new box shows.
func (r *rig) shows(want string) {
	r.Helper()
	if diff := cmp.Diff(want, namesOf(r.read(r.box()))); diff != "" {
		r.Fatalf("letters (-want +got):\n%s", diff)
	}
}

// some are those of these names that a box shows.
func (r *rig) some(b queue.LetterBox, names string) []*queue.Letter {
	r.Helper()
	var found []*queue.Letter
	for _, l := range r.read(b) {
		if strings.Contains(" "+names+" ", " "+strings.TrimSuffix(nameOf(l), "!")+" ") {
			found = append(found, l)
		}
	}
	if n := len(strings.Fields(names)); len(found) != n {
		r.Fatalf("%d letters have the names %q: %s", len(found), names, namesOf(found))
	}
	return found
}

func (r *rig) resolve(names string) {
	r.Helper()
	b := r.box()
	if err := b.Resolve(r.Context(), r.some(b, names)); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) free() string {
	r.Helper()
	text, err := r.box().Free(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return text
}

func mustContain(t testing.TB, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(fmt.Sprint(err), part) {
			t.Errorf("%v\ndoes not say %q", err, part)
		}
	}
}
