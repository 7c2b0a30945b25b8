package wire_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// sockets counts the connections of a client.
type sockets struct{ open, most atomic.Int64 }

func (s *sockets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	n := s.open.Add(1)
	for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
	}
	return &socket{Conn: conn, s: s}, nil
}

type socket struct {
	net.Conn
	s    *sockets
	once sync.Once
}

func (c *socket) Close() error {
	c.once.Do(func() { c.s.open.Add(-1) })
	return c.Conn.Close()
}

func counted(k *kfake.Cluster) (wire.Config, *sockets) {
	s := new(sockets)
	cfg := to(k)
	cfg.Dial = s.dial
	return cfg, s
}

// kafka-go would open one connection for each of these.
func TestHundredsOfLookupsNeedFewConnections(t *testing.T) {
	t.Parallel()
	k := cluster(t, kfake.SeedTopics(200, "many"))
	cfg, s := counted(k)
	c := client(t, cfg)
	ctx, addr := within(t, 60*time.Second), k.ListenAddrs()[0]
	var all sync.WaitGroup
	for i := range int32(200) {
		all.Go(func() {
			p := wire.TopicPartition{Topic: "many", Partition: i}
			committed, err := c.Committed(ctx, addr, "g", []wire.TopicPartition{p})
			if got := committed[p]; err != nil || got.Err != nil || got.Offset != -1 {
				t.Errorf("%s: %+v, %v", p, got, err)
			}
			for _, when := range []int64{wire.Earliest, wire.Latest} {
				ends, err := c.ListOffsets(ctx, addr, true, []wire.OffsetAt{{TopicPartition: p, Time: when}})
				if got := ends[p]; err != nil || got.Err != nil || got.Offset != 0 {
					t.Errorf("%s: %+v, %v", p, got, err)
				}
			}
			stored, err := c.Produce(ctx, addr, []wire.Batch{{TopicPartition: p, Records: []wire.Record{{Value: []byte("v")}}}})
			if got := stored[p]; err != nil || got.Err != nil || got.Offset != 0 {
				t.Errorf("%s: %+v, %v", p, got, err)
			}
			if _, err := c.Metadata(ctx, []string{"many"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.most.Load(); n > 3 { // lookups, writes, and what kafka-go asks itself
		t.Errorf("%d connections at a time", n)
	}
}

// The calls that keep a membership do not wait for lookups; a lookup that has its
// turn keeps it though its caller has gone, because its connection is in use.
func TestHeartbeatsPassLookupsThatAreStuck(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	cfg, s := counted(k)
	c := client(t, cfg)
	ctx, addr := within(t, 60*time.Second), k.ListenAddrs()[0]
	asked := make(chan struct{})
	k.ControlKey(int16(kmsg.DescribeGroups), func(kmsg.Request) (kmsg.Response, error, bool) {
		close(asked)
		return nil, nil, true // never answered
	})
	gone, leave := context.WithCancel(ctx)
	stuck := make(chan error, 1)
	go func() {
		_, err := c.DescribeGroup(gone, addr, "g")
		stuck <- err
	}()
	<-asked
	leave()
	if err := <-stuck; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := c.DescribeGroup(within(t, 50*time.Millisecond), addr, "g"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a lookup passed one that is under way: %v", err)
		}
		m := wire.Membership{Group: "g", Generation: -1}
		if err := c.Heartbeat(ctx, addr, m); wire.IsTransport(err) {
			t.Fatal(err)
		}
		if _, err := c.Commit(ctx, addr, m, nil); wire.IsTransport(err) {
			t.Fatal(err)
		}
		q := &wire.FetchRequest{MaxBytes: 1, Partitions: []wire.FetchPartition{{TopicPartition: wire.TopicPartition{Topic: "logs"}, LeaderEpoch: -1, MaxBytes: 1}}}
		if _, err := c.Fetch(ctx, addr, q); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.most.Load(); n > 3 {
		t.Errorf("%d connections at a time", n)
	}
}

// Extra connections of a busy moment do not stay.
func TestConnectionsOfABurstEnd(t *testing.T) {
	t.Parallel()
	k := cluster(t)
	cfg, s := counted(k)
	c := client(t, cfg)
	ctx, addr := within(t, 90*time.Second), k.ListenAddrs()[0]
	const burst = 6
	var arrived sync.WaitGroup
	arrived.Add(burst)
	k.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		k.KeepControl()
		arrived.Done()
		k.SleepControl(arrived.Wait)
		return nil, nil, false
	})
	var all sync.WaitGroup
	for range burst {
		all.Go(func() {
			if err := c.Heartbeat(ctx, addr, wire.Membership{Group: "g"}); wire.IsTransport(err) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.open.Load(); n < burst {
		t.Fatalf("%d requests at a time had %d connections", burst, n)
	}
	for s.open.Load() > 0 {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d connections are still open", s.open.Load())
		}
	}
}
