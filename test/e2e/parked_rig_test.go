//go:build unix

package e2e

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// parksSoon has routes park as early as is accepted.
const parksSoon = "park\n    park_after: 1s"

// parkedRig is a rig whose routes park.
type parkedRig struct {
	*rig
	kafka   *kafka   // nil: NATS
	entries []string // for which something may be parked, as route.flusher

	outage *outage // of the slow destination
	all    *parkingRun
}

// parkedEntries are those of the usual routes.
var parkedEntries = []string{"waits.file", "slow.http", "both.file", "both.http"}

func newParkedRig(t *testing.T, queue string) *parkedRig {
	t.Helper()
	p := &parkedRig{entries: slices.Clone(parkedEntries)}
	if queue == "kafka" {
		p.rig, p.kafka = newKafkaRig(t)
		p.kafka.session = 10 * time.Second // nobody dies here: no partition may be lost on a busy machine
	} else {
		p.rig = newRig(t, false)
	}
	p.blocked = parksSoon
	return p
}

// few is traffic whose groups have one log each, so that logs are messages, and whose
// project slow has enough lanes that partitions have several.
func (p *parkedRig) few() ledger.Load {
	load := p.load(60)
	load.Logs = 1
	return load
}

// only is the part of the traffic for one project.
func only(load ledger.Load, project string) ledger.Load {
	var keys []protocol.Key
	for _, k := range load.Keys {
		if k.Project == project {
			keys = append(keys, k)
		}
	}
	load.Keys = keys
	return load
}

// left is how many parked records have not ended, as the broker counts them.
func (p *parkedRig) left(t *testing.T) int64 {
	t.Helper()
	if p.kafka == nil {
		return p.broker.parked(t, "")
	}
	var n int64
	for _, e := range p.entries {
		if topic := p.kafka.parkedTopic(e); p.kafka.has(t, topic) {
			n += p.kafka.lagOf(t, p.kafka.group+".parked", topic)
		}
	}
	return n
}

// companion is the stream of what is parked.
func (b *broker) companion() string { return streamName + "_" + b.durable + "_PARKED" }

// parked is how many records are parked for a route, or for all; none if there is no
// companion.
func (b *broker) parked(t *testing.T, route string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	filter := b.companion() + "." + strings.TrimPrefix(route+".>", ".")
	s, err := b.js.Stream(ctx, b.companion())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return 0
	}
	if err != nil {
		t.Fatalf("couldn't ask for what is parked: %v", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatalf("couldn't ask for what is parked: %v", err)
	}
	var n int64
	for _, of := range info.State.Subjects {
		n += int64(of)
	}
	return n
}

func (k *kafka) parkedTopic(entry string) string { return k.topic + "." + k.group + ".parked." + entry }

// has says whether there is a topic: one of parked records may have been deleted.
func (k *kafka) has(t *testing.T, topic string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = &topic
	req.Topics = append(req.Topics, asked)
	resp, err := req.RequestWith(ctx, k.client)
	if err != nil {
		t.Fatalf("couldn't ask for topic %s: %v", topic, err)
	}
	return len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == 0
}

// dies makes the slow destination fail and waits until a worker parks for it.
func (p *parkedRig) dies(t *testing.T, how string, of ledger.Of) {
	t.Helper()
	p.outage = p.slow.fails(how, of)
	p.parks(t, 1)
}

// parks waits until so many records are parked, of traffic that has 20 a second or more.
func (p *parkedRig) parks(t *testing.T, n int64) {
	t.Helper()
	within := time.Minute + time.Duration(n)*time.Second/20
	eventually(t, within, "records are parked", func() bool { return p.left(t) >= n })
}

// empties waits until everything has ended at the source and at its companion.
func (p *parkedRig) empties(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	drainedRig(t, p.rig, p.kafka, within)
	eventually(t, within-time.Since(began), "nothing is parked any more", func() bool { return p.left(t) == 0 })
}

// recovers has the slow destination take everything again, lets logs come until nothing is
// parked any more, and then until all has ended. Live tries find out about a destination
// sooner than what is parked: that is looked at less and less often.
func (p *parkedRig) recovers(t *testing.T, stop func()) {
	t.Helper()
	p.slow.recovers()
	eventually(t, 2*time.Minute, "what was parked is delivered", func() bool { return p.left(t) == 0 })
	stop()
	p.empties(t, time.Minute)
}

// flushline runs a command of the program, which has to end with 0.
func flushline(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(bin+"/flushline", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("flushline %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
