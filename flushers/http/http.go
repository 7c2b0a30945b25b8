// Package http is the flusher that posts logs to a URL: as JSON, as text, or the bytes
// of the LogGroups.
//
// # Requests
//
// A Flush is one request, or one for each group or log as request and format say.
// x-log-project, x-log-logstore and x-log-config name its key, with % and what is not
// visible ASCII as %XX. The path of url, query and headers may have placeholders: logs
// that make them differ go in different requests. Groups without logs make no JSON and,
// alone, no request. Proxies of the environment are not used.
//
// # Answers
//
// The status is believed, whatever the body says.
//
//	2xx                       stored; or the statuses in success, and another 2xx is as 401
//	408, 429, 5xx             tried again, after Retry-After if it is there
//	413                       the batch is halved
//	401, 403, 404, 407        the lane waits until somebody mends it
//	3xx                       followed to the same origin if the method stays, else as 401
//	400 and closes            tried again: the request may have been cut; dead letter the third
//	                          time that the line worked meanwhile, or 10 s after the last
//	any other 400             asked once more, on another connection, for the same reason
//	other 4xx                 dead letter, with the first KiB of the answer
//	a certificate or TLS      as 401
//	no answer                 tried again; it may have been stored
//
// Credentials and headers never go to another origin than that of the URL.
package http

import (
	"context"
	"fmt"
	nethttp "net/http"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Posts logs to a URL as JSON, text or LogGroup bytes; any 2xx answer means stored."

// Kind is the kind "http".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:          "http",
		Summary:       summary,
		New:           func() flushers.Flusher { return newFlusher() },
		NoRetain:      true,
		TestedAgainst: "net/http servers on loopback",
		Docs:          docs(),
	}
}

// The values of the option request.
const (
	perBatch = "batch"
	perGroup = "group"
)

func newFlusher() *Flusher {
	return &Flusher{
		Method: nethttp.MethodPost, Options: formats.Defaults(), Request: perBatch, Compression: "none",
		Timeout: 15 * time.Second, InFlight: 1, MaxIdleConns: 64, IdleConnTimeout: 90 * time.Second,
		Sign: Sign{SignatureHeader: "X-Flushline-Signature", TimestampHeader: "X-Flushline-Timestamp"},
	}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	URL     string                   `option:"url,required" alias:"RemoteURL" help:"Where to send to, http or https. Its path may have placeholders, whose values are percent-encoded. Credentials go into user, password, token, headers or query." example:"https://logs.example.com/ingest/{logstore}"`
	Method  string                   `option:"method" enum:"POST,PUT,PATCH" help:"The method of each request."`
	Headers map[string]option.Secret `option:"headers" help:"Headers of each request; they may have placeholders, in whose values %, spaces and what is not visible ASCII become %XX. Their values are never shown, as many carry a credential." example:"{X-Tenant: \"{tag.tenant}\"}"`
	Query   map[string]option.Secret `option:"query" help:"Parameters of each request's URL, beside those that url has; they may have placeholders. Their values are never shown." example:"{day: \"{date:2006-01-02}\"}"`
	Missing string                   `option:"missing_field" help:"What stands in url, query and headers for a tag or content that a log does not have. Without it such a log is refused, and its group is a dead letter." example:"none"`
	formats.Options
	Request     string `option:"request" enum:"batch,group" help:"batch: all groups of a batch in one request. group: a request for each group, so that a failure is that of its group. Formats json and raw make a request for each log."`
	Compression string `option:"compression" enum:"none,gzip,zstd,snappy" help:"How the body is compressed; content-encoding says so. snappy is the block format."`
	Success     []int  `option:"success" help:"The statuses that mean stored, 200 to 299 and 400 to 499; default: any 2xx. With it, a 2xx that it does not name is taken for a wrong configuration." example:"[200, 202]"`
	Sign        Sign   `option:"sign" help:"Signs each request, so that the server can tell who made it and that nobody changed it."`
	Idempotency string `option:"idempotency_header" help:"Name of a header that carries 32 hexadecimal digits, the same for the same logs sent to the same URL in the same format: by it the server can drop what it has already. They are stable for each group with request: group, and for each log with the formats json and raw." example:"Idempotency-Key"`

	Timeout         time.Duration `option:"timeout" min:"1ms" help:"How long one request may take, from the connection to the end of the answer. Longer than flush_timeout has no effect."`
	InFlight        int           `option:"concurrent" alias:"Concurrency" min:"1" max:"256" help:"Requests of a lane at a time. More than 1 gives up the order of batches, and with request: group or a request for each log the order within a batch."`
	MaxIdleConns    int           `option:"max_idle_conns" alias:"MaxIdleConnsPerHost" min:"1" help:"Connections kept open to this host while no request runs. All entries with the same host, TLS and connection options share them."`
	MaxConns        int           `option:"max_conns" alias:"MaxConnsPerHost" min:"0" help:"Connections to this host at a time; requests wait for one. 0: no limit."`
	IdleConnTimeout time.Duration `option:"idle_conn_timeout" min:"1ms" help:"How long a connection is kept open while no request runs on it."`
	User            string        `option:"user" help:"User of basic authentication."`
	Password        option.Secret `option:"password" help:"Password of basic authentication."`
	Token           option.Secret `option:"token" help:"Token of bearer authentication."`
	TLS             trust.TLS     `option:"tls" help:"How an https server is trusted, and what it may know of us."`

	encoding   protocol.Encoding
	writer     *formats.Writer
	key        protocol.Key
	templates  *templates
	header     nethttp.Header // of all requests, but for what has placeholders
	hostname   string         // of {host}
	fixed      *place         // of all requests, if nothing has placeholders
	dest       *web.Destination
	release    func()
	runtime    context.Context
	slots      chan struct{} // of the requests in flight
	size       atomic.Int64  // of the last body: the next is about as large
	unreadyTil atomic.Int64  // of package clock; from Retry-After
	doubts     doubts
	counts     counts
}

