package letterbox_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/letterbox"
)

// A done topic that would forget is refused with the command that mends it.
func TestADoneTopicThatForgetsIsRefused(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a")
	if err := r.fake.CreateTopic(done, 1, map[string]string{"cleanup.policy": "delete"}); err != nil {
		t.Fatal(err)
	}
	_, err := r.tryRead(r.box())
	mustContain(t, err, done, "cleanup.policy", "would be deleted by their age",
		"kafka-configs.sh --bootstrap-server "+r.cfg.Brokers[0]+" --alter --entity-type topics --entity-name "+done+" --add-config cleanup.policy=compact")
	err = r.box().Resolve(r.Context(), nil)
	if err != nil {
		t.Error(err)
	}
}

// A done topic of compacted, foreign and later records: what is no mark resolves nothing.
func TestWhatIsNoMark(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b", "c")
	r.resolve("a")
	keys, _ := r.kept()
	cl := r.client()
	put := func(key, value string) {
		t.Helper()
		rec := &kgo.Record{Topic: done, Key: []byte(key), Value: []byte(value)}
		if err := cl.ProduceSync(r.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for key := range keys {
		put(strings.Replace(key, "0/0/", "0/1/", 1)+"0", `{"offsets":"1"}`) // another topic's letter
	}
	for _, key := range []string{"", "x", "0", "-1/1/1/-", "0/1", "freed/", "freed/x", "freed/99999999999", "freed/0"} {
		for _, value := range []string{"", "x", `{}`, `{"offsets":""}`, `{"offsets":"1-"}`, `{"offsets":7}`, `{"below":"x"}`} {
			put(key, value)
		}
	}
	r.shows("b c")
	r.fake.Compact()
	r.shows("b c")
	if text := r.free(); text != "" || r.begins() != 1 {
		t.Errorf("%q, and the log begins at %d", text, r.begins())
	}
}

// Holes that compaction leaves, also at the beginning, are nothing.
func TestADoneTopicThatWasCompacted(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	r.put("a", "b", "c", "d")
	b := r.box()
	all := r.read(b)
	for range 3 {
		for _, l := range all[:3] {
			if err := b.Resolve(t.Context(), []*queue.Letter{l}); err != nil {
				t.Fatal(err)
			}
		}
		r.fake.Compact()
	}
	if _, records := r.kept(); records >= 9 {
		t.Errorf("%d records are left of 9", records)
	}
	r.shows("d")
}

// One that somebody made with several partitions is read whole.
func TestADoneTopicOfSeveralPartitions(t *testing.T) {
	t.Parallel()
	r := fake(t, 1)
	if err := r.fake.CreateTopic(done, 4, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	r.put("a", "b", "c", "d", "e", "f")
	r.resolve("a b c d e")
	r.shows("f")
	r.free()
	r.freeLater(2 * letterbox.Settled)
	r.shows("f")
	r.resolve("f")
	r.shows("")
}

func TestTheDoneTopicIsAsSafeAsTheLetters(t *testing.T) {
	t.Parallel()
	r := fake(t, 1, kfake.NumBrokers(3))
	client, err := kafka.Connect(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := r.fake.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.Setup(t.Context(), client, r.cfg, kafka.SetupOptions{Partitions: 2, Replicas: 3}); err != nil {
		t.Fatal(err)
	}
	r.put("a")
	r.resolve("a")
	info := r.fake.TopicInfo(done)
	cluster, err := client.Metadata(t.Context(), []string{done})
	if err != nil {
		t.Fatal(err)
	}
	ps := cluster.Topics[done].Partitions
	if len(ps) != 1 || len(ps[0].Replicas) != 3 {
		t.Errorf("partitions: %+v", ps)
	}
	for name, want := range map[string]string{"cleanup.policy": "compact", "min.insync.replicas": "2"} {
		if got := info.Configs[name]; got == nil || *got != want {
			t.Errorf("%s is not %s: %v", name, want, info.Configs)
		}
	}
}
