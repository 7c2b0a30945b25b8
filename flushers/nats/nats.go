// Package nats is the flusher that publishes to JetStream: the LogGroups' bytes as they
// are, or logs as JSON or text. A Flush returns when the stream has acknowledged every
// message of it.
//
// # Messages
//
// With the formats loggroup, jsonl and jsonarray a message holds one group, with json
// and raw one log. Its headers are
//
//	x-log-project, x-log-logstore, x-log-config   the key, as it is
//	content-type, content-encoding                what the body is
//	Nats-Msg-Id                                   so that the stream stores it once
//	Nats-Expected-Stream                          with the option stream
//	x-flushline-origin, x-flushline-groups        the group's id, where a message is a group
//
// so another flushline that reads the stream routes each group by its key and gives it
// the id that it has here: what this one stored twice is the same data there, too.
// Headers of the message that was read are not passed on.
//
// # Once
//
// Nats-Msg-Id is the id of the group, or of the log, and a hash of the flusher entry
// and the subject. It does not change through retries, restarts, dead letters and
// replays. The stream stores nothing under an id that it has seen within its
// duplicate_window (two minutes by default), also if the message is gone: whoever
// purges a stream to fill it again waits that long, or sets dedupe to false.
//
// # What stored means
//
// The stream's leader, and with several replicas a majority, has written the message. A
// server syncs its files to the disk every two minutes (sync_interval in its
// configuration): a single one that loses power loses what it acknowledged since. A
// stream in memory loses all.
package nats

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	queue "github.com/flushline/flushline/queue/nats"
)

const summary = "Publishes LogGroups or logs to a NATS JetStream stream and awaits its acknowledgements."

// Kind is the kind "nats".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "nats",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		Idempotence:   flushers.PerGroup,
		Within:        "the stream's duplicate window",
		NoRetain:      true,
		TestedAgainst: "nats-server 2.15.2",
		Docs:          docs(),
	}
}

func newFlusher() *Flusher {
	f := &Flusher{
		Server: queue.DefaultServer(), Options: formats.Defaults(), Names: names.Defaults(),
		Compression: "none", Dedupe: true, KeepIDs: true, Timeout: 10 * time.Second,
	}
	f.Format = formats.LogGroup
	if t, err := protocol.CompileTemplate("logs.{project}.{logstore}.{config}"); err == nil {
		f.Subject = *t
	}
	return f
}

// Names are the options of names, under a name that does not hide those of formats.
type Names = names.Options

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	queue.Server

	Subject protocol.Template            `option:"subject" help:"Template of the subject. Values are percent-encoded outside A-Z a-z 0-9 _ and -, so that each stays within its token; an empty one becomes _. Placeholders: project, logstore, config, host, date, tag and content. Where a message is a group whose logs have several subjects, it is split; with format loggroup the first log decides, and content is refused." example:"logs.{project}.{logstore}"`
	Stream  string                       `option:"stream" help:"The stream that has to store the messages. Another one that listens to the subject refuses them then. Without it any stream will do." example:"ARCHIVE"`
	Headers map[string]protocol.Template `option:"headers" help:"More headers, their values templates as in subject. x-log-project, x-log-logstore and x-log-config may be given, too, for another key at the destination." example:"{x-env: prod}"`

	formats.Options
	Names

	Compression string        `option:"compression" enum:"none,gzip,zstd,lz4,snappy" help:"How the body is compressed; content-encoding says so. flushline reads all of them."`
	Dedupe      bool          `option:"dedupe" help:"Send Nats-Msg-Id, by which the stream knows within its duplicate_window what it has. false: what comes twice is stored twice."`
	KeepIDs     bool          `option:"keep_ids" help:"Send x-flushline-origin and x-flushline-groups, so that a flushline which reads the stream gives the groups the ids that they have here. Two entries that store copies of a group in one stream store one id twice."`
	Timeout     time.Duration `option:"timeout" min:"100ms" help:"How long a Flush waits for the acknowledgements. Longer than flush_timeout has no effect."`

	key      protocol.Key
	entry    string
	host     string
	writer   *formats.Writer
	encoding protocol.Encoding
	namer    *names.Namer
	shape    shape
	runtime  context.Context
	to       *destination
	release  func()
	counts   counts
}

// counts are the metrics of an entry.
type counts struct{ messages, bytes, had flushers.Counter }

// Init connects, unless another instance has, and looks at the stream. A server that is
// away is an error, to be tried again; so is a stream that acknowledges nothing.
func (f *Flusher) Init(c flushers.Context) error {
	if problems := f.Validate(); option.Failed(problems) {
		for _, p := range problems {
			if !p.Warning {
				return flushers.Misconfigured(fmt.Errorf("couldn't start the nats flusher: %s: %s", p.Path, p.Text()))
			}
		}
	}
	if err := f.prepare(c); err != nil {
		return err
	}
	m := c.Metrics()
	f.counts = counts{
		messages: m.Counter("messages_total", "Messages that a stream acknowledged."),
		bytes:    m.Counter("bytes_total", "Bytes of the bodies of messages that a stream acknowledged."),
		had:      m.Counter("duplicates_total", "Messages that a stream acknowledged and had before: it stored nothing."),
	}
	var err error
	if f.to, f.release, err = share(c, &f.Server); err != nil {
		return err
	}
	if err := f.inspect(c); err != nil {
		f.release()
		return err
	}
	return nil
}

// prepare settles what the options say, once.
func (f *Flusher) prepare(c flushers.Context) (err error) {
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	f.entry, f.runtime, f.host = flushers.Entry(c), c.GetRuntimeContext(), hostName()
	if f.writer, err = f.Compile(); err != nil {
		return err
	}
	if f.encoding, err = protocol.ParseEncoding(f.Compression); err != nil {
		return flushers.Misconfigured(err)
	}
	f.namer = names.New(&f.Subject, f.Names, names.NATSToken)
	return f.prepareHeaders()
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false while no server is reached. While one is and refuses us it is true:
// Flush then says why.
func (f *Flusher) IsReady(string, string, int64) bool { return f.to.ready() }

// Flush publishes the groups without ids: what comes twice is stored twice.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{
		Project: project, Logstore: logstore, Config: config, Groups: groups,
	})
}

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared connection.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}

// Bound is the option that flush_timeout may make useless.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }

var _ interface {
	flushers.BatchFlusher
	flushers.Bounded
	flushers.Declares
	flushers.Located
	flushers.Placed
} = (*Flusher)(nil)

// msgID is the header by which a stream knows what it has.
const msgID = nats.MsgIdHdr
