// Package kafka is the flusher that stores logs in topics of Apache Kafka: the bytes of
// the LogGroups as they came, JSON, or the text of a field.
//
// # Stored
//
// A record is stored when all replicas in sync have it (acks=all), of which there are at
// least min.insync.replicas of the topic: 2 of 3 replicas survive the loss of any one
// broker. Set that at the topic; a topic with one replica is as safe as its broker.
//
// # Records
//
// One record for a group (loggroup, jsonl, jsonarray) or for a log (json, raw). Its
// headers are x-log-project, x-log-logstore and x-log-config, so that another flushline
// which reads the topic finds the key, and content-type. A group that is passed on as it
// came has x-flushline-origin and x-flushline-groups, too: whoever reads it gives it the
// ids that it had here, so that a destination behind it which knows ids stores it once,
// also when it came twice into the topic. Other formats have no such header, because what
// is made of them elsewhere is another group.
//
// # Twice
//
// There is no idempotent producer: a request whose answer was lost is sent again, and a
// worker that was killed leaves what it had not acknowledged to the next. So records may
// stand in the topic twice, never less than once.
//
// # Together
//
// Lanes share connections and requests: see package producer.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/kafka/producer"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

const summary = "Stores LogGroups or logs in Kafka topics; stored means that all replicas in sync have them."

// Kind is the kind "kafka".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "kafka",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		NoRetain:      true,
		Joins:         true,
		TestedAgainst: "Apache Kafka 4.3.1",
		Docs:          docs(),
	}
}

func newFlusher() *Flusher {
	f := &Flusher{
		Options: formats.Defaults(), Names: names.Defaults(),
		ClientID: "flushline", Compression: "none", Headers: map[string]protocol.Template{},
		BatchBytes: 1 << 20, Timeout: 15 * time.Second, Concurrency: 1, Origin: true,
	}
	f.Format = formats.LogGroup
	return f
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	Brokers []string          `option:"brokers,required" help:"Some brokers of the cluster, host:port; the others are found through them." example:"[kafka-1:9092]"`
	Topic   protocol.Template `option:"topic,required" help:"The topic; it has to exist. Placeholders: project, logstore, config, host, tag, and with the formats json and raw also content and date. What a topic's name cannot hold is replaced." example:"logs-{project}"`
	Names

	formats.Options

	Key         []string                     `option:"key" alias:"HashKeys" help:"What the key of a record is made of, in this order: project, logstore, config, host, source, topic, tag.NAME, and with the formats json and raw content.NAME. One field is the key as it is, several are joined by ###; one that is missing is empty, and a record without any of them has no key." example:"tag.app"`
	Partitioner string                       `option:"partitioner" alias:"PartitionerType" enum:"hash,random,roundrobin" help:"Which partition a record goes to. hash: by the murmur2 of its key, as the Java client has it (default with key). random: any, the same until a batch is full (default without key). roundrobin: each record to the next, which makes many small batches."`
	Headers     map[string]protocol.Template `option:"headers" help:"Headers of each record, beside those that say what it is. Placeholders as in topic; one whose field is missing leaves the header out." example:"{env: prod, app: \"{tag.app}\"}"`
	Origin      bool                         `option:"origin" help:"Whether groups of the format loggroup carry x-flushline-origin and x-flushline-groups, by which another flushline knows them again."`

	Compression      string        `option:"compression" enum:"none,gzip,snappy,lz4,zstd" help:"How batches are compressed. Kafka stores them so, and every consumer can read them."`
	CompressionLevel int           `option:"compression_level" min:"0" max:"22" help:"Level of gzip (1 to 9) or zstd (1 to 22); 0: the codec's default."`
	BatchBytes       option.Bytes  `option:"batch_bytes" min:"16KiB" max:"100MiB" help:"Records of one partition that are sent as one batch, before compression. A batch of several that the topic finds too large (max.message.bytes) is halved."`
	MaxMessageBytes  option.Bytes  `option:"max_message_bytes" min:"0" max:"1GiB" help:"A larger record becomes a dead letter without being sent; 0: the topic decides (max.message.bytes)."`
	Timeout          time.Duration `option:"timeout" min:"1ms" help:"How long a Flush may take: asking who leads a partition, waiting for its turn, and the replicas. Longer than flush_timeout has no effect."`
	Concurrency      int           `option:"concurrency" min:"1" max:"64" help:"Flush calls of one lane at a time. More than 1 gives up the order of a lane."`

	ClientID             string          `option:"client_id" alias:"ClientID" help:"Client name shown in the brokers' logs and quotas."`
	SASL                 wire.SASLConfig `option:"sasl" help:"Who we are, to brokers that ask by SASL."`
	AllowPlainWithoutTLS bool            `option:"allow_plain_without_tls" help:"Let the mechanism plain send the password over connections without TLS, where everybody on the way can read it."`
	TLS                  wire.TLSConfig  `option:"tls" help:"TLS; used if a field is set."`
	Authentication       *Authentication `option:"authentication,hidden" help:"iLogtail's words for sasl and tls."`

	key      protocol.Key
	host     string
	writer   *formats.Writer
	topics   *names.Namer
	fields   []field
	headers  []queue.Header    // of every record
	filled   []templatedHeader // that differ from record to record
	turn     bool
	runtime  context.Context
	producer *producer.Producer
	release  func()
	metrics  metrics
}

