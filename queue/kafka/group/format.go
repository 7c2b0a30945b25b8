package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// The consumer protocol's two formats, in which members and leader talk to each
// other and which Kafka's own tools read: a subscription goes up with a join, an
// assignment comes down with a sync. We write version 1 and read any: a later
// version only appends fields.
//
//	subscription  int16 version, [string] topics, bytes user data, from v1: [topic, [int32]] owned
//	assignment    int16 version, [topic, [int32]] partitions, bytes user data
const formatVersion = 1

var errCut = errors.New("it ends too early")

type subscription struct {
	topics []string
	owned  []wire.TopicPartition
	user   []byte
}

func (s *subscription) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, formatVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.topics)))
	for _, t := range s.topics {
		b = appendString(b, t)
	}
	b = appendBytes(b, s.user)
	return appendPartitions(b, s.owned)
}

func decodeSubscription(data []byte) (s subscription, err error) {
	r := reader{data: data}
	version := r.int16()
	for range r.count(2) {
		s.topics = append(s.topics, r.string())
	}
	s.user = r.bytes()
	if version >= 1 && !r.bad {
		s.owned = r.partitions()
	}
	if r.bad {
		return subscription{}, fmt.Errorf("couldn't read a subscription of %d bytes: %w", len(data), errCut)
	}
	return s, nil
}

type assignment struct {
	partitions []wire.TopicPartition
	user       []byte
}

func (a *assignment) encode() []byte {
	b := binary.BigEndian.AppendUint16(nil, formatVersion)
	b = appendPartitions(b, a.partitions)
	return appendBytes(b, a.user)
}

// decodeAssignment reads what a leader assigned; nothing at all is no partitions.
func decodeAssignment(data []byte) (a assignment, err error) {
	if len(data) == 0 {
		return a, nil
	}
	r := reader{data: data}
	r.int16()
	a.partitions = r.partitions()
	a.user = r.bytes()
	if r.bad {
		return assignment{}, fmt.Errorf("couldn't read an assignment of %d bytes: %w", len(data), errCut)
	}
	return a, nil
}

// order sorts partitions and drops what is there twice.
func order(ps []wire.TopicPartition) []wire.TopicPartition {
	slices.SortFunc(ps, comparePartitions)
	return slices.Compact(ps)
}

func comparePartitions(a, b wire.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// appendPartitions takes them ordered: equal sets are equal bytes, by which the
// coordinator knows that nothing has changed.
func appendPartitions(b []byte, ps []wire.TopicPartition) []byte {
	topics := 0
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	for len(ps) > 0 {
		n := 1
		for n < len(ps) && ps[n].Topic == ps[0].Topic {
			n++
		}
		b = appendString(b, ps[0].Topic)
		b = binary.BigEndian.AppendUint32(b, uint32(n))
		for _, p := range ps[:n] {
			b = binary.BigEndian.AppendUint32(b, uint32(p.Partition))
		}
		ps = ps[n:]
		topics++
	}
	binary.BigEndian.PutUint32(b[at:], uint32(topics))
	return b
}

func appendString(b []byte, s string) []byte {
	s = s[:min(len(s), math.MaxInt16)] // Kafka's names have 249 characters at most
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendBytes(b, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// reader takes apart what another member wrote. It believes no length that is not
// there, so that a hostile one costs nothing.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data) {
		r.bad, r.data = true, nil
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// count is the length of an array whose elements take at least that many bytes;
// null is empty.
func (r *reader) count(least int) int {
	n := int(r.int32())
	if n > len(r.data)/least {
		r.bad, r.data = true, nil
		return 0
	}
	return max(n, 0)
}

func (r *reader) string() string { return string(r.take(int(r.int16()))) }

func (r *reader) bytes() []byte {
	n := int(r.int32())
	if n == -1 {
		return nil
	}
	return r.take(n)
}

func (r *reader) partitions() []wire.TopicPartition {
	var ps []wire.TopicPartition
	for range r.count(6) {
		topic := r.string()
		for range r.count(4) {
			ps = append(ps, wire.TopicPartition{Topic: topic, Partition: r.int32()})
		}
	}
	return order(ps)
}
