package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// Header is one header of a message. Keys are kept as the producer wrote them
// and compared without regard to case.
type Header struct {
	Key   string
	Value string
}

// Message is what a queue stores: a value with its headers, and where it lies.
// Subject, Partition, Position and Time are filled by sources and, except
// Subject, ignored by sinks.
type Message struct {
	Value   []byte
	Key     []byte // Kafka only; nil on NATS
	Headers []Header

	Subject   string    // NATS subject or Kafka topic; for a dead letter sink, the part after its own prefix
	Partition int32     // Kafka partition; 0 on NATS
	Position  int64     // Kafka offset or JetStream stream sequence
	Time      time.Time // the broker's timestamp
}

// Header returns the first header of that name, compared without regard to case.
func (m *Message) Header(name string) (string, bool) {
	for i := range m.Headers {
		if h := &m.Headers[i]; len(h.Key) == len(name) && strings.EqualFold(h.Key, name) {
			return h.Value, true
		}
	}
	return "", false
}

// Origin names where a message first entered a queue. Ids derive from it, so it
// never changes when the message is parked, dead-lettered, replayed or
// backfilled.
type Origin [16]byte

// String is the origin in hexadecimal, as it travels in x-flushline-origin.
func (o Origin) String() string { return hex.EncodeToString(o[:]) }

// ParseOrigin reads what String wrote.
func ParseOrigin(s string) (Origin, bool) {
	var o Origin
	if len(s) != hex.EncodedLen(len(o)) {
		return o, false
	}
	_, err := hex.Decode(o[:], []byte(s))
	return o, err == nil
}

// OriginSeed is the part of an origin that all messages of one stream or topic
// share. A source makes one per incarnation of its stream and calls At for each
// message.
type OriginSeed struct{ prefix []byte }

// NewOriginSeed takes the source id (the Kafka cluster's and the topic's id, or the JetStream
// stream's name and creation time, so that a recreated stream gives new ids) and
// the stream or topic.
func NewOriginSeed(sourceID, topic string) OriginSeed {
	b := make([]byte, 0, 2*binary.MaxVarintLen64+len(sourceID)+len(topic))
	b = binary.AppendUvarint(b, uint64(len(sourceID)))
	b = append(b, sourceID...)
	b = binary.AppendUvarint(b, uint64(len(topic)))
	b = append(b, topic...)
	return OriginSeed{prefix: b}
}

// At is the origin of the message at a position: 16 bytes of SHA-256 over the
// seed, partition, position and broker timestamp (nanoseconds).
func (s OriginSeed) At(partition int32, position int64, t time.Time) Origin {
	var buf [256]byte
	b := append(buf[:0], s.prefix...)
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	b = binary.BigEndian.AppendUint64(b, uint64(position))
	b = binary.BigEndian.AppendUint64(b, uint64(t.UnixNano()))
	sum := sha256.Sum256(b)
	return Origin(sum[:16])
}
