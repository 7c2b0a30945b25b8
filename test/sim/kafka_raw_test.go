package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ask sends one request, on a connection of its own, that the product's client does not
// have.
func (c *cluster) ask(node int32, q kmsg.Request, version int16) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := c.net.Host().DialContext(ctx, "tcp", c.addr(node))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	q.SetVersion(version)
	if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, q, 1)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	r := q.ResponseKind()
	r.SetVersion(version)
	return r, r.ReadFrom(body[4:]) // behind the number of the request; none of these versions has tags
}

// askAny asks one broker after the other until one is not the wrong one.
func askAny[R kmsg.Response](c *cluster, q kmsg.Request, version int16, code func(R) int16) (r R, err error) {
	for _, node := range c.up() {
		got, failed := c.ask(node, q, version)
		if failed != nil {
			err = failed
			continue
		}
		r = got.(R)
		if err = kerr.ErrorForCode(code(r)); err == nil {
			return r, nil
		}
	}
	return r, err
}

// addPartitions gives the topic more, for nobody to miss.
func (h *kafkaHalf) addPartitions(f *fault) {
	more := h.cluster.partitions() + int32(1+f.n%2)
	q := kmsg.NewPtrCreatePartitionsRequest()
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = kafkaTopic, more
	q.Topics, q.TimeoutMillis = append(q.Topics, t), 5000
	_, err := askAny(h.cluster, q, 1, func(r *kmsg.CreatePartitionsResponse) int16 { return r.Topics[0].ErrorCode })
	if err != nil {
		h.w.logf("couldn't add partitions: %v", err)
		return
	}
	h.cluster.parts.Store(more)
	h.w.saw(f.kind)
}

// abort writes messages in a transaction that does not happen, and leaves it open for a
// while.
func (h *kafkaHalf) abort(f *fault, d *dice) {
	t := transaction{cluster: h.cluster, id: fmt.Sprint("transaction-", f.n), partition: int32(d.n(int(h.cluster.partitions())))}
	if err := t.begin(); err != nil {
		h.w.logf("couldn't begin a transaction: %v", err)
		return
	}
	written := t.write(d.between(1, 5))
	time.Sleep(f.lasts)
	for { // left open it would hold up all readers
		err := t.abort()
		if err == nil {
			break
		}
		h.w.logf("couldn't abort a transaction: %v", err)
		time.Sleep(time.Second)
	}
	if written != nil {
		h.w.logf("couldn't write in a transaction: %v", written)
		return
	}
	h.w.saw(f.kind)
}

// transaction is one of a producer that will abort it.
type transaction struct {
	cluster   *cluster
	id        string
	partition int32
	producer  int64
	epoch     int16
}

func (t *transaction) begin() error {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.TransactionalID, q.TransactionTimeoutMillis = &t.id, 120_000
	r, err := askAny(t.cluster, q, 1, func(r *kmsg.InitProducerIDResponse) int16 { return r.ErrorCode })
	if err != nil {
		return err
	}
	t.producer, t.epoch = r.ProducerID, r.ProducerEpoch
	add := kmsg.NewPtrAddPartitionsToTxnRequest()
	topic := kmsg.NewAddPartitionsToTxnRequestTopic()
	topic.Topic, topic.Partitions = kafkaTopic, []int32{t.partition}
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Topics = t.id, t.producer, t.epoch, append(add.Topics, topic)
	_, err = askAny(t.cluster, add, 1, func(r *kmsg.AddPartitionsToTxnResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode })
	return err
}

func (t *transaction) write(n int) error {
	t.cluster.writing <- struct{}{}
	defer func() { <-t.cluster.writing }()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = t.partition, t.batch(n)
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = kafkaTopic, append(topic.Partitions, p)
	q := kmsg.NewPtrProduceRequest()
	q.TransactionID, q.Acks, q.TimeoutMillis, q.Topics = &t.id, -1, 5000, append(q.Topics, topic)
	_, err := askAny(t.cluster, q, 7, func(r *kmsg.ProduceResponse) int16 { return r.Topics[0].Partitions[0].ErrorCode })
	return err
}

func (t *transaction) abort() error {
	t.cluster.writing <- struct{}{}
	defer func() { <-t.cluster.writing }()
	q := kmsg.NewPtrEndTxnRequest()
	q.TransactionalID, q.ProducerID, q.ProducerEpoch = t.id, t.producer, t.epoch
	r, err := askAny(t.cluster, q, 1, func(r *kmsg.EndTxnResponse) int16 { return r.ErrorCode })
	if err != nil && r != nil && errors.Is(err, kerr.InvalidTxnState) {
		return nil // an abort before was carried out without an answer
	}
	return err
}

// batch is n records of the transaction.
func (t *transaction) batch(n int) []byte {
	const transactional = 1 << 4
	var records []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: []byte("this never happened")}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		records = r.AppendTo(records)
	}
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		Length: int32(49 + len(records)), PartitionLeaderEpoch: -1, Magic: 2, Attributes: transactional, LastOffsetDelta: int32(n - 1),
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: t.producer, ProducerEpoch: t.epoch, NumRecords: int32(n), Records: records,
	}
	const checked = 21 // where what the checksum covers begins
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[checked:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}
