//go:build unix

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/protocol"
)

// messageOfTheLimit parks a message to which no byte can be added: with the headers of
// a parked record it is larger than the queue takes, and has to arrive whole.
func messageOfTheLimit(t *testing.T, p *parkedRig) {
	config := p.config(t, "w1", 500)
	p.setup(t, config)
	w := p.pod(t, "flushline", "w1", config)
	w.serves(t)
	p.slow.fails(refuses, nil)
	key := protocol.Key{Project: "slow", Logstore: "store01", Config: "app"}
	const limit = 1 << 20
	taken := 0
	for n := limit; taken == 0; n-- {
		if n < limit-4096 {
			t.Fatalf("no message of %d to %d bytes was taken", n, limit)
		}
		if p.offer(t, key, whole(t, n)) {
			taken = n
		}
	}
	t.Logf("the largest message has %d bytes", taken)
	drainedRig(t, p.rig, p.kafka, time.Minute)
	if p.left(t) == 0 {
		t.Error("nothing is parked")
	}
	small := p.load(1)
	small.Keys, small.Rate = []protocol.Key{key}, 20
	p.recovers(t, p.producing(t, small))
	w.status(t)
	w.terminate(t)
	got, err := os.ReadFile(p.slow.dir + "/received.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var g protocol.LogGroup
	if err := g.Unmarshal(whole(t, taken)); err != nil {
		t.Fatal(err)
	}
	want := g.Logs[0].Contents[0].Value
	if n := bytes.Count(got, []byte(want)); n != 1 {
		t.Errorf("it has arrived %d times, want once", n)
	}
	p.noDeadLetters(t)
}

// whole is a group of n bytes, with one log whose value repeats nothing.
func whole(t *testing.T, n int) []byte {
	t.Helper()
	content := &protocol.Log_Content{Key: "filler"}
	g := &protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{content}}}}
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d.", i)
	}
	for length := n - 64; length <= n; length++ {
		if content.Value = b.String()[:length]; g.Size() == n {
			value, err := g.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("no group has %d bytes", n)
	return nil
}

// offer publishes a body that may be too large, and says whether the queue took it.
func (p *parkedRig) offer(t *testing.T, key protocol.Key, body []byte) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var err error
	var tooLarge bool
	if p.kafka == nil {
		_, err = p.broker.js.Publish(ctx, strings.Join([]string{"logs", key.Project, key.Logstore, key.Config}, "."), body)
		tooLarge = errors.Is(err, nats.ErrMaxPayload)
	} else {
		cl := p.kafka.cluster.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(2<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
		defer cl.Close()
		err = cl.ProduceSync(ctx, p.kafka.record(key, body)).FirstErr()
		tooLarge = errors.Is(err, kerr.MessageTooLarge)
	}
	if err != nil && !tooLarge {
		t.Fatal(err)
	}
	return err == nil
}
