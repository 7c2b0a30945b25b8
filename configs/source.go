package configs

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/nats/embedded"
)

// sourceBlock is the block `source`: one key for each queue.
type sourceBlock struct {
	Kafka    *kafkaBlock    `option:"kafka" help:"Topics of a Kafka cluster, read as a consumer group."`
	NATS     *natsBlock     `option:"nats" help:"JetStream consumers of a NATS server."`
	Embedded *embeddedBlock `option:"embedded" help:"A JetStream server inside the process, that other programs publish to."`
}

// queueNames are the keys of sourceBlock and of what later versions will read.
var queueNames = []string{"kafka", "nats", "embedded", "file"}

// ForeignKeys are the queues this version does not have.
func (s *sourceBlock) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{{Name: "file", Why: "this version reads from kafka, nats and embedded only", Refuse: true}}
}

// payloadBlock is what every queue's block has beside its own keys.
type payloadBlock struct {
	Key    Key    `option:"key" help:"Where a group's key is found when headers leave it open."`
	Decode Decode `option:"decode" help:"How values are read when headers do not say."`
}

func defaultPayload() payloadBlock { return payloadBlock{Key: defaultKey(), Decode: defaultDecode()} }

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
		l.errorf(at, "source", "write kafka:, nats: or embedded: below it", "source names no queue")
	}
	switch {
	case b.Kafka != nil:
		return Source{Kafka: &b.Kafka.Config, Key: b.Kafka.Key, Decode: b.Kafka.Decode}
	case b.NATS != nil:
		l.companions(at, n, b.NATS.List())
		return Source{NATS: &b.NATS.Config, Key: b.NATS.Key, Decode: b.NATS.Decode}
	case b.Embedded != nil:
		return Source{Embedded: &b.Embedded.Config, Key: b.Embedded.Key, Decode: b.Embedded.Decode}
	}
	return Source{}
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

// Validate checks the patterns.
func (k *Key) Validate() []option.Problem {
	var problems []option.Problem
	for _, p := range []struct{ path, pattern, separator string }{
		{"subject", k.Subject, "."}, {"message_key", k.MessageKey, "/"},
	} {
		if err := checkPattern(p.pattern, p.separator); err != nil {
			problems = append(problems, option.Errorf(p.path, "%s %q: %v", p.path, p.pattern, err))
		}
	}
	return problems
}

// checkPattern reads a pattern such as "logs.{project}.{logstore}.{config}": each
// token is a part of the key, a star, or literal text.
func checkPattern(pattern, separator string) error {
	if pattern == "" {
		return nil
	}
	seen := map[string]bool{}
	for token := range strings.SplitSeq(pattern, separator) {
		name, isPart := strings.CutPrefix(token, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case token == "":
			return fmt.Errorf("there is an empty token")
		case !isPart && !strings.ContainsAny(token, "{}"):
			continue
		case !isPart || !closed || strings.ContainsAny(name, "{}"):
			return fmt.Errorf("%q is neither text nor a part such as {project}: a part fills a whole token", token)
		case name != "project" && name != "logstore" && name != "config":
			return fmt.Errorf("%s is no part of a key: use {project}, {logstore} and {config}", token)
		case seen[name]:
			return fmt.Errorf("%s stands twice", token)
		}
		seen[name] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("it names no part of the key: use {project}, {logstore} and {config}")
	}
	return nil
}
