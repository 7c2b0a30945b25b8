package kafka_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// proxied is a broker that clients reach through a proxy only, so that it can be broken,
// healed and made to hang. It is started when it is first needed, and ends with its test.
type proxied struct {
	t     *testing.T
	once  sync.Once
	c     *kafkabroker.Cluster
	proxy *flushertest.Proxy
}

var topics atomic.Int32

func (p *proxied) start() {
	p.once.Do(func() {
		p.c = kafkabroker.Start(p.t, kafkabroker.Options{Advertise: func(_ int, listens string) string {
			p.proxy = flushertest.NewProxy(p.t, listens)
			return p.proxy.Addr()
		}})
	})
}

// target is a topic of its own.
func (p *proxied) target(tb testing.TB, partitions int, options map[string]any) (to flushertest.Target, topic string) {
	p.start()
	topic = fmt.Sprintf("t%d", topics.Add(1))
	p.c.CreateTopic(tb, topic, partitions, 1, nil)
	p.c.Ends(tb, topic) // by now its leader knows that it leads
	all := map[string]any{"brokers": []any{p.proxy.Addr()}, "topic": topic}
	maps.Copy(all, options)
	return flushertest.Target{
		Options: all,
		Stored: func() (all []flushertest.Record, err error) {
			for _, r := range records(tb, p.c, topic) {
				logs, err := read(r)
				if err != nil {
					return nil, err
				}
				all = append(all, logs...)
			}
			return all, nil
		},
		Break: p.proxy.Break, Heal: p.proxy.Heal, Hang: p.proxy.Hang,
	}, topic
}

// read is what a record holds, by its content-type.
func read(r *kgo.Record) ([]flushertest.Record, error) {
	switch t := header(r, protocol.HeaderContentType); t {
	case protocol.TypeLogGroup:
		var g protocol.LogGroup
		if err := g.Unmarshal(r.Value); err != nil {
			return nil, err
		}
		return flushertest.Records(&g), nil
	case "application/x-ndjson", "application/json":
		return flushertest.JSONLines(r.Value)
	default:
		return nil, fmt.Errorf("a record at offset %d has the content-type %q", r.Offset, t)
	}
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// records is everything in a topic that consumers may see at this moment.
func records(tb testing.TB, c *kafkabroker.Cluster, topic string) []*kgo.Record {
	tb.Helper()
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	starts := c.Starts(tb, topic)
	for partition, end := range c.Ends(tb, topic) {
		if begin := starts[partition]; end > begin {
			left[partition], from[partition] = end, kgo.NewOffset().At(begin)
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl := c.Client(tb, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchMaxWait(50*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), 30*time.Second)
	defer cancel()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			tb.Fatalf("couldn't read topic %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, open := left[r.Partition]; open {
				all = append(all, r)
				if r.Offset+1 >= end {
					delete(left, r.Partition)
				}
			}
		})
	}
	return all
}
