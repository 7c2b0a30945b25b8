//go:build unix

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/job"
)

// placingKafka remembers the offset of each group. With transactions each group is
// committed in one of its own, behind one that is aborted.
type placingKafka struct {
	*kafka
	places       places
	mu           sync.Mutex
	transactions *kgo.Client
	ends         ends
}

func (k *placingKafka) send(_ *testing.T, load *ledger.Load) ledger.Send {
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		record := k.record(key, body)
		err := k.store(ctx, record)
		if err == nil {
			k.places.put(load, body, place{record.Partition, record.Offset})
		}
		return err
	}
}

func (k *placingKafka) store(ctx context.Context, record *kgo.Record) error {
	if k.transactions == nil {
		return k.client.ProduceSync(ctx, record).FirstErr()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	bad := &kgo.Record{Topic: k.topic, Partition: record.Partition, Value: []byte("aborted")}
	if err := k.ends.transact(ctx, k.transactions, bad, kgo.TryAbort); err != nil {
		return fmt.Errorf("couldn't abort: %w", err)
	}
	return k.ends.transact(ctx, k.transactions, record, kgo.TryCommit)
}

// transactional is how many of a job's groups on Kafka come in transactions.
const transactional = 60

// kafkaJob replays a range of each partition that begins in the middle of its log,
// ends behind a marker, and has transactions at its end. More follows the range.
func kafkaJob(t *testing.T, groups int) *jobRig {
	t.Helper()
	return kafkaJobOf(t, groups, logBytes)
}

func kafkaJobOf(t *testing.T, groups, bytes int) *jobRig {
	t.Helper()
	r, plain := newKafkaRig(t)
	k := &placingKafka{kafka: plain}
	r.queued = k
	config := r.config(t, "j1", 2000)
	r.setup(t, config)
	load := r.load(30)
	load.Groups, load.Logs, load.Bytes = groups-transactional+groups/4, 1, bytes
	r.produce(t, load)
	k.transactions = k.cluster.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.TransactionalID(k.topic))
	t.Cleanup(k.transactions.Close)
	if _, _, err := k.transactions.ProducerID(t.Context()); err != nil { // a broker's first one takes longer than a confirmation may
		t.Fatalf("couldn't begin with transactions: %v", err)
	}
	load.Groups, load.Workers = transactional, 1 // one transaction at a time
	r.produce(t, load)
	k.transactions, load.Workers = nil, 0

	from := int64(groups / 4 / partitions)
	to := k.cluster.Ends(t, k.topic)
	var bounds []string
	for p := range int32(partitions) {
		bounds = append(bounds, fmt.Sprintf("%d:%d", p, to[p]))
	}
	load.Groups = groups / 4
	r.produce(t, load)
	r.within = func(n uint64) bool {
		at, ok := k.places.of(n)
		return ok && at.position >= from && at.position < to[at.partition]
	}
	return &jobRig{
		rig: r, config: config, name: "night", packed: 1, lease: jobLease, began: load.Start,
		command:   []string{"replay", "--from", fmt.Sprint(from), "--to", strings.Join(bounds, ",")},
		untouched: k.untouched,
		extra: func(t *testing.T, r *jobReport) {
			n, aborted, markers := &k.ends, int(r.Passed[job.PassedAborted]), int(r.Passed[job.PassedControl])
			if aborted < n.aborted || aborted > n.aborted+n.unknown || markers < n.aborted+n.committed || markers > n.aborted+n.committed+n.unknown {
				t.Errorf("%v positions were passed over, and the transactions were %+v", r.Passed, *n)
			}
		},
	}
}

// untouched says that nobody was ever a member of the live group, or committed.
func (k *kafka) untouched(t *testing.T) {
	t.Helper()
	if c := k.cluster.Committed(t, k.group, k.topic); len(c) > 0 {
		t.Errorf("somebody committed for the live group: %+v", c)
	}
	if g := k.cluster.Group(t, k.group); g.State != "Dead" {
		t.Errorf("somebody was a member of the live group: %+v", g)
	}
}
