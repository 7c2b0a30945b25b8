package wire

import (
	"context"
	"errors"
	"slices"

	"github.com/segmentio/kafka-go/protocol"
)

// apiTopicIDs is Metadata as brokers from 2.8 speak it: a flexible format (KIP-482)
// that says the id of each topic (KIP-516).
var apiTopicIDs = api{protocol.Metadata, 11}

// metadataAs asks in one of the two formats.
func (c *Client) metadataAs(ctx context.Context, addr string, a api, topics []string) (cluster *Cluster, err error) {
	flexible := a == apiTopicIDs
	q := &call{api: a, op: "read metadata", body: askMetadata(flexible, topics)}
	err = c.do(ctx, addr, q, func(d *decoder) (err error) {
		cluster, err = parseMetadata(d, flexible)
		return err
	})
	return cluster, err
}

func askMetadata(flexible bool, topics []string) func(*encoder) {
	return func(e *encoder) {
		e.flexible = flexible
		e.tagged() // of the header
		if topics == nil {
			e.count(-1)
		} else {
			e.count(len(topics))
		}
		for _, t := range topics {
			if flexible {
				e.b = append(e.b, make([]byte, 16)...) // no id: it is asked for by name
			}
			e.str(t)
			e.tagged()
		}
		e.bool(false) // do not create any
		if !flexible {
			e.bool(false) // do not say what we may do to the cluster
		}
		e.bool(false) // nor to the topics
		e.tagged()
	}
}

// errAlone is the answer of a broker that has just started.
var errAlone = errors.New("it knows of no brokers yet")

func parseMetadata(d *decoder, flexible bool) (*Cluster, error) {
	d.flexible = flexible
	d.tagged() // of the header
	d.throttle()
	c := &Cluster{Brokers: map[int32]Broker{}, Topics: map[string]Topic{}}
	for range d.count(11) {
		b := Broker{ID: d.int32(), Host: d.str(), Port: d.int32(), Rack: d.str()}
		d.tagged()
		c.Brokers[b.ID] = b
	}
	c.ID = d.str()
	c.Controller = d.int32()
	for range d.count(13) {
		t := parseTopic(d)
		c.Topics[t.Name] = t
	}
	if !flexible {
		d.int32() // what we may do to the cluster, not asked for
	}
	d.tagged()
	if err := d.end(); err != nil {
		return nil, err
	}
	if len(c.Brokers) == 0 {
		return nil, errAlone
	}
	return c, nil
}

func parseTopic(d *decoder) Topic {
	t := Topic{Err: d.code(), Name: d.str()}
	if d.flexible {
		copy(t.ID[:], d.take(len(t.ID)))
	}
	t.Internal = d.bool()
	t.Partitions = make([]Partition, d.count(18))
	for i := range t.Partitions {
		t.Partitions[i] = Partition{
			Err: d.code(), ID: d.int32(), Leader: d.int32(), LeaderEpoch: d.int32(),
			Replicas: d.int32s(), ISR: d.int32s(),
		}
		d.int32s() // offline replicas
		d.tagged()
	}
	d.int32() // what we may do to the topic, not asked for
	d.tagged()
	slices.SortFunc(t.Partitions, func(a, b Partition) int { return int(a.ID) - int(b.ID) })
	return t
}