// Names are the options of names that are made of what logs say.
type Names = names.Options

// metrics count what the worker does not see.
type metrics struct{ records, bytes, failed flushers.Counter }

// Init checks the options and joins the way to the cluster. It does not dial: brokers
// that are away are told by Flush.
func (f *Flusher) Init(c flushers.Context) error {
	if problems := f.Validate(); option.Failed(problems) {
		p := &problems[0]
		return flushers.Misconfigured(fmt.Errorf("couldn't start the kafka flusher: %s: %s", p.Path, p.Text()))
	}
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	f.runtime = c.GetRuntimeContext()
	var err error
	if f.host, err = os.Hostname(); err != nil && f.Topic.Uses("host") {
		return flushers.Misconfigured(fmt.Errorf("couldn't find the host name for topic: %w", err))
	}
	if f.writer, err = f.Compile(); err != nil {
		return err
	}
	if f.fields, err = readFields(f.Key); err != nil {
		return flushers.Misconfigured(err)
	}
	f.turn = f.Partitioner == "roundrobin"
	f.prepareHeaders()
	m := c.Metrics()
	f.metrics = metrics{
		records: m.Counter("records_total", "Records that were stored."),
		bytes:   m.Counter("record_bytes_total", "Bytes of the values of records that were stored, before compression."),
		failed:  m.Counter("record_failures_total", "Records that were not stored, or whose answer did not come; those that are tried again count again."),
	}
	var leaveNames, leaveProducer func()
	f.topics, leaveNames, err = names.Share(c, "kafka", strings.Join(f.Brokers, ","), &f.Topic, f.Names, names.KafkaTopic)
	if err != nil {
		return err
	}
	if f.producer, leaveProducer, err = f.connect(c); err != nil {
		leaveNames()
		return err
	}
	f.release = func() { leaveProducer(); leaveNames() }
	return nil
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false for a second after no broker answered, and while a quota of theirs
// asks us to wait.
func (f *Flusher) IsReady(string, string, int64) bool { return f.producer.Ready() }

// Flush stores the groups.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{Project: project, Logstore: logstore, Config: config, Groups: groups})
}

// FlushBatch stores the batch. A PartialError names the groups that are not stored; of
// a group with a record for each log some records may be.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	if ctx == nil {
		return errors.New("couldn't flush before Init")
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	load := f.load(b)
	defer load.release()
	f.producer.Deliver(ctx, load.messages)
	return load.result(&f.metrics)
}

// Concurrent is the option concurrency.
func (f *Flusher) Concurrent() int { return f.Concurrency }

// BatchHint fills a request.
func (f *Flusher) BatchHint() flushers.Hint { return flushers.Hint{Bytes: 4 << 20} }

// Declare says that groups which are passed on as they came need not be decoded.
func (f *Flusher) Declare(k *flushers.Kind) { k.Raw = f.passesOn() }

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared connections.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}
