//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/seed"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/test/kafkabroker"
)

// The only broker is stopped and killed under load: nothing is lost, nobody loses
// a partition, and what is published after its return flows.
func TestKafkaBrokerRestartsLoseNothing(t *testing.T) {
	t.Parallel()
	rounds := size(1, 5)
	rng := seed.New(t)
	r, k := kafkaRigOn(t, kafkabroker.Start(t, kafkabroker.Options{}))
	k.session, k.rebalance = 30*time.Second, 30*time.Second // counted while the broker does not answer yet, longer on a busy machine
	config := r.config(t, "w1", 1000)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 300
	stop := r.producing(t, load)
	p := r.pod(t, "flushline", "w1", config)
	k.settled(t, 1)
	node := k.cluster.Node(1)
	for range rounds {
		for _, how := range []struct {
			name string
			do   func()
		}{{"killed", node.Kill}, {"stopped", func() { node.Stop(t) }}}[:size(1, 2)] {
			r.flows(t)
			<-time.After(time.Duration(rng.IntN(500)) * time.Millisecond)
			how.do()
			<-time.After(time.Duration(rng.IntN(3000)) * time.Millisecond)
			node.Restart(t)
			t.Logf("%s: flow was back after %s", how.name, r.flowsAgain(t, "the broker is back, was "+how.name, 30*time.Second).Round(time.Millisecond))
		}
	}
	stop()
	k.drained(t, time.Minute)
	if n := p.metric(t, "flushline_rebalances_total"); n != 0 {
		t.Errorf("%v rebalances, and nobody came or went", n)
	}
	p.status(t)
	p.terminate(t)
	t.Logf("%d duplicates", r.judge(t, (*ledger.Verdict).Kept))
}

// flows waits until the slow destination gets something.
func (r *rig) flows(t *testing.T) {
	t.Helper()
	seen := r.slow.logs.Load()
	eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > seen+50 })
}

// flowsAgain is how long it takes until something arrives that was tried after now,
// a moment of that name.
func (r *rig) flowsAgain(t *testing.T, name string, within time.Duration) time.Duration {
	t.Helper()
	r.mark(t, name)
	begin, next := time.Now(), r.journal.Tried()
	eventually(t, within, "logs of after now arrive", func() bool { return r.slow.newest.Load() >= next })
	return time.Since(begin)
}

// Retention overtakes a stopped worker: what is left is delivered, and what is not
// is counted exactly.
func TestKafkaRetentionIsCounted(t *testing.T) {
	t.Parallel()
	const deleted = 70
	r, k := newKafkaRig(t)
	k.session = patient
	config := r.config(t, "w1", 1000)
	r.setup(t, config)
	load := r.load(30)
	load.Logs, load.Groups = 1, 1200
	r.produce(t, load)
	p := r.pod(t, "flushline", "w1", config)
	k.drained(t, time.Minute)
	p.serves(t)
	p.terminate(t)
	at := k.cluster.Committed(t, k.group, k.topic)

	r.produce(t, load)
	for _, partition := range []int32{0, 5} {
		k.cluster.DeleteRecords(t, k.topic, partition, at[partition].Offset+deleted)
	}
	p = r.pod(t, "flushline", "w1", config)
	k.drained(t, time.Minute)
	p.serves(t)
	var counted int64
	s := p.status(t)
	for i := range s.Strands {
		for reason, n := range s.Strands[i].Queue.PassedOver {
			t.Logf("%s passed over %d: %s", s.Strands[i].Name, n, reason)
			counted += n
		}
	}
	metric := p.metric(t, "flushline_passed_over_total")
	p.terminate(t)
	var lost int
	for name, v := range r.verdicts(t) {
		if name != "both (file)" { // has what "both (http)" has
			lost += v.Lost.Count
		}
		if v.Duplicates != 0 || v.Spurious.Count != 0 || v.Corrupt.Count != 0 {
			t.Errorf("more than a loss:\n%s", v)
		}
	}
	if counted != 2*deleted || metric != 2*deleted || lost != 2*deleted {
		t.Errorf("%d messages were deleted: %d counted in status, %v in metrics, %d missing", 2*deleted, counted, metric, lost)
	}
}

