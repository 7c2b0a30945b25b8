// Package http is the flusher that posts logs to a URL: JSON lines, or the bytes
// of the LogGroups.
//
// # Requests
//
// A Flush is one POST. x-log-project, x-log-logstore and x-log-config name its
// key, with % and what is not visible ASCII as %XX. Groups without logs make no
// JSON lines and, alone, no request. Proxies of the environment are not used.
//
// # Answers
//
//	2xx                       stored
//	408, 429, 5xx             tried again, after Retry-After if it is there
//	413                       the batch is halved
//	401, 403, 404, 407        the lane waits until somebody mends it
//	3xx                       followed to the same origin if it stays a POST, else as 401
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
	"github.com/flushline/flushline/flushers/trust"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Posts logs to a URL as JSON lines or LogGroup bytes; any 2xx answer means stored."

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

// The values of the option format.
const (
	FormatJSONLines = "jsonl"
	FormatLogGroup  = "loggroup"
)

func newFlusher() *Flusher {
	return &Flusher{Format: FormatJSONLines, Compression: "none", Timeout: 15 * time.Second, MaxIdleConns: 64}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	URL          string                   `option:"url,required" alias:"RemoteURL" help:"Where to post, http or https. Credentials go into user, password or token." example:"https://logs.example.com/ingest"`
	Headers      map[string]option.Secret `option:"headers" help:"Headers of each request. Their values are never shown, as many carry a credential." example:"{X-Tenant: shop}"`
	Format       string                   `option:"format" enum:"jsonl,loggroup" help:"jsonl: a JSON object a line and log, as iLogtail's custom_single. loggroup: protobuf, a LogGroup or for several groups a LogGroupList; content-type says which."`
	Compression  string                   `option:"compression" enum:"none,gzip,zstd" help:"How the body is compressed; content-encoding says so."`
	Timeout      time.Duration            `option:"timeout" min:"1ms" help:"How long one request may take, from the connection to the end of the answer. Longer than flush_timeout has no effect."`
	MaxIdleConns int                      `option:"max_idle_conns" alias:"MaxIdleConnsPerHost" min:"1" help:"Connections kept open to this host while no request runs. All entries with the same host and TLS options share them."`
	User         string                   `option:"user" help:"User of basic authentication."`
	Password     option.Secret            `option:"password" help:"Password of basic authentication."`
	Token        option.Secret            `option:"token" help:"Token of bearer authentication."`
	TLS          trust.TLS                `option:"tls" help:"How an https server is trusted, and what it may know of us."`

	encoding   protocol.Encoding
	target     string // the URL without query, for errors
	header     nethttp.Header
	host       string
	dest       *web.Destination
	release    func()
	runtime    context.Context
	unreadyTil atomic.Int64 // of package clock; from Retry-After
	doubts     doubts
}

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
	f.prepareHeader(protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()})
	f.runtime = c.GetRuntimeContext()
	f.dest, f.release, err = web.Share(c, "http", web.Options{BaseURL: f.URL, TLS: f.TLS, MaxIdleConns: f.MaxIdleConns})
	return err
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false while a Retry-After holds, and for a second after a
// connection to the host could not be made.
func (f *Flusher) IsReady(string, string, int64) bool {
	return clock.Now() >= f.unreadyTil.Load() && f.dest.Ready()
}

// Flush posts the groups.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{
		Project: project, Logstore: logstore, Config: config, Groups: groups,
	})
}

// FlushBatch posts the batch in one request.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	body, contentType, err := f.body(b)
	if err != nil {
		return flushers.Permanent(fmt.Errorf("couldn't encode the request to %s: %w", f.target, err))
	}
	if len(body) == 0 {
		return nil // groups without logs have no lines: nothing to store
	}
	if mutant.On(mutant.HTTPEarly) {
		go func() { _ = f.post(context.WithoutCancel(ctx), body, contentType) }()
		return nil
	}
	return f.post(ctx, body, contentType)
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
