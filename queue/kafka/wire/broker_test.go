package wire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/segmentio/kafka-go/compress"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// TestSecuredBrokerExplainsItself meets one real broker with every mistake of TLS
// and SASL that people make.
func TestSecuredBrokerExplainsItself(t *testing.T) {
	b := kafkabroker.Start(t, kafkabroker.Options{
		TLS: true, ClientCerts: true, SASL: []string{kafkabroker.Plain, kafkabroker.ScramSHA512},
		Props: map[string]string{"connections.max.reauth.ms": "2000"},
	})
	certs := b.Certs()
	trust := wire.TLSConfig{CA: certs.CA, Cert: certs.Client, Key: certs.Key}
	but := func(change func(*wire.TLSConfig)) *wire.TLSConfig {
		cfg := trust
		change(&cfg)
		return &cfg
	}
	user := func(mechanism, password string) wire.SASLConfig { return sasl(mechanism, kafkabroker.User, password) }
	good := user("scram-sha-512", kafkabroker.Password)
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		brokers string
		tls     *wire.TLSConfig
		sasl    wire.SASLConfig
		code    kafka.Error
		says    string
		advice  string
	}{
		{name: "scram", tls: &trust, sasl: good},
		{name: "plain", tls: &trust, sasl: user("plain", kafkabroker.Password)},
		{name: "wrong password", tls: &trust, sasl: user("scram-sha-512", "guess"), code: kafka.SASLAuthenticationFailed, says: "not signed in", advice: "sasl.password"},
		{name: "wrong password, plain", tls: &trust, sasl: user("plain", "guess"), code: kafka.SASLAuthenticationFailed, says: "not signed in", advice: "sasl.password"},
		{name: "mechanism not offered", tls: &trust, sasl: user("scram-sha-256", kafkabroker.Password), code: kafka.UnsupportedSASLMechanism, says: "SCRAM-SHA-512", advice: "sasl.mechanism"},
		{name: "no sasl", tls: &trust, says: "no answer after the handshake", advice: "fill sasl"},
		{name: "no tls", sasl: good, says: "no answer to the first request", advice: "fill tls"},
		{name: "unknown ca", tls: but(func(c *wire.TLSConfig) { c.CA = certs.OtherCA }), sasl: good, says: "no TLS connection", advice: "tls.ca"},
		{name: "system's authorities", tls: &wire.TLSConfig{Enabled: true}, sasl: good, says: "no TLS connection", advice: "tls.ca"},
		{name: "wrong host", tls: but(func(c *wire.TLSConfig) { c.ServerName = "kafka.example" }), sasl: good, says: "no TLS connection", advice: "tls.server_name"},
		{name: "no client certificate", tls: &wire.TLSConfig{CA: certs.CA}, sasl: good, says: "no answer to the first request", advice: "tls.cert"},
		{name: "any certificate", tls: but(func(c *wire.TLSConfig) { c.CA, c.InsecureSkipVerify = "", true }), sasl: good},
		{name: "other name of the broker", brokers: "localhost:" + port, tls: &trust, sasl: good},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.brokers == "" {
				test.brokers = b.Addr()
			}
			c := client(t, wire.Config{Brokers: []string{test.brokers}, TLS: test.tls, SASL: test.sasl})
			_, err := c.Metadata(within(t, 20*time.Second), []string{})
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), test.brokers) {
				t.Errorf("the error is %v, without %q", err, test.says)
			}
			if got := wire.Advice(err); !strings.Contains(got, test.advice) {
				t.Errorf("the advice is %q, without %q", got, test.advice)
			}
			if code, _ := wire.Code(err); code != test.code {
				t.Errorf("the code is %d", code)
			}
		})
	}
	outlivesItsSession(t, b.Addr(), wire.Config{TLS: &trust, SASL: good})
}

// A SASL session ends while its connection lives: the broker closes the connection
// under the next request, so a new one has to be made before.
func outlivesItsSession(t *testing.T, addr string, cfg wire.Config) {
	t.Helper()
	var dials atomic.Int32
	cfg.Brokers = []string{addr}
	cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	c, ctx := client(t, cfg), within(t, 60*time.Second)
	for first := int32(0); first == 0 || dials.Load() < first+2; {
		if _, err := c.APIVersions(ctx, addr); err != nil {
			t.Fatal("a call failed for the end of a session: ", err)
		}
		if first == 0 {
			first = dials.Load()
		}
	}
}

