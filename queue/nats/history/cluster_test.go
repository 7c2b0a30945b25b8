package history_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats/history"
	"github.com/flushline/flushline/test/natsbroker"
)

// The server that has the reader's consumer goes away mid-range, and the one that
// leads the stream. The next message comes while it is away or catches up.
func TestAClusterThatLosesServersMidRange(t *testing.T) {
	t.Parallel()
	all := natsbroker.Cluster(t)
	conn, cfg := natsbroker.ConnectAll(t, all)
	s := &shelf{Broker: all[0], cfg: cfg, conn: conn}
	s.js = s.JetStream(conn)
	s.make(func(c *jetstream.StreamConfig) { c.Replicas = 3 })
	s.publishEach(500, "logs.a", "other.b")
	middle := time.Now()
	s.publishEach(500, "logs.a", "other.b")

	if one := s.one(middle.Format(time.RFC3339Nano), "end"); one.From != 501 || one.To != 1001 {
		t.Errorf("since the middle: %+v", one)
	}
	one := s.one("earliest", "end")
	r := s.open(history.NewInput(conn, cfg, history.Options{}), &one)
	g := &got{at: 1}
	away := make(chan struct{}, 1) // a server is, or was a moment ago
	lost := 0
	for i := 0; ; i++ {
		err := g.read(t, r, 50<<10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 || i == 6 {
			away <- struct{}{} // two of three would be too many
			b := s.leads(all, i == 6)
			b.Stop()
			lost++
			go func() {
				defer func() { <-away }()
				b.Start()
			}()
		}
	}
	away <- struct{}{} // the last one is back
	if lost != 2 {
		t.Errorf("the range ended after %d servers went away, want 2", lost)
	}
	g.check(t, run(1, 1001, 2), map[string]int64{"absent": 500})
}

// publishEach is publish for a stream of several servers.
func (s *shelf) publishEach(n int, subjects ...string) {
	s.Helper()
	if err := natsbroker.PutEach(s.Context(), s.js, n, s.messages(subjects)); err != nil {
		s.Fatal(err)
	}
}

// leads finds the server that leads the stream, or has the reader's consumer.
func (s *shelf) leads(all [3]*natsbroker.Broker, stream bool) (found *natsbroker.Broker) {
	s.Helper()
	until(s.T, "somebody leads", func() bool {
		var cluster *jetstream.ClusterInfo
		if stream {
			cluster = s.stream().CachedInfo().Cluster
		} else if consumers := s.listed(); len(consumers) > 0 {
			cluster = consumers[0].Cluster
		}
		for _, b := range all {
			if cluster != nil && b.Name() == cluster.Leader {
				found = b
			}
		}
		return found != nil
	})
	return found
}
