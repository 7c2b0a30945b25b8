package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
)

// A stolen instance id is an exit code of its own: whoever runs us must not simply
// start us again.
func TestATakenInstanceIDEndsTheWorkerWith69(t *testing.T) {
	t.Parallel()
	err := ended(fmt.Errorf("couldn't stay in group g: %w", kafkago.FencedInstanceID), 0)
	var c *coded
	if !errors.As(err, &c) || c.code != exitUnavailable {
		t.Errorf("%v", err)
	}
}

// partition is a strand that only has a name.
type partition string

func (p partition) Info() queue.Info   { return queue.Info{Name: string(p)} }
func (partition) Status() queue.Status { return queue.Status{} }
func (partition) Fetch(context.Context, queue.Room) ([]*queue.Delivery, error) {
	return nil, errors.New("nobody fetches here")
}

// letterTopics notes which dead letter topics were made sure of.
type letterTopics struct {
	opened []string
	err    error
}

func (l *letterTopics) Open(_ context.Context, topic string) error {
	l.opened = append(l.opened, topic)
	return l.err
}

// served notes which strands came through to the worker.
type served struct {
	queue.Host
	names []string
}

func (s *served) Serve(_ context.Context, strand queue.Strand) error {
	s.names = append(s.names, strand.Info().Name)
	return nil
}

// The dead letter topic is there before the first message of a topic is; without
// it the strand is served all the same, as its letters wait for it.
func TestCompanionTopicsAreMadeBeforeTheirStrands(t *testing.T) {
	t.Parallel()
	core, told := observer.New(zapcore.WarnLevel)
	letters := &letterTopics{}
	worker := &served{}
	host := &companiedHost{worker, &companied{companions: map[string]opener{"dead letters": letters}, log: zap.New(core)}}
	serve := func(name string) {
		if err := host.Serve(t.Context(), partition(name)); err != nil {
			t.Fatal(err)
		}
	}
	serve("logs[0]")
	serve("topic-without-partition")
	letters.err = errors.New("denied")
	serve("other[12]")
	if diff := cmp.Diff([]string{"logs", "other"}, letters.opened); diff != "" {
		t.Error(diff)
	}
	if want := []string{"logs[0]", "topic-without-partition", "other[12]"}; !slices.Equal(worker.names, want) {
		t.Errorf("served %v, want %v", worker.names, want)
	}
	if told.Len() != 1 {
		t.Errorf("%d warnings, want 1", told.Len())
	}
}

// What publish sends to Kafka has a key that the default rules can read.
func TestMessagesToKafkaAreKeyed(t *testing.T) {
	t.Parallel()
	k := packer{limit: 1 << 20, keyed: true, subject: func(protocol.Key) string { return "logs" }}
	ms, err := k.pack(&parcel{key: protocol.Key{Project: "shop", Logstore: "a/b", Config: "c"}, group: &protocol.LogGroup{}})
	if err != nil || len(ms) != 1 || string(ms[0].Key) != "shop/a%2Fb/c" || ms[0].Subject != "logs" {
		t.Errorf("%v, %+v", err, ms)
	}
	k.keyed = false
	if ms, err = k.pack(&parcel{key: testKey, group: &protocol.LogGroup{}}); err != nil || ms[0].Key != nil {
		t.Errorf("%v, %+v", err, ms)
	}
}

func TestPublishChoosesATopic(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topics []string
		flag   string
		want   string // empty: a question
	}{
		{[]string{"logs"}, "", "logs"},
		{[]string{"logs"}, "other", "other"},
		{[]string{"a", "b"}, "b", "b"},
		{[]string{"a", "b"}, "", ""},
		{nil, "", ""},
	} {
		k := &kafkaQueue{client: &kafka.Config{Topics: c.topics}}
		got, err := k.publishTopic(&publishOptions{topic: c.flag})
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%v with --topic %q: %q, %v", c.topics, c.flag, got, err)
		}
	}
}

// Nothing is dialled to describe a source.
func TestDescribeNamesBrokersTopicsAndGroup(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		client kafka.Config
		read   string
	}{
		{kafka.Config{Topics: []string{"a", "b"}, Group: "g"}, "a, b as g"},
		{kafka.Config{TopicsRegex: "logs-.*", Group: "g"}, "topics logs-.* as g"},
	} {
		c.client.Brokers = []string{"k1:9092", "k2:9092"}
		place, read := brokerOf(&configs.Config{Source: configs.Source{Kafka: &c.client}}).describe()
		if place != "kafka k1:9092,k2:9092" || read != c.read {
			t.Errorf("%q, %q", place, read)
		}
	}
}

func TestOnlyARefusalIsAReasonToAskOn(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		kafkago.GroupAuthorizationFailed: true, kafkago.TopicAuthorizationFailed: true,
		kafkago.SASLAuthenticationFailed: false, net.ErrClosed: false,
	} {
		if got := denied(fmt.Errorf("couldn't ask: %w", err)); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