// TestOpenBrokerExplainsItself meets a broker that asks nothing with TLS and SASL.
func TestOpenBrokerExplainsItself(t *testing.T) {
	b := kafkabroker.Shared(t)
	_, err := client(t, wire.Config{Brokers: b.Bootstrap(), TLS: &wire.TLSConfig{Enabled: true}}).Metadata(within(t, 20*time.Second), nil)
	if !strings.Contains(wire.Advice(err), "remove tls") {
		t.Errorf("%v: %s", err, wire.Advice(err))
	}
	cfg := wire.Config{Brokers: b.Bootstrap(), SASL: sasl("scram-sha-256", "u", "p")}
	_, err = client(t, cfg).Metadata(within(t, 20*time.Second), nil)
	if !strings.Contains(wire.Advice(err), "remove sasl") || !wire.IsPermanent(err) {
		t.Errorf("%v: %s", err, wire.Advice(err))
	}
}

// TestRealBrokerTakesEveryCall runs through what setup and dead letters do.
func TestRealBrokerTakesEveryCall(t *testing.T) {
	b := kafkabroker.Shared(t)
	c := client(t, wire.Config{Brokers: b.Bootstrap(), ClientID: "wire-test"})
	ctx, addr := within(t, 60*time.Second), b.Addr()
	if err := c.CheckVersions(ctx, addr); err != nil {
		t.Fatal(err)
	}
	// The records are of 2023: without the limit on age they would be gone.
	topic := wire.NewTopic{Name: "every-call", Partitions: 2, Replicas: 1, Configs: map[string]string{"retention.ms": "-1", "compression.type": "producer"}}
	none := func(failed map[string]error, err error) {
		t.Helper()
		if err != nil || len(failed) > 0 {
			t.Fatal(err, failed)
		}
	}
	none(c.CreateTopics(ctx, addr, []wire.NewTopic{topic}, true))
	none(c.CreateTopics(ctx, addr, []wire.NewTopic{topic}, false))
	again, err := c.CreateTopics(ctx, addr, []wire.NewTopic{topic, {Name: "no/name", Partitions: 1, Replicas: 1}, {Name: "wide", Partitions: 1, Replicas: 5}}, false)
	if err != nil || !errors.Is(again["every-call"], kafka.TopicAlreadyExists) || !errors.Is(again["no/name"], kafka.InvalidTopic) || !errors.Is(again["wide"], kafka.InvalidReplicationFactor) {
		t.Error(err, again)
	}
	r := wire.TopicResource("every-call")
	changed, err := c.AlterConfigs(ctx, addr, []wire.Change{{Resource: r, Set: map[string]string{"retention.bytes": "1000000"}, Unset: []string{"compression.type"}}}, false)
	if err != nil || len(changed) > 0 {
		t.Error(err, changed)
	}
	wrong, err := c.AlterConfigs(ctx, addr, []wire.Change{{Resource: r, Set: map[string]string{"retention.bytes": "many"}}}, true)
	if err != nil || !errors.Is(wrong[r], kafka.InvalidConfiguration) {
		t.Error(err, wrong)
	}
	node := wire.BrokerResource(1)
	settings := must(c.DescribeConfigs(ctx, addr, []wire.Resource{r, node, wire.TopicResource("absent")}))(t)
	for settings[r].Values["retention.bytes"].Value != "1000000" { // brokers hear of it later than the controller
		settings = must(c.DescribeConfigs(ctx, addr, []wire.Resource{r, node, wire.TopicResource("absent")}))(t)
	}
	if got := settings[r].Values["retention.bytes"]; got.Default {
		t.Errorf("retention.bytes is %+v", got)
	}
	if got := settings[r].Values["compression.type"]; !got.Default {
		t.Errorf("compression.type is %+v", got)
	}
	if got := settings[node].Values["group.min.session.timeout.ms"]; got.Value != "1000" {
		t.Errorf("the broker's setting is %+v", got)
	}
	if err := settings[wire.TopicResource("absent")].Err; !errors.Is(err, kafka.UnknownTopicOrPartition) {
		t.Errorf("the configuration of a topic that does not exist gave %v", err)
	}
	waitForLeaders(t, c, "every-call", 2)
	stored(t, b, c)
	p := wire.TopicPartition{Topic: "every-call"}
	gone := must(c.DeleteRecords(ctx, addr, []wire.DeleteBefore{{TopicPartition: p, Offset: 3}}))(t)
	if gone[p].Err != nil || gone[p].LogStart != 3 {
		t.Errorf("deleting records gave %+v", gone[p])
	}
	none(c.DeleteTopics(ctx, addr, []string{"every-call"}))
	absent, err := c.DeleteTopics(ctx, addr, []string{"never-was"})
	if err != nil || !errors.Is(absent["never-was"], kafka.UnknownTopicOrPartition) {
		t.Error(err, absent)
	}
}