// counts are what operators ask of a kind that sends requests.
type counts struct{ requests, bytes flushers.Counter }

// Init checks the options and joins the connections to the host. It does not
// dial: a destination that is down is told by Flush.
func (f *Flusher) Init(c flushers.Context) error {
	if problems := f.Validate(); option.Failed(problems) {
		p := &problems[0]
		return flushers.Misconfigured(fmt.Errorf("couldn't start the http flusher: %s: %s", p.Path, p.Text()))
	}
	var err error
	if f.encoding, err = protocol.ParseEncoding(f.Compression); err != nil {
		return flushers.Misconfigured(err)
	}
	if f.writer, err = f.Compile(); err != nil {
		return err
	}
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	if err = f.prepare(); err != nil {
		return flushers.Misconfigured(err)
	}
	m := c.Metrics()
	f.counts = counts{
		requests: m.Counter("requests_total", "Requests that were answered."),
		bytes:    m.Counter("bytes_total", "Bytes of the bodies of requests that were answered with success, as they were sent."),
	}
	f.slots = make(chan struct{}, f.InFlight)
	f.runtime = c.GetRuntimeContext()
	f.dest, f.release, err = web.Share(c, "http", web.Options{
		BaseURL: f.origin(), TLS: f.TLS,
		MaxIdleConns: f.MaxIdleConns, MaxConns: f.MaxConns, IdleTimeout: f.IdleConnTimeout,
	})
	return err
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// Declare says that bytes are all that is needed of a group which is sent as it is.
func (f *Flusher) Declare(k *flushers.Kind) {
	t, problems := f.compile()
	k.Raw = f.Format == formats.LogGroup && len(problems) == 0 && !t.fields
}

// Concurrent is how many calls of Flush may run at a time.
func (f *Flusher) Concurrent() int { return f.InFlight }

// IsReady is false while a Retry-After holds, and for a second after a
// connection to the host could not be made.
func (f *Flusher) IsReady(string, string, int64) bool {
	return clock.Now() >= f.unreadyTil.Load() && f.dest.Ready()
}

// Flush sends the groups.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{
		Project: project, Logstore: logstore, Config: config, Groups: groups,
	})
}

// FlushBatch sends the batch.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	if mutant.On(mutant.HTTPEarly) {
		go func() { _ = f.flush(context.WithoutCancel(ctx), b) }()
		return nil
	}
	return f.flush(ctx, b)
}

// BatchHint stays below the limit that many servers set by default.
func (f *Flusher) BatchHint() flushers.Hint { return flushers.Hint{Bytes: 1 << 20} }

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared connections.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}
