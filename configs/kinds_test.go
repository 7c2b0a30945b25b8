package configs_test

import (
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// testFlusher does nothing; the kinds below give it options.
type testFlusher struct{}

func (testFlusher) Init(flushers.Context) error                        { return nil }
func (testFlusher) Description() string                                { return "" }
func (testFlusher) IsReady(string, string, int64) bool                 { return true }
func (testFlusher) Flush(_, _, _ string, _ []*protocol.LogGroup) error { return nil }
func (testFlusher) SetUrgent(bool)                                     {}
func (testFlusher) Stop() error                                        { return nil }

type outFlusher struct {
	testFlusher
	Pretty bool `option:"pretty" help:"Indent."`
}

type webFlusher struct {
	testFlusher
	URL      string            `option:"url,required" alias:"RemoteURL" help:"Where to." example:"https://logs.example/in"`
	Password option.Secret     `option:"password" help:"Basic authentication."`
	Headers  map[string]string `option:"headers" help:"Added to requests."`
	Timeout  time.Duration     `option:"timeout" help:"Of one request."`
	Body     option.Bytes      `option:"max_body" max:"64MiB" help:"Of one request."`
	Codec    string            `option:"codec" enum:"none,gzip,zstd" help:"Compression."`
}

func (w *webFlusher) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "QueueCapacity", Why: "nothing is queued in the flusher: Flush returns when the data is stored"},
		{Name: "DropEventWhenQueueFull", Why: "flushline never drops data", Refuse: true},
	}
}

func (w *webFlusher) Validate() []option.Problem {
	if w.Codec == "none" && w.Body > 32<<20 {
		return []option.Problem{option.Warnf("max_body", "max_body above 32MiB without a codec is slow")}
	}
	return nil
}

type diskFlusher struct {
	testFlusher
	Path   string `option:"path,required" help:"File." example:"logs/{project}.jsonl"`
	Format string `option:"format" enum:"json,loggroup" help:"What is written."`
}

func (d *diskFlusher) Place() (string, string) { return d.Path, d.Format }

func (d *diskFlusher) Declare(k *flushers.Kind) {
	k.Raw = d.Format == "loggroup"
	k.Summary = "" // not its to say
}

func testKinds(t testing.TB) *flushers.Registry {
	t.Helper()
	r, err := flushers.NewRegistry(
		flushers.Kind{Name: "stdout", Summary: "Prints.", New: func() flushers.Flusher { return &outFlusher{} }},
		flushers.Kind{Name: "http", Summary: "Posts.", New: func() flushers.Flusher {
			return &webFlusher{Timeout: 10 * time.Second, Body: 4 << 20, Codec: "none"}
		}},
		flushers.Kind{Name: "file", Summary: "Writes.", New: func() flushers.Flusher { return &diskFlusher{Format: "json"} }},
		flushers.Kind{Name: "relay", Summary: "Hands over.", Durability: flushers.Enqueued, New: func() flushers.Flusher { return &outFlusher{} }},
		flushers.Kind{Name: "journal", Summary: "Not compiled here.", OS: []string{"plan9"}},
		flushers.Kind{Name: "eventlog", Summary: "Elsewhere.", OS: []string{"plan9", "solaris"}, New: func() flushers.Flusher { return &outFlusher{} }},
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOptionsChangeWhatTheKindDeclares(t *testing.T) {
	t.Parallel()
	for format, raw := range map[string]bool{"json": false, "loggroup": true} {
		c := loadText(t, `
source: {nats: {url: "nats://127.0.0.1:4222", stream: LOGS, durable: d, subjects: [logs.>]}}
routes: [{name: a, flushers: [{type: file, path: p, format: `+format+`}]}]
`)
		k := c.Worker().Routes[0].Flushers[0].Kind
		if k.Raw != raw || k.Summary != "Writes." {
			t.Errorf("%s: raw %v, summary %q", format, k.Raw, k.Summary)
		}
	}
}
