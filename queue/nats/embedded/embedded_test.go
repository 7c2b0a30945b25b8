package embedded_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
)

func config(t *testing.T) embedded.Config {
	c := embedded.DefaultConfig()
	c.Dir, c.Listen = t.TempDir(), "127.0.0.1:0"
	return c
}

func start(t *testing.T, c embedded.Config) *embedded.Server {
	t.Helper()
	s, err := embedded.Start(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func client(t *testing.T, s *embedded.Server, opts ...natsgo.Option) jetstream.JetStream {
	t.Helper()
	nc, err := natsgo.Connect(s.URL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestStreamAndConsumerAreThereAndSafe(t *testing.T) {
	t.Parallel()
	s := start(t, config(t))
	cfg := s.ClientConfig()
	conn, err := nats.Connect(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	report, err := nats.Verify(t.Context(), conn, cfg.List()[0], cfg)
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("verify: %v, %+v", err, report.Findings)
	}
	if got := conn.NATS().MaxPayload(); got != 8<<20 {
		t.Errorf("max payload %d, want 8 MiB", got)
	}
}

func TestMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	c := config(t)
	s := start(t, c)
	js := client(t, s)
	for i := range 10 {
		if _, err := js.Publish(t.Context(), fmt.Sprintf("logs.shop.access.%d", i), []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), "elsewhere", nil); err == nil {
		t.Error("a subject that the stream does not store was accepted")
	}
	s.Close()
	s.Close()
	js = client(t, start(t, c))
	info, err := js.Stream(t.Context(), "LOGS")
	if err != nil {
		t.Fatal(err)
	}
	if n := info.CachedInfo().State.Msgs; n != 10 {
		t.Errorf("%d messages after the restart, want 10", n)
	}
}

func TestASecondServerOnTheDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	c := config(t)
	first := start(t, c)
	_, err := embedded.Start(t.Context(), c, nil)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("second start: %v, want the process that holds the directory", err)
	}
	first.Close()
	start(t, c)
}

func TestABusyPortNamesTheOption(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := config(t)
	c.Listen = l.Addr().String()
	_, err = embedded.Start(t.Context(), c, nil)
	if err == nil || !strings.Contains(err.Error(), c.Listen) || !strings.Contains(err.Error(), "set listen") {
		t.Errorf("start on a busy port: %v", err)
	}
	c.Listen = "127.0.0.1:0"
	start(t, c) // the failed start left the directory free
}

func TestTheNetworkNeedsAToken(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Listen = "0.0.0.0:0"
	if _, err := embedded.Start(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "token") {
		t.Fatalf("start on all addresses without a token: %v", err)
	}
	c.Token = option.NewSecret("s3cret")
	s := start(t, c)
	if nc, err := natsgo.Connect(s.URL()); err == nil {
		nc.Close()
		t.Error("connected without the token")
	}
	client(t, s, natsgo.Token("s3cret"))
	conn, err := nats.Connect(t.Context(), s.ClientConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestWrongSettingsAreAllSaidAtOnce(t *testing.T) {
	t.Parallel()
	c := embedded.Config{Listen: "nowhere", Sync: "never", Stream: "A.B"}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"dir", "listen", "sync", "max_payload", "subjects", "A.B", "durable"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not speak of %s", err, want)
		}
	}
}

func TestAnUnusableDirectoryIsAnError(t *testing.T) {
	t.Parallel()
	c := config(t)
	c.Dir = filepath.Join(c.Dir, "file")
	if err := os.WriteFile(c.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := embedded.Start(t.Context(), c, nil); err == nil || !strings.Contains(err.Error(), "dir") {
		t.Errorf("start in a file: %v", err)
	}
}

func TestAStartCanBeCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	if s, err := embedded.Start(ctx, config(t), nil); err == nil {
		s.Close()
		t.Error("started although cancelled")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("cancelling took %v", took)
	}
}
