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
// leads the stream.
func TestAClusterThatLosesServersMidRange(t *testing.T) {
	t.Parallel()
	all := natsbroker.Cluster(t)
	conn, cfg := natsbroker.ConnectAll(t, all)
	s := &shelf{Broker: all[0], cfg: cfg, conn: conn}
	s.js = s.JetStream(conn)
	s.make(func(c *jetstream.StreamConfig) { c.Replicas = 3 })
	s.publish(500, "logs.a", "other.b")
	middle := time.Now()
	s.publish(500, "logs.a", "other.b")

	if one := s.one(middle.Format(time.RFC3339Nano), "end"); one.From != 501 || one.To != 1001 {
		t.Errorf("since the middle: %+v", one)
	}
	one := s.one("earliest", "end")
	r := s.open(history.NewInput(conn, cfg, history.Options{}), &one)
	g := &got{at: 1}
	for i := 0; ; i++ {
		err := g.read(t, r, 50<<10)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i == 2 || i == 6 {
			lead := s.leads(i == 6)
			for _, b := range all {
				if b.Name() == lead {
					b.Stop()
					b.Start()
				}
			}
		}
	}
	g.check(t, run(1, 1001, 2), map[string]int64{"absent": 500})
}

// leads names the server that leads the stream, or has the reader's consumer.
func (s *shelf) leads(stream bool) string {
	s.Helper()
	info := s.stream().CachedInfo()
	if stream {
		return info.Cluster.Leader
	}
	names := s.consumers()
	if len(names) != 1 {
		s.Fatalf("consumers %v, want the reader's", names)
	}
	c, err := s.js.Consumer(s.Context(), "LOGS", names[0])
	if err != nil {
		s.Fatal(err)
	}
	return c.CachedInfo().Cluster.Leader
}
