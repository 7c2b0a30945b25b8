package letterbox_test

import (
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (r *rig) client(opts ...kgo.Opt) *kgo.Client {
	r.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.cfg.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(cl.Close)
	return cl
}

// offset is that of partition 0 of a topic at a time, or at its beginning (-2) or end (-1).
func (r *rig) offset(topic string, at int64) int64 {
	r.Helper()
	q := kmsg.NewPtrListOffsetsRequest()
	q.ReplicaID = -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = at
	q.Topics = append(q.Topics, kmsg.ListOffsetsRequestTopic{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}})
	a, err := q.RequestWith(r.Context(), r.client())
	if err != nil {
		r.Fatal(err)
	}
	return a.Topics[0].Partitions[0].Offset
}

// kept are the keys of a done topic that still have a value, and how many records of
// any kind it holds.
func (r *rig) kept() (keys map[string]string, records int) {
	r.Helper()
	cl := r.client(kgo.ConsumeTopics(done), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	keys = map[string]string{}
	end := r.offset(done, -1)
	for next := int64(0); next < end; {
		fs := cl.PollFetches(r.Context())
		if err := fs.Err(); err != nil {
			r.Fatal(err)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			next = rec.Offset + 1
			records++
			if keys[string(rec.Key)] = string(rec.Value); rec.Value == nil {
				delete(keys, string(rec.Key))
			}
		})
	}
	return keys, records
}

// produce stores letters with these names in one partition.
func (r *rig) produce(partition int32, names ...string) {
	r.Helper()
	if err := r.client().ProduceSync(r.Context(), r.records(partition, names...)...).FirstErr(); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) records(partition int32, names ...string) []*kgo.Record {
	var rs []*kgo.Record
	for _, name := range names {
		m := letter(name, []byte("value of "+name))
		rec := &kgo.Record{Topic: letters, Partition: partition, Value: m.Value}
		for _, h := range m.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
		}
		rs = append(rs, rec)
	}
	return rs
}

// transact stores letters in a transaction; commit is to end it.
func (r *rig) transact(names ...string) (end func(commit bool)) {
	r.Helper()
	cl := r.client(kgo.TransactionalID(names[0]))
	err := cl.BeginTransaction()
	if err == nil {
		err = cl.ProduceSync(r.Context(), r.records(0, names...)...).FirstErr()
	}
	if err != nil {
		r.Fatal(err)
	}
	return func(commit bool) {
		r.Helper()
		if err := cl.EndTransaction(r.Context(), kgo.TransactionEndTry(commit)); err != nil {
			r.Fatal(err)
		}
	}
}
