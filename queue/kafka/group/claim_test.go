package group

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/consumer"
	"pgregory.net/rapid"

	"github.com/flushline/flushline/queue/kafka/wire"
)

var asClaims = cmp.Options{cmp.AllowUnexported(claim{}, assignment{}, terms{}), cmpopts.EquateEmpty()}

func drawClaim(t *rapid.T) claim {
	name := rapid.SampledFrom([]string{"logs", "a", "metrics.eu-1", "z_z"})
	c := claim{
		topics:     slices.Sorted(slices.Values(rapid.SliceOfNDistinct(name, 0, 4, rapid.ID).Draw(t, "topics"))),
		generation: rapid.Int32Min(-1).Draw(t, "generation"),
		leaving:    rapid.Bool().Draw(t, "leaving"),
		wish:       rapid.Uint64().Draw(t, "wish"),
	}
	for range rapid.IntRange(0, 40).Draw(t, "owned") {
		c.owned = append(c.owned, wire.TopicPartition{Topic: name.Draw(t, "topic"), Partition: rapid.Int32Range(0, 300).Draw(t, "partition")})
	}
	c.owned = order(c.owned)
	for range c.owned {
		c.draining = append(c.draining, rapid.Bool().Draw(t, "draining"))
	}
	return c
}

func TestClaimsComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawClaim(t)
		got, err := decodeClaim(want.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, asClaims); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if !bytes.Equal(want.encode(), got.encode()) {
			t.Fatal("equal claims are different bytes: each join would be a round")
		}
	})
}

// The formats are Kafka's: another implementation reads what we write and writes
// what we read.
func TestFormatsAreKafkas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := drawClaim(t)
		var s consumer.Subscription
		if err := protocol.Unmarshal(c.encode(), 1, &s); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.topics, s.Topics, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("topics (-want +got):\n%s", diff)
		}
		a := assignment{partitions: c.owned, user: s.UserData}
		var theirs consumer.Assignment
		if err := protocol.Unmarshal(a.encode(), 1, &theirs); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.OwnedPartitions, theirs.AssignedPartitions, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the same partitions differ:\n%s", diff)
		}
		b, err := protocol.Marshal(1, theirs)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeAssignment(b)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, back, asClaims); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestForeignMembersAreRead(t *testing.T) {
	t.Parallel()
	owned := []consumer.TopicPartition{{Topic: "b", Partitions: []int32{2, 1, 1}}, {Topic: "a", Partitions: []int32{7}}}
	ours := order([]wire.TopicPartition{{Topic: "b", Partition: 1}, {Topic: "b", Partition: 2}, {Topic: "a", Partition: 7}})
	for _, tt := range []struct {
		name    string
		version int16
		s       consumer.Subscription
		want    claim
	}{
		{"version 0", 0, consumer.Subscription{Topics: []string{"b", "a"}}, claim{topics: []string{"a", "b"}, generation: -1}},
		{"without user data", 1, consumer.Subscription{Version: 1, Topics: []string{"b", "a", "b"}, OwnedPartitions: owned}, claim{topics: []string{"a", "b"}, owned: ours, draining: make([]bool, 3), generation: -1}},
		{"with other user data", 1, consumer.Subscription{Version: 1, Topics: []string{"a"}, UserData: []byte("sticky"), OwnedPartitions: owned}, claim{topics: []string{"a"}, owned: ours, draining: make([]bool, 3), generation: -1}},
		{"a later version of ours", 1, consumer.Subscription{Version: 3, Topics: []string{"a"}, UserData: []byte{2, 1, 10, 3, 0b10, 99, 99}, OwnedPartitions: owned}, claim{topics: []string{"a"}, owned: ours, draining: []bool{false, true, false}, generation: 5, leaving: true, wish: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, err := protocol.Marshal(tt.version, tt.s)
			if err != nil {
				t.Fatal(err)
			}
			if tt.s.Version > 1 {
				b = append(b, 0, 0, 0, 9, 0, 0) // fields of the future
			}
			got, err := decodeClaim(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, asClaims); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTermsComeBack(t *testing.T) {
	t.Parallel()
	for _, want := range []terms{{}, {more: true, said: 3, topics: 1, layout: 1<<64 - 1}} {
		if got := decodeTerms(want.encode()); got != want {
			t.Errorf("%+v came back as %+v", want, got)
		}
	}
	if got := decodeTerms([]byte("short")); got != (terms{}) {
		t.Errorf("foreign user data means %+v", got)
	}
	if _, err := decodeAssignment(nil); err != nil {
		t.Errorf("a member that the leader left out: %v", err)
	}
}

func TestFingerprintsTellApart(t *testing.T) {
	t.Parallel()
	seen := map[uint64]string{}
	for _, topics := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"ab"}, {"a b"}} {
		for _, partitions := range []map[string][]int32{nil, {"a": {0}}, {"a": {1, 0}}, {"b": {0, 1}}, {"a b": {0}}} {
			f := layoutOf(topics, partitions)
			what := fmt.Sprintf("%q", topics)
			for _, topic := range topics {
				what += fmt.Sprint(partitions[topic])
			}
			if other, ok := seen[f]; ok && other != what {
				t.Errorf("%s and %s are the same", other, what)
			}
			seen[f] = what
		}
	}
	if layoutOf([]string{"a"}, map[string][]int32{"a": {2, 0, 1}}) != layoutOf([]string{"a"}, map[string][]int32{"a": {0, 1, 2}}) {
		t.Error("the order of partitions matters")
	}
}

// FuzzDecode gives readers what a member or leader may send, whoever it is: they
// must neither fail nor believe lengths that are not there.
func FuzzDecode(f *testing.F) {
	c := claim{topics: []string{"logs"}, owned: []wire.TopicPartition{{Topic: "logs", Partition: 1}}, draining: []bool{true}, generation: 7, wish: 300}
	a := assignment{partitions: c.owned, user: (&terms{more: true, topics: 1, layout: 2}).encode()}
	for _, b := range [][]byte{nil, c.encode(), a.encode(), {0, 1, 0x7f, 0xff, 0xff, 0xff}, {0, 1, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := decodeClaim(data); err == nil {
			if len(c.owned)*4+len(c.topics)*2 > len(data) {
				t.Errorf("%d partitions and %d topics out of %d bytes", len(c.owned), len(c.topics), len(data))
			}
			if len(c.draining) != len(c.owned) || c.generation < -1 || !slices.IsSorted(c.topics) || !slices.IsSortedFunc(c.owned, comparePartitions) {
				t.Errorf("%+v", c)
			}
			p := balance(map[string][]int32{"logs": {0, 1}}, []peer{{id: "a", key: "a", claim: c}, {id: "b", key: "b", claim: claim{topics: []string{"logs"}}}}, nil)
			owners(t, p, []peer{{id: "a", claim: c}, {id: "b", claim: claim{topics: []string{"logs"}}}})
		}
		if a, err := decodeAssignment(data); err == nil {
			if len(a.partitions)*4 > len(data) {
				t.Errorf("%d partitions out of %d bytes", len(a.partitions), len(data))
			}
			decodeTerms(a.user)
		}
	})
}
