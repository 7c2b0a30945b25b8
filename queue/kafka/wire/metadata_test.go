package wire

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// described is an answer of a broker with two topics, one of which it does not know.
func described(version int16) *kmsg.MetadataResponse {
	r := kmsg.NewPtrMetadataResponse()
	r.Version, r.ClusterID, r.ControllerID = version, kmsg.StringPtr("c"), 2
	for i, host := range []string{"k1", "k2"} {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = int32(i+1), host, 9092
		if i == 0 {
			b.Rack = kmsg.StringPtr("here")
		}
		r.Brokers = append(r.Brokers, b)
	}
	logs, none := kmsg.NewMetadataResponseTopic(), kmsg.NewMetadataResponseTopic()
	logs.Topic, logs.TopicID = kmsg.StringPtr("logs"), [16]byte{1, 2, 15: 3}
	for _, i := range []int32{1, 0} {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.OfflineReplicas = i, 2, 7, []int32{1, 2}, []int32{2}, []int32{1}
		logs.Partitions = append(logs.Partitions, p)
	}
	none.Topic, none.ErrorCode = kmsg.StringPtr("none"), int16(kafka.UnknownTopicOrPartition)
	r.Topics = append(r.Topics, logs, none)
	return r
}

// bodyOf is an answer as it follows the correlation id.
func bodyOf(r *kmsg.MetadataResponse) []byte {
	if !r.IsFlexible() {
		return r.AppendTo(nil)
	}
	return r.AppendTo([]byte{0})
}

// withTags gives each structure of an answer fields that nobody knows.
func withTags(r *kmsg.MetadataResponse) *kmsg.MetadataResponse {
	for _, tags := range []*kmsg.Tags{
		&r.UnknownTags, &r.Brokers[0].UnknownTags, &r.Topics[0].UnknownTags, &r.Topics[1].UnknownTags, &r.Topics[0].Partitions[1].UnknownTags,
	} {
		tags.Set(0, []byte("new"))
		tags.Set(300, bytes.Repeat([]byte("x"), 200))
	}
	return r
}

func TestMetadataIsTheSameInBothFormats(t *testing.T) {
	t.Parallel()
	id := [16]byte{1, 2, 15: 3}
	parts := []Partition{
		{ID: 0, Leader: 2, LeaderEpoch: 7, Replicas: []int32{1, 2}, ISR: []int32{2}},
		{ID: 1, Leader: 2, LeaderEpoch: 7, Replicas: []int32{1, 2}, ISR: []int32{2}},
	}
	want := &Cluster{
		ID: "c", Controller: 2,
		Brokers: map[int32]Broker{1: {ID: 1, Host: "k1", Port: 9092, Rack: "here"}, 2: {ID: 2, Host: "k2", Port: 9092}},
		Topics: map[string]Topic{
			"logs": {Name: "logs", ID: id, Partitions: parts},
			"none": {Name: "none", Err: kafka.UnknownTopicOrPartition, Partitions: []Partition{}},
		},
	}
	for name, body := range map[string][]byte{
		"old":      bodyOf(described(8)),
		"flexible": bodyOf(described(11)),
		"tagged":   bodyOf(withTags(described(11))),
	} {
		got, err := parseMetadata(&decoder{b: body}, name != "old")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		without := cmp.Options{cmpopts.EquateErrors()}
		if name == "old" {
			without = append(without, cmpopts.IgnoreFields(Topic{}, "ID"))
		}
		if diff := cmp.Diff(want, got, without); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for cut := range body {
			if _, err := parseMetadata(&decoder{b: body[:cut]}, name != "old"); err == nil {
				t.Fatalf("%s: %d of %d bytes are taken for an answer", name, cut, len(body))
			}
		}
	}
}

// The requests are what another implementation reads.
func TestMetadataIsAskedForInBothFormats(t *testing.T) {
	t.Parallel()
	for _, a := range []api{apiMetadata, apiTopicIDs} {
		for _, topics := range [][]string{nil, {}, {"logs", "a.b_c-1"}} {
			want := kmsg.NewPtrMetadataRequest()
			want.Version, want.AllowAutoTopicCreation = a.version, false
			if topics != nil {
				want.Topics = []kmsg.MetadataRequestTopic{}
			}
			for _, name := range topics {
				one := kmsg.NewMetadataRequestTopic()
				one.Topic = kmsg.StringPtr(name)
				want.Topics = append(want.Topics, one)
			}
			var e encoder
			askMetadata(a == apiTopicIDs, topics)(&e)
			b := want.AppendTo(nil)
			if a == apiTopicIDs {
				b = append([]byte{0}, b...)
			}
			if !bytes.Equal(e.b, b) || e.err != nil {
				t.Errorf("version %d of %q: % x, want % x (%v)", a.version, topics, e.b, b, e.err)
			}
		}
	}
}

// FuzzMetadata reads any bytes in both formats: what is kept is no more than came.
func FuzzMetadata(f *testing.F) {
	f.Add(false, bodyOf(described(8)))
	f.Add(true, bodyOf(described(11)))
	f.Add(true, bodyOf(withTags(described(11))))
	f.Add(true, bytes.Repeat([]byte{0xff}, 40))
	f.Add(true, []byte{0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, flexible bool, body []byte) {
		c, err := parseMetadata(&decoder{b: body}, flexible)
		if (c == nil) == (err == nil) {
			t.Fatalf("%v and %v", c, err)
		}
		if c == nil {
			return
		}
		kept := 11 * len(c.Brokers)
		for _, topic := range c.Topics {
			kept += 13 + len(topic.Name) + 18*len(topic.Partitions)
		}
		if kept > len(body) {
			t.Errorf("%d bytes of an answer of %d", kept, len(body))
		}
	})
}

// An old broker is asked as before, and loses one connection in its life by it.
func TestTopicIDs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		versions *kversion.Versions
		ids      bool
	}{"2.7": {kversion.V2_7_0(), false}, "2.8": {kversion.V2_8_0(), true}, "4.0": {kversion.V4_0_0(), true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "logs"), kfake.MaxVersions(test.versions))
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			var greeted atomic.Int32
			k.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
				k.KeepControl()
				greeted.Add(1)
				return nil, nil, false
			})
			c, err := NewClient(Config{Brokers: k.ListenAddrs()})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for _, topics := range [][]string{nil, {"logs"}, nil, {"logs"}, {"logs"}} {
				cluster, err := c.Metadata(t.Context(), topics)
				if err != nil {
					t.Fatal(err)
				}
				logs := cluster.Topics["logs"]
				if want := k.TopicInfo("logs").TopicID; (logs.ID == want) != test.ids || (logs.ID == [16]byte{}) == test.ids || len(logs.Partitions) != 2 {
					t.Errorf("%+v, id %x", logs, want)
				}
			}
			if n := greeted.Load(); n > 6 { // two of a connection: ours and kafka-go's
				t.Errorf("%d greetings for 5 calls", n)
			}
		})
	}
}
