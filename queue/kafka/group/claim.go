package group

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// protocolName is what our members offer as their only assignment protocol, so
// that a consumer of another kind in the same group is refused by the coordinator.
// A change of the rules of balance needs another name.
const protocolName = "flushline-cooperative"

// claim is what a member tells the leader with each join.
type claim struct {
	topics     []string              // ordered
	owned      []wire.TopicPartition // ordered; also what drains
	draining   []bool                // of owned, by index
	generation int32                 // in which owned was assigned; -1: never
	leaving    bool                  // wants nothing any more

	// wish changes when the member wants a round: the coordinator begins none for
	// a member that says what it said before. It starts at random.
	wish uint64
}

// User data of a subscription: version, flags, varint generation, uvarint wish,
// one bit for each owned partition that drains. Later versions append.
const (
	claimVersion = 1
	flagLeaving  = 1
)

func (c *claim) encode() []byte {
	flags := byte(0)
	if c.leaving {
		flags = flagLeaving
	}
	user := []byte{claimVersion, flags}
	user = binary.AppendVarint(user, int64(c.generation))
	user = binary.AppendUvarint(user, c.wish)
	bits := make([]byte, (len(c.owned)+7)/8)
	for i, d := range c.draining {
		if d {
			bits[i/8] |= 1 << (i % 8)
		}
	}
	s := subscription{topics: c.topics, owned: c.owned, user: append(user, bits...)}
	return s.encode()
}

// decodeClaim reads what a member said. User data that is not ours costs its
// meaning only: what the protocol itself says is kept, as the oldest of claims.
func decodeClaim(data []byte) (claim, error) {
	s, err := decodeSubscription(data)
	if err != nil {
		return claim{generation: -1}, err
	}
	slices.Sort(s.topics)
	c := claim{topics: slices.Compact(s.topics), owned: s.owned, draining: make([]bool, len(s.owned)), generation: -1}
	user := s.user
	if len(user) < 2 || user[0] < claimVersion {
		return c, nil
	}
	leaving := user[1]&flagLeaving != 0
	generation, n := binary.Varint(user[2:])
	if n <= 0 || generation < -1 || generation != int64(int32(generation)) {
		return c, nil
	}
	user = user[2+n:]
	wish, n := binary.Uvarint(user)
	if n <= 0 || len(user[n:]) < (len(c.owned)+7)/8 {
		return c, nil
	}
	bits := user[n:]
	c.leaving, c.generation, c.wish = leaving, int32(generation), wish
	for i := range c.draining {
		c.draining[i] = bits[i/8]>>(i%8)&1 != 0
	}
	return c, nil
}

// terms is what the leader tells a member with its assignment.
type terms struct {
	more   bool   // partitions wait for their owners to let go: a second round will follow
	said   uint64 // fingerprint of the member's subscription, whole; 0: not known
	topics uint64 // of the topics in it
	layout uint64 // of the partitions that those topics had; 0: not known
}

// User data of an assignment: version, flags, three fingerprints. Later versions
// append.
const flagMore = 1

func (t *terms) encode() []byte {
	flags := byte(0)
	if t.more {
		flags = flagMore
	}
	b := []byte{claimVersion, flags}
	b = binary.BigEndian.AppendUint64(b, t.said)
	b = binary.BigEndian.AppendUint64(b, t.topics)
	return binary.BigEndian.AppendUint64(b, t.layout)
}

func decodeTerms(user []byte) terms {
	if len(user) < 26 || user[0] < claimVersion {
		return terms{}
	}
	return terms{
		more:   user[1]&flagMore != 0,
		said:   binary.BigEndian.Uint64(user[2:]),
		topics: binary.BigEndian.Uint64(user[10:]),
		layout: binary.BigEndian.Uint64(user[18:]),
	}
}

// Fingerprints: of bytes, of ordered topics, and of these with the partitions that
// they have. None is ever 0.
func fingerprint(data []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(data)
	return max(h.Sum64(), 1)
}

func topicsOf(topics []string) uint64 {
	h := fnv.New64a()
	for _, t := range topics {
		_, _ = fmt.Fprintf(h, "%d %s ", len(t), t) // a hash takes everything
	}
	return max(h.Sum64(), 1)
}

func layoutOf(topics []string, partitions map[string][]int32) uint64 {
	h := fnv.New64a()
	for _, t := range topics {
		ids := slices.Sorted(slices.Values(partitions[t]))
		_, _ = fmt.Fprintf(h, "%d %s %d ", len(t), t, ids)
	}
	return max(h.Sum64(), 1)
}
