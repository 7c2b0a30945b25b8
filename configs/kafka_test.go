package configs_test

import (
	"slices"
	"testing"
	"time"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/worker"
)

const onKafka = `
source:
  kafka:
    brokers: ["k1:9092", "k2:9092"]
    topics: [logs, "logs.shop"]
    group: shop
    instance_id: pod-0
    start: 2026-01-02T15:04:05Z
    sasl: {mechanism: plain, user: flushline, password: "${env:FLUSHLINE_TEST_PASSWORD}"}
    tls: {enabled: true}
    commit: {every: 2s}
    key: [message_key, {topic: "logs.{project}"}, {message_key: "{logstore}/*"}]
    decode: {encoding: lz4}
routes:
  - name: all
    flushers: [{type: stdout}]
drain: {timeout: 55s}
`

func TestLoadReadsKafka(t *testing.T) {
	t.Setenv("FLUSHLINE_TEST_PASSWORD", "hunter2")
	c, report := configs.Parse("kafka.yaml", []byte(onKafka), testKinds(t))
	if len(report.Problems) > 0 {
		t.Fatalf("%s", report)
	}
	k := c.Source.Kafka
	if k == nil || c.Source.NATS != nil || c.Source.Embedded != nil {
		t.Fatalf("source %+v", c.Source)
	}
	want := kafka.DefaultConfig()
	if k.SASL.Password.Reveal() != "hunter2" || k.Brokers[1] != "k2:9092" || k.Topics[1] != "logs.shop" || k.InstanceID != "pod-0" ||
		k.Commit != (kafka.CommitConfig{Every: 2 * time.Second, Messages: want.Commit.Messages}) || k.Session != want.Session {
		t.Errorf("kafka %+v", k)
	}
	w := c.Worker()
	rules := []worker.KeyRule{
		{From: worker.KeyMessageKey, Pattern: "{project}/{logstore}/{config}"},
		{From: worker.KeySubject, Pattern: "logs.{project}"},
		{From: worker.KeyMessageKey, Pattern: "{logstore}/*"},
	}
	if w.Deployment != "shop" || !slices.Equal(w.Payload.Key, rules) || w.Payload.Encoding != protocol.EncodingLZ4 {
		t.Errorf("worker %+v", w)
	}
}