// The topic is deleted and made again under a running worker: what the new one
// has is delivered from its start.
func TestKafkaTopicMadeAgain(t *testing.T) {
	t.Parallel()
	r, k := newKafkaRig(t)
	config := r.config(t, "w1", 1000)
	r.setup(t, config)
	load := r.load(30)
	load.Groups = 1200
	r.produce(t, load)
	p := r.pod(t, "flushline", "w1", config)
	k.drained(t, time.Minute)
	k.cluster.DeleteTopic(t, k.topic)
	k.cluster.CreateTopic(t, k.topic, partitions, 0, nil)
	k.connect(t)
	load.Groups = 600 // fewer: the new log ends before the old positions
	r.produce(t, load)
	k.drained(t, time.Minute)
	p.status(t)
	p.terminate(t)
	t.Logf("%d duplicates", r.judge(t, (*ledger.Verdict).Kept))
}

// A transactional producer commits one record and aborts another in turn: what was
// committed is delivered, what was aborted is not, and the offsets pass the markers
// at the end of each log.
func TestKafkaTransactions(t *testing.T) {
	t.Parallel()
	r, k := newKafkaRig(t)
	k.session = patient
	x := &transactions{kafka: k}
	r.queued = x
	config := r.config(t, "w1", 1000)
	r.setup(t, config)
	p := r.pod(t, "flushline", "w1", config)
	k.settled(t, 1)
	load := r.load(30)
	load.Groups, load.Workers = size(200, 2000), 1
	r.produce(t, load)
	k.drained(t, time.Minute)
	aborted := 0
	s := p.status(t)
	for i := range s.Strands {
		aborted += int(s.Strands[i].Queue.PassedOver["aborted"])
	}
	if n := &x.ends; aborted < n.aborted || aborted > n.aborted+n.unknown {
		t.Errorf("%d aborted records were passed over, %d were produced, and %d perhaps", aborted, n.aborted, n.unknown)
	}
	p.terminate(t)
	r.judge(t, (*ledger.Verdict).Once) // an aborted record is no LogGroup: it would be a dead letter
}

// transactions sends each group in a transaction of its own, after one that is
// aborted.
type transactions struct {
	*kafka
	mu   sync.Mutex
	ends ends
}

// ends are how transactions ended; of some it is not known whether they have a record,
// and how they ended.
type ends struct{ committed, aborted, unknown int }

func (x *transactions) send(t *testing.T, _ *ledger.Load) ledger.Send {
	cl := x.cluster.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.TransactionalID(x.topic))
	t.Cleanup(cl.Close)
	return func(ctx context.Context, key protocol.Key, body []byte) error {
		x.mu.Lock()
		defer x.mu.Unlock()
		record := x.record(key, body)
		bad := &kgo.Record{Topic: x.topic, Partition: record.Partition, Value: []byte("aborted")}
		if err := x.ends.transact(ctx, cl, bad, kgo.TryAbort); err != nil {
			return fmt.Errorf("couldn't abort: %w", err)
		}
		return x.ends.transact(ctx, cl, record, kgo.TryCommit)
	}
}

// transact stores a record in a transaction of its own and ends that.
func (n *ends) transact(ctx context.Context, cl *kgo.Client, record *kgo.Record, end kgo.TransactionEndTry) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	err := cl.ProduceSync(ctx, record).FirstErr()
	if err == nil {
		err = cl.EndTransaction(ctx, end)
	}
	switch {
	case err == nil && end == kgo.TryCommit:
		n.committed++
		return nil
	case err == nil:
		n.aborted++
		return nil
	}
	n.unknown++
	// Without an end of this one no other can begin.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, cl.EndTransaction(ctx, kgo.TryAbort))
}
