package wire

import (
	"context"
)

// Fetch reads several partitions of one broker. Errors of partitions are in the
// answer; it must be Released, or is collected as garbage.
func (c *Client) Fetch(ctx context.Context, addr string, q *FetchRequest) (*FetchResponse, error) {
	a, err := c.send(ctx, addr, &call{api: apiFetch, free: true, op: "fetch", wait: q.MaxWait, most: maxFetch, body: q.encode})
	if err != nil {
		return nil, c.wrap("fetch", addr, err)
	}
	r, err := parseFetch(a.body, q)
	if err != nil {
		a.release()
		return nil, c.wrap("fetch", addr, err)
	}
	r.release = a.release
	return r, nil
}

func (q *FetchRequest) encode(e *encoder) {
	e.int32(-1) // no replica
	e.int32(millis(q.MaxWait))
	e.int32(q.MinBytes)
	e.int32(q.MaxBytes)
	e.isolation(q.ReadCommitted)
	e.int32(0)  // no fetch session:
	e.int32(-1) // every request names all it wants
	eachTopic(e, q.Partitions, func(p *FetchPartition) string { return p.Topic }, func(e *encoder, p *FetchPartition) {
		e.int32(p.Partition)
		e.int32(p.LeaderEpoch)
		e.int64(p.Offset)
		e.int64(-1) // log start, for followers
		e.int32(p.MaxBytes)
	})
	e.count(0) // nothing to forget
	e.str(q.Rack)
}

// parseFetch reads an answer whose record sets go on lying in body.
func parseFetch(body []byte, q *FetchRequest) (*FetchResponse, error) {
	d := decoder{b: body}
	r := &FetchResponse{Throttle: d.throttle(), Size: len(body)}
	verdict := d.code()
	d.int32() // session
	r.Partitions = make([]FetchedPartition, 0, len(q.Partitions))
	for range d.count(6) {
		topic := q.topic(d.text(), len(r.Partitions))
		for range d.count(42) {
			r.Partitions = append(r.Partitions, parseFetched(&d, topic))
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return r, verdict
}

// topic is name as a string: the one of the request, most likely in the same place.
func (q *FetchRequest) topic(name []byte, at int) string {
	if at < len(q.Partitions) && q.Partitions[at].Topic == string(name) {
		return q.Partitions[at].Topic
	}
	return string(name)
}

func parseFetched(d *decoder, topic string) FetchedPartition {
	p := FetchedPartition{
		TopicPartition: TopicPartition{Topic: topic, Partition: d.int32()},
		Err:            d.code(),
		HighWatermark:  d.int64(), LastStable: d.int64(), LogStart: d.int64(),
	}
	if n := d.count(16); n > 0 {
		p.Aborted = make([]AbortedTransaction, n)
	}
	for i := range p.Aborted {
		p.Aborted[i] = AbortedTransaction{ProducerID: d.int64(), FirstOffset: d.int64()}
	}
	p.PreferredReplica = d.int32()
	p.Records = d.bytes()
	return p
}
