package history_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/test/natsbroker"
)

// shelf is the stream LOGS (logs.> and other.>) of a server of its own.
type shelf struct {
	*natsbroker.Broker
	cfg  *nats.Config
	conn *nats.Conn
	js   jetstream.JetStream
}

func newShelf(t *testing.T, with ...func(*jetstream.StreamConfig)) *shelf {
	t.Helper()
	b := natsbroker.Start(t)
	s := &shelf{Broker: b, cfg: b.Config(), conn: b.Connect()}
	s.js = b.JetStream(s.conn)
	s.make(with...)
	return s
}

func (s *shelf) make(with ...func(*jetstream.StreamConfig)) {
	s.Helper()
	c := jetstream.StreamConfig{Name: "LOGS", Subjects: []string{"logs.>", "other.>"}, Storage: jetstream.FileStorage}
	for _, f := range with {
		f(&c)
	}
	var err error
	if !within(func() bool { // a cluster may lose the request while it elects
		_, err = s.js.CreateStream(s.Context(), c)
		return err == nil
	}) {
		s.Fatal(err)
	}
}

func (s *shelf) stream() jetstream.Stream {
	s.Helper()
	var st jetstream.Stream
	var err error
	if !within(func() bool {
		st, err = s.js.Stream(s.Context(), "LOGS")
		return err == nil
	}) {
		s.Fatal(err)
	}
	return st
}

// publish stores messages; each says which sequence it has.
func (s *shelf) publish(n int, subjects ...string) {
	s.Helper()
	if err := natsbroker.Put(s.Context(), s.js, n, s.messages(subjects)); err != nil {
		s.Fatal(err)
	}
}

// messages are those that come next in the stream, in turn for each subject.
func (s *shelf) messages(subjects []string) func(i int) *natsgo.Msg {
	s.Helper()
	if len(subjects) == 0 {
		subjects = []string{"logs.a"}
	}
	next := int(s.stream().CachedInfo().State.LastSeq) + 1
	return func(i int) *natsgo.Msg {
		m := natsgo.NewMsg(subjects[i%len(subjects)])
		m.Data = fmt.Appendf(nil, "message %d", next+i)
		return m
	}
}

func bound(t *testing.T, text string) job.Bound {
	t.Helper()
	b, err := job.ParseBound(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *shelf) plan(from, to string, of int) (*job.Plan, error) {
	s.Helper()
	return history.PlanRange(s.Context(), s.conn, s.cfg, bound(s.T, from), bound(s.T, to), of)
}

func (s *shelf) planned(from, to string, of int) []job.Slice {
	s.Helper()
	p, err := s.plan(from, to, of)
	if err != nil {
		s.Fatal(err)
	}
	return slicesOf(s.T, p)
}

func slicesOf(t *testing.T, p *job.Plan) []job.Slice {
	t.Helper()
	var all []job.Slice
	for one, err := range p.Slices {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}

// one is the whole of a stretch that has a single slice.
func (s *shelf) one(from, to string) job.Slice {
	s.Helper()
	all := s.planned(from, to, 1)
	if len(all) != 1 {
		s.Fatalf("%d slices, want 1", len(all))
	}
	return all[0]
}

// open opens a slice at its begin.
func (s *shelf) open(in *history.Input, one *job.Slice) job.Reader {
	s.Helper()
	r, err := in.Open(s.Context(), one, one.From)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = r.Close() })
	return r
}

// got is what was read of a slice.
type got struct {
	at     int64
	seqs   []int64
	bytes  int64
	passed map[string]int64
	away   bool // a Read said that the server is away
}

// read reads a batch and checks the seam. An error that may pass is tried again
// for a while.
func (g *got) read(t *testing.T, r job.Reader, bytes int64) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		b, err := r.Read(ctx, bytes)
		var changed *job.ChangedError
		switch {
		case err == nil:
			return g.take(t, b)
		case errors.Is(err, io.EOF), errors.As(err, &changed), ctx.Err() != nil:
			return err
		}
		g.away = g.away || job.IsAway(err)
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (g *got) take(t *testing.T, b job.Batch) error {
	t.Helper()
	n := b.Next - g.at
	for i := range b.Messages {
		m := &b.Messages[i]
		if m.Position < g.at || m.Position >= b.Next {
			t.Errorf("position %d lies outside of %d to %d", m.Position, g.at, b.Next)
		}
		if seq, ours := strings.CutPrefix(string(m.Value), "message "); ours && seq != strconv.FormatInt(m.Position, 10) {
			t.Errorf("at position %d comes message %s", m.Position, seq)
		}
		g.at = m.Position + 1
		g.seqs = append(g.seqs, m.Position)
		g.bytes += m.Held()
		n--
	}
	for reason, k := range b.Passed {
		if g.passed == nil {
			g.passed = map[string]int64{}
		}
		g.passed[reason] += k
		n -= k
	}
	if n != 0 {
		t.Errorf("%d positions up to %d are neither a message nor passed", n, b.Next)
	}
	g.at = b.Next
	return nil
}

// all reads a slice to its end.
func (s *shelf) all(in *history.Input, one job.Slice, bytes int64) *got {
	s.Helper()
	r := s.open(in, &one)
	g := &got{at: one.From}
	s.rest(r, g, one, bytes)
	if err := r.Close(); err != nil {
		s.Error(err)
	}
	return g
}

func (s *shelf) rest(r job.Reader, g *got, one job.Slice, bytes int64) {
	s.Helper()
	for {
		err := g.read(s.T, r, bytes)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			s.Fatal(err)
		}
	}
	if g.at != one.To {
		s.Errorf("%s ended at %d, want %d", one.Name, g.at, one.To)
	}
}

func (g *got) check(t *testing.T, want []int64, passed map[string]int64) {
	t.Helper()
	if !slices.Equal(g.seqs, want) {
		at := 0
		for at < min(len(g.seqs), len(want)) && g.seqs[at] == want[at] {
			at++
		}
		t.Errorf("%d messages, want %d; from number %d on %v, want %v", len(g.seqs), len(want), at, abridge(g.seqs[at:]), abridge(want[at:]))
	}
	if !maps.Equal(g.passed, passed) {
		t.Errorf("passed %v, want %v", g.passed, passed)
	}
}

func abridge(seqs []int64) []int64 { return seqs[:min(len(seqs), 20)] }

// run is the numbers from up to, not including, to, by step.
func run(from, to, step int64) []int64 {
	var out []int64
	for i := from; i < to; i += step {
		out = append(out, i)
	}
	return out
}

// consumers are the names of the stream's consumers, the newest first.
func (s *shelf) consumers() (names []string) {
	s.Helper()
	for _, c := range s.listed() {
		names = append(names, c.Name)
	}
	return names
}

func (s *shelf) listed() (all []*jetstream.ConsumerInfo) {
	s.Helper()
	var err error
	if !within(func() bool {
		all = nil
		list := s.stream().ListConsumers(s.Context())
		for c := range list.Info() {
			all = append(all, c)
		}
		err = list.Err()
		return err == nil
	}) {
		s.Fatal(err)
	}
	slices.SortFunc(all, func(a, b *jetstream.ConsumerInfo) int { return b.Created.Compare(a.Created) })
	return all
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !within(cond) {
		t.Fatalf("%s: not after 20 s", what)
	}
}

// within says whether a condition becomes true within 20 seconds.
func within(cond func() bool) bool {
	for begin := time.Now(); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			return false
		}
	}
	return true
}
