package destinations

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
)

const stream = "ARCHIVE"

// natsTarget is a nats-server in a process of its own, with a stream whose duplicate
// window is longer than the test.
func natsTarget(tb testing.TB) flushertest.Target {
	s := startServer(tb, "nats")
	t := &natsStream{url: "nats://" + s.addr}
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	err := t.with(func(js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, jetstream.StreamConfig{
			Name: stream, Subjects: []string{"archive.>"}, Storage: jetstream.FileStorage, Duplicates: time.Hour,
		})
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return flushertest.Target{
		Options: map[string]any{"url": t.url, "stream": stream, "subject": "archive.{project}.{logstore}"},
		Stored:  func() ([]flushertest.Record, error) { return t.read(tb.Context()) },
		Break:   s.crash,
		Heal:    s.start,
	}
}

type natsStream struct{ url string }

func (t *natsStream) with(use func(jetstream.JetStream) error) error {
	nc, err := nats.Connect(t.url, nats.Timeout(10*time.Second))
	if err != nil {
		return err
	}
	defer nc.Close()
	if got := nc.ConnectedServerName(); got != serverName {
		return fmt.Errorf("%s is answered by the server %q, not by ours", t.url, got)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return use(js)
}

// read reads the LogGroups of the stream.
func (t *natsStream) read(ctx context.Context) (out []flushertest.Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err = t.with(func(js jetstream.JetStream) error {
		s, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		left := s.CachedInfo().State.Msgs
		if left == 0 {
			return nil
		}
		messages, err := c.Messages()
		if err != nil {
			return err
		}
		defer messages.Stop()
		for ; left > 0; left-- {
			m, err := messages.Next(jetstream.NextContext(ctx))
			if err != nil {
				return err
			}
			g := &protocol.LogGroup{}
			if err := g.Unmarshal(m.Data()); err != nil {
				return err
			}
			out = append(out, flushertest.Records(g)...)
		}
		return nil
	})
	return out, err
}

// serverName is how a test knows its own server.
const serverName = "destination"

// serveNATS is the process of a nats-server that syncs what it stores.
func serveNATS() int {
	host, port, err := net.SplitHostPort(os.Getenv("FLUSHLINE_DESTINATION_ADDR"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o := &server.Options{
		ServerName: serverName, Host: host, JetStream: true, StoreDir: os.Getenv("FLUSHLINE_DESTINATION_DIR"),
		SyncAlways: true, MaxPayload: 8 << 20, NoSigs: true,
	}
	if o.Port, err = strconv.Atoi(port); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.ConfigureLogger()
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		fmt.Fprintln(os.Stderr, "not ready for connections after 30s")
		return 1
	}
	go endWithParent()
	fmt.Println(s.Addr())
	s.WaitForShutdown()
	return 0
}
