// Package elasticsearch is the flusher that stores logs in Elasticsearch or OpenSearch:
// a document a log, by bulk requests.
//
// # What stored means
//
// The server answered for each log that it created the document, or that it has one of
// that id. It has synced it by then, and given it to the replicas, unless the index says
// index.translog.durability: async. Of a repeated log that "it has one" is said by the
// primary shard alone: operation: index writes it again instead, and so waits for the
// replicas, too.
//
// # Requests
//
// The lanes of a process that go to the same addresses in the same way share bulk
// requests (flushers.GroupCommit), bulks of them at a time. Each address is asked in
// turn; one that refuses connections is left out for a second, and the next gets the
// request. What is larger than max_body, or is answered 413, is cut between two logs.
//
// # Answers
//
// Each log has an answer of its own. A group is stored when all of its logs are; else it
// fails as its worst log does, and is sent again whole, which stores nothing twice:
//
//	429, 503 and the like       tried again, later each time, or after Retry-After
//	401, 403, 404, no TLS       the lane waits until somebody mends it
//	400                         dead letter; the lane waits if any log would be answered so
//	409 to a create             stored before
//	anything else               tried again
//
// An answer that does not have as many items as the request had logs, or contradicts
// itself, is not believed.
package elasticsearch

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/names"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Stores logs as documents in Elasticsearch or OpenSearch, each once, by bulk requests that lanes share."

// Kind is the kind "elasticsearch".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "elasticsearch",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		Idempotence:   flushers.PerLog,
		Within:        "an index, and a data stream until it rolls over",
		NoRetain:      true,
		Joins:         true,
		TestedAgainst: "OpenSearch 2.19.4, Elasticsearch 7.17.28",
		Docs:          docs(),
	}
}

// The values of the option operation.
const (
	Create = "create"
	Index  = "index"
)

func newFlusher() *Flusher {
	f := &Flusher{
		Options: names.Defaults(), Operation: Create, IDs: true, Compression: "none", Timeout: 15 * time.Second,
		MaxBody: 8 << 20, Bulks: 4, JoinWait: 10 * time.Millisecond, JSON: formats.DefaultJSON(),
	}
	f.Shape, f.TimeFormat, f.FieldNames, f.TagNames = formats.Flatten, formats.RFC3339, timestamp(), withoutDots()
	return f
}

// timestamp is how the time of a log is called in documents.
func timestamp() map[string]string { return map[string]string{"time": "@timestamp"} }

// withoutDots are the tags of a group's source and topic, called so that they can stand
// beside a field host or log: host.ip is an object host there, and an index that has
// seen the one refuses the other.
func withoutDots() map[string]string {
	return map[string]string{"host.ip": "host_ip", "log.topic": "log_topic"}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	Addresses []string          `option:"addresses,required" help:"Where to post, http or https, each with a path if the cluster is below one. They are of one cluster, and used in turn. Credentials go into user, password or api_key." example:"[https://es-1.example.com:9200, https://es-2.example.com:9200]"`
	Index     protocol.Template `option:"index,required" help:"The index or data stream. A date is that of the log. Values become what an index may be called: small letters, no space nor any of \\ / * ? \" < > | , # :." example:"logs-{logstore}-{date:2006.01.02}"`
	names.Options
	Operation string `option:"operation" enum:"create,index" help:"create: a document that is there stays as it is; data streams take nothing else. index: it is written again."`
	IDs       bool   `option:"ids" help:"Name each document after its log, so that a repeated one is stored once. Without, the server names it, which is a little faster, and a repeated log is stored twice."`
	Pipeline  string `option:"pipeline" help:"The ingest pipeline of each document; default: that of the index."`

	User        string        `option:"user" help:"User of basic authentication."`
	Password    option.Secret `option:"password" help:"Password of basic authentication."`
	APIKey      option.Secret `option:"api_key" help:"Encoded API key, as the server gave it out."`
	TLS         trust.TLS     `option:"tls" help:"How https servers are trusted, and what they may know of us."`
	Compression string        `option:"compression" enum:"none,gzip" help:"How requests are compressed. gzip is all that these servers take."`

	Timeout  time.Duration `option:"timeout" min:"1ms" help:"How long one request may take, from the connection to the end of the answer. Longer than flush_timeout has no effect."`
	MaxBody  option.Bytes  `option:"max_body" min:"1KiB" max:"1GiB" help:"How large a request may be before compression, unless it is one log. Below http.max_content_length of the servers, which is 100 MiB unless it was changed."`
	Bulks    int           `option:"bulks" min:"1" max:"256" help:"Requests at a time, of all lanes of this process to these addresses."`
	JoinWait time.Duration `option:"join_wait" min:"0s" max:"5s" help:"How long a request that is not full waits for other lanes to join it."`

	formats.JSON

	Authentication *Authentication `option:"authentication,hidden" help:"iLogtail's words for user, password and tls."`

	verb     string // how an action line begins
	shape    *protocol.JSONShape
	namer    *names.Namer
	key      protocol.Key
	host     string
	cluster  *cluster
	meters   *meters
	releases []func() // the last first
	runtime  context.Context
	urgent   atomic.Bool
}

// Declare says what is left without ids.
func (f *Flusher) Declare(k *flushers.Kind) {
	if !f.IDs {
		k.Idempotence, k.Within = flushers.None, ""
	}
}

// Init checks the options and joins the connections. It does not dial: servers that are
// down are told by Flush.
func (f *Flusher) Init(c flushers.Context) error {
	if err := f.problem(); err != nil {
		return err
	}
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	f.host, _ = os.Hostname() // a template that names it says that it is missing
	f.runtime = c.GetRuntimeContext()
	f.meters = newMeters(c.Metrics())
	j := f.json()
	f.shape = j.Compile(true)
	f.verb = `{"` + f.Operation + `":{"_index":"`
	err := f.connect(c)
	if err == nil {
		err = f.prepareNames(c)
	}
	if err != nil {
		_ = f.Stop() // always nil: it leaves what was joined so far
	}
	return err
}

// prepareNames joins the names that all lanes of these addresses make of the template.
func (f *Flusher) prepareNames(c flushers.Context) error {
	n, release, err := names.Share(c, "elasticsearch", f.where(), &f.Index, f.Options, names.Index)
	if err != nil {
		return err
	}
	f.releases = append(f.releases, release)
	f.namer = n
	return nil
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false while no address can be connected to, for a second each time, and
// while a Retry-After of all of them holds.
func (f *Flusher) IsReady(string, string, int64) bool { return f.cluster.ready() }

// Flush stores the groups, without ids: it is given none.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{Project: project, Logstore: logstore, Config: config, Groups: groups})
}

// FlushBatch stores the batch, beside those of other lanes.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	j := f.encode(b)
	if len(j.docs) == 0 {
		j.body.drop()
		return j.result() // groups without logs are nothing to store
	}
	err := f.cluster.join(ctx, j, f.urgent.Load())
	if ctx.Err() == nil {
		j.body.drop() // else a request that goes on may still read it
	}
	return err
}

// BatchHint is what both servers like: some megabytes.
func (f *Flusher) BatchHint() flushers.Hint {
	return flushers.Hint{Bytes: min(4<<20, int64(f.MaxBody)/2)}
}

// SetUrgent shortens the wait for other lanes.
func (f *Flusher) SetUrgent(flag bool) { f.urgent.Store(flag) }

// Stop leaves the shared connections.
func (f *Flusher) Stop() error {
	for i := len(f.releases) - 1; i >= 0; i-- {
		f.releases[i]()
	}
	f.releases = nil
	return nil
}
