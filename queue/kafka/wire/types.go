package wire

import (
	"net"
	"strconv"
	"time"
)

// Broker is one broker as the cluster's metadata names it.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// Addr is where the broker says it listens: host:port.
func (b Broker) Addr() string { return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) }

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is the partition as status and logs show it: logs[3].
func (p TopicPartition) String() string { return p.Topic + "[" + strconv.Itoa(int(p.Partition)) + "]" }

// Cluster is one answer to a metadata request.
type Cluster struct {
	ID         string
	Controller int32
	Brokers    map[int32]Broker
	Topics     map[string]Topic
}

// Topic is one topic of a Cluster. Err is set when the broker refused to describe
// it: unknown, not authorised.
type Topic struct {
	Name       string
	ID         [16]byte // of this topic and none before or after it of the same name; zero: not known
	Err        error
	Internal   bool
	Partitions []Partition // by ID
}

// Partition is one partition of a Topic. Leader is -1 while there is none.
type Partition struct {
	ID          int32
	Err         error
	Leader      int32
	LeaderEpoch int32
	Replicas    []int32
	ISR         []int32
}

// FetchRequest asks one broker for several partitions that it leads (or, with
// Rack, follows). The broker fills the answer in the order of Partitions until
// MaxBytes is used up.
type FetchRequest struct {
	MaxWait       time.Duration
	MinBytes      int32
	MaxBytes      int32
	ReadCommitted bool
	Rack          string
	Partitions    []FetchPartition
}

// FetchPartition is one partition of a FetchRequest.
type FetchPartition struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32 // -1: unknown, not checked
	MaxBytes    int32
}

// FetchResponse is what one broker answered. Its record sets lie in one buffer
// that Release gives back; nothing may be read from them afterwards.
type FetchResponse struct {
	Throttle   time.Duration
	Size       int // bytes of the answer
	Partitions []FetchedPartition

	release func()
}

// Release gives the buffer back, once. It may be left out: the buffer is then
// collected as garbage.
func (r *FetchResponse) Release() {
	if r.release != nil {
		r.release()
		r.release = nil
	}
}

// FetchedPartition is one partition of a FetchResponse. The offsets are -1 where
// the broker did not say them.
type FetchedPartition struct {
	TopicPartition
	Err              error // a kafka.Error, or nil
	HighWatermark    int64
	LastStable       int64
	LogStart         int64
	Aborted          []AbortedTransaction
	PreferredReplica int32  // -1: none
	Records          []byte // record batches as they lie in the log; the last may be cut short
}

// AbortedTransaction says that the transactional batches of a producer from
// FirstOffset to its next abort marker were aborted.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// JoinRequest asks to take part in the next generation of a group.
type JoinRequest struct {
	Group, Instance, Member string // Instance: static membership; Member: "" at first
	Session, Rebalance      time.Duration
	Protocols               []JoinProtocol
}

// JoinProtocol is an assignment protocol that the member speaks, with its
// subscription in the format of the consumer protocol.
type JoinProtocol struct {
	Name     string
	Metadata []byte
}

// JoinResponse is the answer to a JoinRequest. With MEMBER_ID_REQUIRED only
// Member is set.
type JoinResponse struct {
	Generation int32
	Protocol   string
	Leader     string
	Member     string
	Members    []JoinMember // for the leader only
}

// JoinMember is a member as the leader sees it.
type JoinMember struct {
	Member, Instance string
	Metadata         []byte
}

// SyncRequest brings (as leader) or asks for assignments.
type SyncRequest struct {
	Group, Instance, Member string
	Generation              int32
	Assignments             map[string][]byte // by member; leader only
}

// Membership names a member in a generation.
type Membership struct {
	Group, Instance, Member string
	Generation              int32
}

// CommitPartition is one committed offset: the position of the next message to
// read. The leader epoch is always sent as unknown (-1).
type CommitPartition struct {
	TopicPartition
	Offset   int64
	Metadata string // at most 4,096 characters by default at the broker
}

// Committed is the committed offset of one partition; Offset is -1 if there is
// none.
type Committed struct {
	Offset   int64
	Metadata string
	Err      error
}

// OffsetAt asks for the first offset whose timestamp is at or after Time, or one
// of the special times.
type OffsetAt struct {
	TopicPartition
	Time int64 // milliseconds since 1970, Earliest or Latest
}

// Special times of OffsetAt.
const (
	Latest   int64 = -1
	Earliest int64 = -2
)

// ListedOffset answers an OffsetAt; Offset is -1 if no message is that young.
type ListedOffset struct {
	Offset int64
	Time   int64
	Err    error
}
