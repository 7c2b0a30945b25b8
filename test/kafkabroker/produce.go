package kafkabroker

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record makes a record for one partition.
func Record(topic string, partition int32, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Partition: partition, Value: []byte(value)}
}

// Produce appends records to the partitions they name, in order, acknowledged by
// all replicas in sync. Afterwards each record knows its offset.
func (c *Cluster) Produce(tb TB, records ...*kgo.Record) {
	tb.Helper()
	c.ProduceWith(tb, nil, records...)
}

// ProduceWith is Produce with further options, such as a codec.
func (c *Cluster) ProduceWith(tb TB, opts []kgo.Opt, records ...*kgo.Record) {
	tb.Helper()
	cl := c.Client(tb, append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), within)
	defer cancel()
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		tb.Fatalf("couldn't produce: %v", err)
	}
}

// Transact appends records in one transaction, commits or aborts it, and waits until
// that is seen by readers of committed records. Each call ends with a marker on
// every partition it wrote to.
func (c *Cluster) Transact(tb TB, id string, commit bool, records ...*kgo.Record) {
	tb.Helper()
	cl := c.Client(tb, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID(id))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), within)
	defer cancel()
	err := cl.BeginTransaction()
	if err == nil {
		err = cl.ProduceSync(ctx, records...).FirstErr()
	}
	if err == nil {
		err = cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	}
	for _, r := range records {
		if err == nil {
			err = until(ctx, func() error { return stable(ctx, cl, r) })
		}
	}
	if err != nil {
		tb.Fatalf("couldn't run transaction %s: %v", id, err)
	}
}

// stable says whether a record lies below the last stable offset: the markers are
// written after the transaction was answered.
func stable(ctx context.Context, cl *kgo.Client, r *kgo.Record) error {
	ends := make(map[int32]int64)
	if err := listOffsets(ctx, cl, r.Topic, latest, readCommittedOnly, ends); err != nil {
		return err
	}
	if end := ends[r.Partition]; end <= r.Offset {
		return fmt.Errorf("%s[%d] is stable up to %d only", r.Topic, r.Partition, end)
	}
	return nil
}

// Fill appends n small records to each of a topic's first partitions; values are
// partition/number, from 0.
func (c *Cluster) Fill(tb TB, topic string, partitions, n int) {
	tb.Helper()
	records := make([]*kgo.Record, 0, partitions*n)
	for i := range n {
		for p := range partitions {
			records = append(records, Record(topic, int32(p), fmt.Sprintf("%d/%d", p, i)))
		}
	}
	c.Produce(tb, records...)
}
