package configs

import (
	"fmt"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/file/logfile"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
	"github.com/flushline/flushline/worker"
)

// sourceBlock is the block `source`: one key for each queue.
type sourceBlock struct {
	Kafka    *kafkaBlock    `option:"kafka" help:"Topics of a Kafka cluster, read as a consumer group."`
	NATS     *natsBlock     `option:"nats" help:"JetStream consumers of a NATS server."`
	Embedded *embeddedBlock `option:"embedded" help:"A JetStream server inside the process, that other programs publish to."`
	File     *filesBlock    `option:"file" help:"Files with logs, which flushline backfill reads."`
}

// queueNames are the keys of sourceBlock.
var queueNames = []string{"kafka", "nats", "embedded", "file"}

// payloadBlock is what every queue's block has beside its own keys.
type payloadBlock struct {
	Key    *option.Node `option:"key" help:"Where the parts of a group's key are looked for, in this order; default: the x-log-* headers, then subject or topic as logs.{project}.{logstore}.{config}."`
	Decode Decode       `option:"decode" help:"How values are read when headers do not say."`
}

func defaultPayload() payloadBlock { return payloadBlock{Decode: defaultDecode()} }

func (l *loader) payload(n *option.Node, queue string, b *payloadBlock) (key []worker.KeyRule, d Decode) {
	at := n.Get(queue).Pos
	if p := n.Get(queue).Value.Get("key"); p != nil {
		at = p.Pos
	}
	return l.key(b.Key, at, queue), b.Decode
}

// kafkaBlock is `source.kafka`.
type kafkaBlock struct {
	kafka.Config
	payloadBlock
}

// Defaults are those of the two.
func (b *kafkaBlock) Defaults() { b.Config, b.payloadBlock = kafka.DefaultConfig(), defaultPayload() }

// natsBlock is `source.nats`.
type natsBlock struct {
	nats.Config
	payloadBlock
}

// Defaults are those of the two.
func (b *natsBlock) Defaults() { b.Config, b.payloadBlock = nats.DefaultConfig(), defaultPayload() }

// embeddedBlock is `source.embedded`.
type embeddedBlock struct {
	embedded.Config
	payloadBlock
}

// Defaults are those of the two.
func (b *embeddedBlock) Defaults() {
	b.Config, b.payloadBlock = embedded.DefaultConfig(), defaultPayload()
}

// filesBlock is `source.file`.
type filesBlock struct {
	logfile.Config
	payloadBlock
}

// Defaults are those of the two.
func (b *filesBlock) Defaults() {
	b.Config, b.payloadBlock = logfile.DefaultConfig(), defaultPayload()
}

// source decodes the block `source`.
func (l *loader) source(n *option.Node, at option.Pos) Source {
	var b sourceBlock
	l.decode(n, at, "source", &b)
	var given []*option.Pair
	for i := range n.Pairs {
		if option.Suggest(n.Pairs[i].Key, queueNames) != "" {
			given = append(given, &n.Pairs[i])
		}
	}
	switch {
	case len(given) > 1:
		l.errorf(given[1].Pos, "source", "run a worker for each", "source has both %s and %s: a file names one source",
			given[0].Key, given[1].Key)
	case len(given) == 0 && (n.Kind == option.Map || n.Kind == option.Null):
		l.errorf(at, "source", "write kafka:, nats:, embedded: or file: below it", "source names no queue")
	}
	var s Source
	switch {
	case b.Kafka != nil:
		s.Kafka = &b.Kafka.Config
		s.Key, s.Decode = l.payload(n, "kafka", &b.Kafka.payloadBlock)
	case b.NATS != nil:
		l.companions(at, n, b.NATS.List())
		s.NATS = &b.NATS.Config
		s.Key, s.Decode = l.payload(n, "nats", &b.NATS.payloadBlock)
	case b.Embedded != nil:
		s.Embedded = &b.Embedded.Config
		s.Key, s.Decode = l.payload(n, "embedded", &b.Embedded.payloadBlock)
	case b.File != nil:
		s.File = &b.File.Config
		s.Key, s.Decode = l.payload(n, "file", &b.File.payloadBlock)
	}
	return s
}

// messageLimit is the option that limits messages.
func (s *Source) messageLimit() string {
	switch {
	case s.Decode.MaxMessage == 0:
		return "limits.message"
	case s.Kafka != nil:
		return "source.kafka.decode.max_message"
	case s.NATS != nil:
		return "source.nats.decode.max_message"
	case s.File != nil:
		return "source.file.decode.max_message"
	}
	return "source.embedded.decode.max_message"
}

// companions must not be one another, nor a stream that is read.
func (l *loader) companions(at option.Pos, n *option.Node, consumers []nats.Consumer) {
	taken := map[string]string{}
	for _, c := range consumers {
		taken[c.Stream] = "the stream that " + c.Durable + " reads"
	}
	for i, c := range consumers {
		for _, suffix := range []string{"_DLQ", "_PARKED"} {
			name := c.Stream + "_" + c.Durable + suffix
			if other, ok := taken[name]; ok {
				pos := n.Place(at, fmt.Sprintf("nats.consumers[%d].durable", i))
				if len(consumers) == 1 {
					pos = n.Place(at, "nats.durable")
				}
				l.errorf(pos, "source.nats", "choose another durable", "the companion stream %s would also be %s", name, other)
			}
			taken[name] = "the companion of " + c.Stream + "/" + c.Durable
		}
	}
}
