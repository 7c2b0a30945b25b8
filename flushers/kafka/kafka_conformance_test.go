package kafka_test

import (
	"math/rand/v2"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/protocol"
)

// Not parallel: the variants share a broker and break it.
func TestConformance(t *testing.T) {
	broker := &proxied{t: t}
	for _, c := range []struct {
		name       string
		partitions int
		options    map[string]any
	}{
		{"loggroups", 3, nil},
		{"zstd lines by key", 3, map[string]any{"format": "jsonl", "compression": "zstd", "key": []any{"project", "tag.host"}}},
		{"gzip logs in turn", 2, map[string]any{"format": "json", "compression": "gzip", "partitioner": "roundrobin", "concurrency": 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			flushertest.Run(t, kafka.Kind(), flushertest.Harness{Start: func(tb testing.TB) flushertest.Target {
				to, topic := broker.target(tb, c.partitions, c.options)
				set := func(key, value string) func() {
					return func() { broker.c.SetTopic(tb, topic, map[string]string{key: value}) }
				}
				to.Poison = fatten
				to.InitFails = []map[string]any{{"tls": map[string]any{"ca": "no/such/file.pem"}}}
				to.Answers = map[flushers.Class]func(){
					flushers.ClassTooLarge: set("max.message.bytes", "100"),
				}
				if c.options["key"] == nil {
					to.Answers[flushers.ClassMisconfigured] = set("cleanup.policy", "compact")
				}
				heal := to.Heal
				to.Heal = func() {
					broker.c.SetTopic(tb, topic, map[string]string{"max.message.bytes": "", "cleanup.policy": ""})
					heal()
				}
				return to
			}})
		})
	}
}

// fatten makes a group that no topic takes by default, however well it is compressed.
func fatten(g *protocol.LogGroup) {
	noise := make([]byte, 2<<20)
	source := rand.NewChaCha8([32]byte{})
	_, _ = source.Read(noise) // never fails
	for i := range noise {
		noise[i] = 'a' + noise[i]%26
	}
	g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: "noise", Value: string(noise)})
}