func waitForLeaders(t *testing.T, c *wire.Client, topic string, partitions int) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	for {
		meta := must(c.Metadata(ctx, []string{topic}))(t)
		led := 0
		for _, p := range meta.Topics[topic].Partitions {
			if p.Err == nil && p.Leader >= 0 {
				led++
			}
		}
		if led == partitions {
			return
		}
	}
}

// stored produces a record with each codec, and another client reads them.
func stored(t *testing.T, b *kafkabroker.Cluster, c *wire.Client) {
	t.Helper()
	ctx := within(t, 30*time.Second)
	p := wire.TopicPartition{Topic: "every-call"}
	when := time.UnixMilli(1700000000123)
	var want []string
	for i, codec := range []compress.Compression{compress.None, compress.Gzip, compress.Snappy, compress.Lz4, compress.Zstd} {
		batch := wire.Batch{TopicPartition: p, Compression: codec, Records: []wire.Record{
			{Key: []byte("k"), Value: bytes.Repeat([]byte{byte(i)}, 5000), Time: when, Headers: []queue.Header{{Key: "h", Value: "v"}, {Key: "empty"}}},
			{Value: []byte{}, Time: when.Add(-time.Second)},
		}}
		got := must(c.Produce(ctx, b.Addr(), []wire.Batch{batch}))(t)
		if got[p].Err != nil || got[p].Offset != int64(2*i) {
			t.Fatalf("%s: %+v", codec, got[p])
		}
		want = append(want, fmt.Sprintf("k %d 1700000000123 h=v empty=", 5000), "<nil> 0 1699999999123")
	}
	reader := b.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{p.Topic: {0: kgo.NewOffset().AtStart()}}))
	defer reader.Close()
	var got []string
	for len(got) < len(want) {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, shown(r)) })
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	large := wire.Batch{TopicPartition: p, Records: []wire.Record{{Value: make([]byte, 2<<20)}}}
	refused := must(c.Produce(ctx, b.Addr(), []wire.Batch{large, {TopicPartition: wire.TopicPartition{Topic: "every-call", Partition: 9}, Records: large.Records[:1]}}))(t)
	if !errors.Is(refused[p].Err, kafka.MessageSizeTooLarge) {
		t.Errorf("2 MiB gave %+v", refused[p])
	}
}

func shown(r *kgo.Record) string {
	key := "<nil>"
	if r.Key != nil {
		key = string(r.Key)
	}
	s := fmt.Sprintf("%s %d %d", key, len(r.Value), r.Timestamp.UnixMilli())
	for _, h := range r.Headers {
		if h.Value == nil {
			s += " " + h.Key + "=<nil>"
		} else {
			s += " " + h.Key + "=" + string(h.Value)
		}
	}
	return s
}

// Longer metadata would come back cut off, or be lost in other clients.
func TestMetadataOfACommitHasALimit(t *testing.T) {
	b := kafkabroker.Shared(t)
	b.CreateTopic(t, "metadata-limit", 1, 1, nil)
	t.Cleanup(func() { b.DeleteTopic(t, "metadata-limit") })
	c := client(t, wire.Config{Brokers: b.Bootstrap()})
	ctx := within(t, 30*time.Second)
	p := wire.TopicPartition{Topic: "metadata-limit"}
	m := wire.Membership{Group: "metadata-limit", Generation: -1}
	var at wire.Broker
	for {
		var err error
		if at, err = c.Coordinator(ctx, m.Group); err == nil {
			break
		}
		if !wire.IsCoordinatorMoved(err) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	commit := func(length int) (map[wire.TopicPartition]error, error) {
		for {
			failed, err := c.Commit(ctx, at.Addr(), m, []wire.CommitPartition{{TopicPartition: p, Offset: 1, Metadata: strings.Repeat("x", length)}})
			if err == nil && wire.IsCoordinatorMoved(failed[p]) && ctx.Err() == nil {
				continue // still loading
			}
			return failed, err
		}
	}
	if failed, err := commit(4096); err != nil || len(failed) != 0 {
		t.Error(err, failed)
	}
	if failed, err := commit(4097); err != nil || !errors.Is(failed[p], kafka.OffsetMetadataTooLarge) {
		t.Error(err, failed)
	}
	if _, err := commit(1 << 15); err == nil {
		t.Error("metadata that does not fit was sent")
	}
	found := must(c.Committed(ctx, at.Addr(), m.Group, []wire.TopicPartition{p}))(t)
	if len(found[p].Metadata) != 4096 {
		t.Errorf("%d characters came back", len(found[p].Metadata))
	}
}
