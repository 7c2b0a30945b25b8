package kafkatraps

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(kafkabroker.Main(m))) }

// runs tells apart the topics and groups of a test that is repeated.
var runs atomic.Int64

// topicOf makes a topic named after the test, with n records in each partition.
// Groups take its name too.
func topicOf(t *testing.T, partitions, n int, configs map[string]string) (*kafkabroker.Cluster, string) {
	t.Helper()
	b := kafkabroker.Shared(t)
	topic := fmt.Sprintf("%s-%d", t.Name(), runs.Add(1))
	b.CreateTopic(t, topic, partitions, 0, configs)
	if n > 0 {
		b.Fill(t, topic, partitions, n)
	}
	return b, topic
}

// client is a kafka-go client whose connections pass through tap, if there is one.
func client(t *testing.T, b *kafkabroker.Cluster, tap func(net.Conn) net.Conn) *kafka.Client {
	t.Helper()
	transport := &kafka.Transport{Dial: dial(tap)}
	t.Cleanup(transport.CloseIdleConnections)
	return &kafka.Client{Addr: kafka.TCP(b.Addr()), Transport: transport, Timeout: 20 * time.Second}
}

func dial(tap func(net.Conn) net.Conn) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil || tap == nil {
			return c, err
		}
		return tap(c), nil
	}
}

// within bounds what a test waits for a broker.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// must is for steps that are not what a test is about.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
