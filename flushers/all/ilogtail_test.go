package all_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/file"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/flushers/kafka"
)

// The outcomes of a pasted key.
const (
	honoured = "honoured" // it does here what it does there, without a word
	warned   = "warned"   // it changes nothing here, and the warning says why
	refused  = "refused"  // an error that says what to do instead
)

// pasted is one key of a block as it stands in a file of iLogtail.
type pasted struct {
	kind, keys string // the type without flusher_, and YAML
	outcome    string
	says       string                             // part of the warning or error
	odd        bool                               // spelled as neither side does: only loading knows it
	check      func(f any, e *configs.Entry) bool // of what is honoured
}

const (
	toKafka = "Brokers: [k1:9092]\nTopic: logs"
	anES    = "Addresses: [\"http://127.0.0.1:9200\"]\nIndex: logs"
	anURL   = "RemoteURL: http://127.0.0.1:9/in"
	aPath   = "FilePath: /var/log/out.log"
	noKeys  = ""
)

// parameters are those of notes on iLogtail's flushers: all of them, for each kind
// that both have.
var parameters = []pasted{
	{kind: "stdout", keys: noKeys, outcome: honoured},
	{kind: "stdout", keys: `FileName: ""`, outcome: honoured},
	{kind: "stdout", keys: "FileName: quick.stdout", outcome: refused, says: "use type: file with path"},
	{kind: "stdout", keys: "MaxSize: 1048576", outcome: warned, says: "it belongs to FileName"},
	{kind: "stdout", keys: "MaxRolls: 1", outcome: warned, says: "it belongs to FileName"},
	{kind: "stdout", keys: "KeyValuePairs: true", outcome: honoured},
	{kind: "stdout", keys: "KeyValuePairs: false", outcome: warned, says: "always names the keys"},
	{kind: "stdout", keys: "Tags: true", outcome: honoured},
	{kind: "stdout", keys: "Tags: false", outcome: warned, says: "tags are always printed"},
	{kind: "stdout", keys: "OnlyStdout: true", outcome: honoured},
	{kind: "stdout", keys: "OnlyStdout: false", outcome: warned, says: "never printed anywhere else"},

	{kind: "file", keys: aPath, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		where, _ := f.(*file.Flusher).Place()
		return where == "/var/log/out.log"
	}},
	{kind: "file", keys: aPath + "\nMaxFileSize: 10485760", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*file.Flusher).MaxSize == 10<<20
	}},
	{kind: "file", keys: aPath + "\nMaxFiles: 10", outcome: warned, says: "files are never deleted here"},
	{kind: "file", keys: `FilePath: "/var/log/%{tag.app}/%{content.level}-%{+yyyy.MM.dd}.log"`, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		p := f.(*file.Flusher).Path
		return p.Uses("tag.app") && p.Uses("content.level") && p.Uses("date")
	}},
	{kind: "file", keys: `FilePath: "/var/log/%{+YYYY.MM.dd}.log"`, outcome: refused, says: "write %{+yyyy.MM.dd}"},
	{kind: "file", keys: `FilePath: "/var/log/%{content.a:b}.log"`, outcome: refused, says: "write {content.a}"},
	{kind: "file", keys: `FilePath: "/var/log/${app}.log"`, outcome: refused, says: "write ${env:NAME}"},

	{kind: "elasticsearch", keys: anES, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		e := f.(*elasticsearch.Flusher)
		return e.Addresses[0] == "http://127.0.0.1:9200" && e.Index.String() == "logs"
	}},
	{kind: "elasticsearch", keys: "Addresses: [\"http://127.0.0.1:9200\"]\nIndex: \"app-%{tag.app}-%{+yyyy.MM.dd}\"", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		i := f.(*elasticsearch.Flusher).Index
		return i.Uses("tag.app") && i.Uses("date")
	}},
	{kind: "elasticsearch", keys: "Addresses: [\"http://127.0.0.1:9200\"]\nIndex: Logs", outcome: refused, says: "no capital letters"},
	{kind: "elasticsearch", keys: anES + "\nAuthentication: {PlainText: {Username: u, Password: hunter2}}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		p := f.(*elasticsearch.Flusher).Authentication.PlainText
		return p.Username == "u" && p.Password.Reveal() == "hunter2"
	}},
	{kind: "elasticsearch", keys: anES + "\nAuthentication: {PlainText: {Username: \"\", Password: \"\"}}", outcome: honoured},
	{kind: "elasticsearch", keys: anES + "\nUser: v\nAuthentication: {PlainText: {Username: u, Password: hunter2}}", outcome: refused, says: "user and password say it, too"},
	{kind: "elasticsearch", keys: anES + "\nAuthentication: {TLS: {Enabled: true, CAFile: /ca.pem, MinVersion: \"1.2\", MaxVersion: \"\"}}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*elasticsearch.Flusher).Authentication.TLS.CAFile == "/ca.pem"
	}},
	{kind: "elasticsearch", keys: anES + "\nAuthentication: {TLS: {MinVersion: \"1.0\"}}", outcome: warned, says: "the lowest version is 1.2"},
	{kind: "elasticsearch", keys: anES + "\nHTTPConfig: {MaxIdleConnsPerHost: 50}", outcome: warned, says: "as many connections are kept open as bulks says"},
	{kind: "elasticsearch", keys: anES + "\nHTTPConfig: {ResponseHeaderTimeout: Second}", outcome: warned, says: "timeout says how long"},
	{kind: "elasticsearch", keys: anES + "\nConvert: {Protocol: custom_single, Encoding: json}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		_, shape := f.(*elasticsearch.Flusher).Place()
		return shape == "custom_single"
	}},
	{kind: "elasticsearch", keys: anES + "\nConvert: {Protocol: custom_single_flatten, TagFieldsRename: {host.ip: ip}, ProtocolFieldsRename: {time: \"@timestamp\"}}", outcome: honoured},
	{kind: "elasticsearch", keys: anES + "\nConvert: {Protocol: influxdb}", outcome: refused, says: "cannot be written"},
	{kind: "elasticsearch", keys: anES + "\nConvert: {Encoding: protobuf}", outcome: refused, says: "cannot be written"},

	{kind: "http", keys: anURL, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).URL == "http://127.0.0.1:9/in"
	}},
	{odd: true, kind: "http", keys: "remote_url: http://127.0.0.1:9/in\ntime_out: 1s\nCOMPRESSION: zstd", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		h := f.(*http.Flusher)
		return h.URL == "http://127.0.0.1:9/in" && h.Timeout == time.Second && h.Compression == "zstd"
	}},
	{kind: "http", keys: anURL + "\nHeaders: {X-A: b, Content-Type: text/plain}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		h := f.(*http.Flusher).Headers
		return len(h) == 2 && h["X-A"].Reveal() == "b"
	}},
	{kind: "http", keys: anURL + `` + "\n" + `Headers: {X-A: "%{tag.app}"}`, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Headers["X-A"].Reveal() == "%{tag.app}"
	}},
	{kind: "http", keys: anURL + "\n" + `Query: {db: "%{tag.db}"}`, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Query["db"].Reveal() == "%{tag.db}"
	}},
	{kind: "http", keys: anURL + "\nTimeout: 20s", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Timeout == 20*time.Second
	}},
	{kind: "http", keys: anURL + "\nTimeout: 60s", outcome: warned, says: "timeout 1m is longer than flush_timeout 20s, which ends a call first"},
	{kind: "http", keys: anURL + "\nflush_timeout: 9s", outcome: honoured, check: func(_ any, e *configs.Entry) bool {
		return e.FlushTimeout == 9*time.Second
	}},
	{kind: "http", keys: anURL + "\nTimeout: 60000000000", outcome: refused, says: "60000000000 was nanoseconds: write 1m"},
	{kind: "http", keys: anURL + "\nTimeout: 60", outcome: refused, says: "60 has no unit; write 60s"},
	{kind: "http", keys: anURL + "\nRetry: {Enable: true, InitialDelay: 1s, MaxDelay: 30s}", outcome: honoured, check: func(_ any, e *configs.Entry) bool {
		return e.Retry == configs.Retry{Initial: time.Second, Max: 30 * time.Second}
	}},
	{kind: "http", keys: anURL + "\nRetry: {InitialDelay: 1000000000}", outcome: refused, says: "1000000000 was nanoseconds: write 1s"},
	{kind: "http", keys: anURL + "\nRetry: {MaxDelay: 30000000000}", outcome: refused, says: "30000000000 was nanoseconds: write 30s"},
	{kind: "http", keys: anURL + "\nRetry: {Enable: false}", outcome: warned, says: "a batch is tried until"},
	{kind: "http", keys: anURL + "\nRetry: {MaxRetryTimes: 3}", outcome: warned, says: "a batch is tried until"},
	{kind: "http", keys: anURL + "\nEncoder: {Type: ext_default_encoder, Options: {Format: prometheus}}", outcome: refused, says: "no encoders beside format"},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: custom_single, Encoding: json}", outcome: honoured},
	{kind: "http", keys: anURL + "\nConvert: {}", outcome: honoured},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: influxdb}", outcome: refused, says: `"influxdb" cannot be written: use custom_single`},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: custom_single_flatten}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Convert.Protocol == "custom_single_flatten"
	}},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: jsonline}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Convert.Protocol == "jsonline"
	}},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: otlp_v1}", outcome: refused, says: "cannot be written"},
	{kind: "http", keys: anURL + "\nConvert: {Protocol: raw}", outcome: refused, says: "write format: raw"},
	{kind: "http", keys: anURL + "\nConvert: {Encoding: custom}", outcome: refused, says: "protobuf is format: loggroup"},
	{kind: "http", keys: anURL + `` + "\n" + `Convert: {Separator: "|"}`, outcome: refused, says: "it belongs to the protocol raw"},
	{kind: "http", keys: anURL + "\nConvert: {IgnoreUnExpectedData: true}", outcome: honoured},
	{kind: "http", keys: anURL + "\nConvert: {IgnoreUnExpectedData: false}", outcome: warned, says: "every log can be written"},
	{kind: "http", keys: anURL + "\nConvert: {TagFieldsRename: {host.ip: ip}}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Convert.TagFieldsRename["host.ip"] == "ip"
	}},
	{kind: "http", keys: anURL + "\nConvert: {ProtocolFieldsRename: {time: ts}}", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Convert.ProtocolFieldsRename["time"] == "ts"
	}},
	{kind: "http", keys: anURL + "\nConvert: {Protokol: raw}", outcome: refused, says: `did you mean "protocol"?`},
	{kind: "http", keys: anURL + "\nConcurrency: 1", outcome: honoured},
	{kind: "http", keys: anURL + "\nConcurrency: 4", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).InFlight == 4
	}},
	{kind: "http", keys: anURL + "\nMaxConnsPerHost: 0", outcome: honoured},
	{kind: "http", keys: anURL + "\nMaxConnsPerHost: 50", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).MaxConns == 50
	}},
	{kind: "http", keys: anURL + "\nMaxIdleConnsPerHost: 50", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).MaxIdleConns == 50
	}},
	{kind: "http", keys: anURL + "\nIdleConnTimeout: 60s", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).IdleConnTimeout == time.Minute
	}},
	{kind: "http", keys: anURL + "\nIdleConnTimeout: 90000000000", outcome: refused, says: "was nanoseconds: write 1m30s"},
	{kind: "http", keys: anURL + "\nWriteBufferSize: 65536", outcome: warned, says: "written at once"},
	{kind: "http", keys: anURL + "\nAuthenticator: {Type: ext_basicauth, Options: {Username: u, Pass: hunter2}}", outcome: refused, says: "use user and password, token or headers"},
	{kind: "http", keys: anURL + "\nFlushInterceptor: {Type: ext_request_breaker}", outcome: refused, says: "no interceptors"},
	{kind: "http", keys: anURL + "\nAsyncIntercept: false", outcome: honoured},
	{kind: "http", keys: anURL + "\nAsyncIntercept: true", outcome: warned, says: "no interceptors"},
	{kind: "http", keys: anURL + "\nRequestInterceptors: [{Type: ext_x}]", outcome: refused, says: "no interceptors"},
	{kind: "http", keys: anURL + "\nRequestInterceptors: []", outcome: honoured},
	{kind: "http", keys: anURL + "\nQueueCapacity: 1024", outcome: warned, says: "no queue behind Flush"},
	{kind: "http", keys: anURL + "\nDropEventWhenQueueFull: false", outcome: honoured},
	{kind: "http", keys: anURL + "\nDropEventWhenQueueFull: true", outcome: warned, says: "nothing is ever dropped"},
	{kind: "http", keys: anURL + "\nCompression: \"\"", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Compression == "none"
	}},
	{kind: "http", keys: anURL + "\nCompression: gzip", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Compression == "gzip"
	}},
	{kind: "http", keys: anURL + "\nCompression: snappy", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*http.Flusher).Compression == "snappy"
	}},
	{kind: "http", keys: anURL + "\nMatch: {Type: tag, Key: a, Value: b}", outcome: refused, says: "is said by the route"},

	{kind: "kafka", keys: toKafka, outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		k := f.(*kafka.Flusher)
		return len(k.Brokers) == 1 && k.Topic.String() == "logs"
	}},
	{kind: "kafka", keys: "Brokers: [k1:9092]\nTopic: \"logs-%{tag.app}\"", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*kafka.Flusher).Topic.Uses("tag.app")
	}},
	{kind: "kafka", keys: "Brokers: [k1:9092]", outcome: refused, says: "topic is missing"},
	{kind: "kafka", keys: toKafka + "\nVersion: 1.0.0", outcome: warned, says: "brokers of Apache Kafka 2.4 to 4.x"},
	{kind: "kafka", keys: toKafka + "\nTimeout: 10s", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*kafka.Flusher).Timeout == 10*time.Second
	}},
	{kind: "kafka", keys: toKafka + "\nTimeout: 30", outcome: refused, says: "30 has no unit; write 30s"},
	{kind: "kafka", keys: toKafka + "\nClientID: LogtailPlugin", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*kafka.Flusher).ClientID == "LogtailPlugin"
	}},
	{kind: "kafka", keys: toKafka + "\nHeaders: {app: \"%{tag.app}\"}", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nHeaders: [{Key: a, Value: b}]", outcome: refused, says: "wants a block of names and values"},
	{kind: "kafka", keys: toKafka + "\nPartitionerType: random", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nPartitionerType: hash\nHashKeys: [tag.app]", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		k := f.(*kafka.Flusher)
		return k.Partitioner == "hash" && len(k.Key) == 1
	}},
	{kind: "kafka", keys: toKafka + "\nformat: json\nPartitionerType: hash\nHashKeys: [content.app]", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nHashKeys: [content.app]", outcome: refused, says: "use format json or raw"},
	{kind: "kafka", keys: toKafka + "\nHashKeys: [app]", outcome: refused, says: "content.app for a field of the logs"},
	{kind: "kafka", keys: toKafka + "\nHashOnce: false", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nHashOnce: true", outcome: refused, says: "that of all others"},
	{kind: "kafka", keys: toKafka + "\nChanBufferSize: 256", outcome: warned, says: "no queue behind Flush"},
	{kind: "kafka", keys: toKafka + "\nKeepAlive: 0", outcome: warned, says: "idle for 10s"},
	{kind: "kafka", keys: toKafka + "\nMaxMessageBytes: 1000000", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		return f.(*kafka.Flusher).MaxMessageBytes == 1000000
	}},
	{kind: "kafka", keys: toKafka + "\nRequiredACKs: -1", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nRequiredACKs: 1", outcome: warned, says: "all replicas in sync confirm"},
	{kind: "kafka", keys: toKafka + "\nBrokerTimeout: 10s", outcome: warned, says: "timeout says how long"},
	{kind: "kafka", keys: toKafka + "\nCompression: gzip\nCompressionLevel: 4", outcome: honoured, check: func(f any, _ *configs.Entry) bool {
		k := f.(*kafka.Flusher)
		return k.Compression == "gzip" && k.CompressionLevel == 4
	}},
	{kind: "kafka", keys: toKafka + "\nMaxOpenRequests: 5", outcome: warned, says: "one thing at a time"},
	{kind: "kafka", keys: toKafka + "\nBulkMaxSize: 2048", outcome: warned, says: "batches are the engine's"},
	{kind: "kafka", keys: toKafka + "\nBulkFlushFrequency: 0", outcome: warned, says: "batches are the engine's"},
	{kind: "kafka", keys: toKafka + "\nMaxRetries: 3", outcome: warned, says: "nothing is given up"},
	{kind: "kafka", keys: toKafka + "\nBackoff: {Init: 1s, Max: 60s}", outcome: warned, says: "nothing is given up"},
	{kind: "kafka", keys: toKafka + "\nMetadata: {RefreshFrequency: 10m}", outcome: warned, says: "every 5 minutes"},
	{kind: "kafka", keys: toKafka + "\nConvert: {Protocol: custom_single, Encoding: json}", outcome: refused, says: "write format: json"},
	{kind: "kafka", keys: toKafka + "\nformat: json\nConvert: {Protocol: custom_single, Encoding: json, TagFieldsRename: {host.ip: ip}}", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nSASLUsername: u", outcome: refused, says: "mechanism: plain"},
	{kind: "kafka", keys: toKafka + "\nSASLPassword: hunter2", outcome: refused, says: "mechanism: plain"},
	{kind: "kafka", keys: toKafka + "\nAuthentication: {SASL: {SaslMechanism: SCRAM-SHA-256, Username: u, Password: p}, TLS: {Enabled: true}}", outcome: honoured},
	{kind: "kafka", keys: toKafka + "\nAuthentication: {PlainText: {Username: u, Password: p}}", outcome: refused, says: "allow_plain_without_tls"},
	{kind: "kafka", keys: toKafka + "\nAuthentication: {TLS: {Enabled: true, MinVersion: \"1.0\"}}", outcome: warned, says: "TLS 1.2 and newer"},
	{kind: "kafka", keys: toKafka + "\nAuthentication: {Kerberos: {ServiceName: kafka}}", outcome: refused, says: "Kerberos is not spoken"},

	{kind: "blackhole", keys: noKeys, outcome: honoured},
	{kind: "checker", keys: noKeys, outcome: honoured},
}

func TestEveryParameterOfILogtailIsHonouredOrExplained(t *testing.T) {
	t.Parallel()
	for _, p := range parameters {
		t.Run(p.kind+" "+p.keys, func(t *testing.T) {
			t.Parallel()
			flat, texts := load(t, "flat.yaml", p.flat())
			p.judge(t, flat, texts)
			detailed, again := load(t, "detail.json", p.detail(t))
			p.judge(t, detailed, again)
			if diff := cmp.Diff(texts, again); diff != "" {
				t.Errorf("the two shapes are told different things (-flat +detail):\n%s", diff)
			}
			_, plain := load(t, "plain.yaml", strings.ReplaceAll(p.flat(), "Type: flusher_", "type: "))
			if diff := cmp.Diff(texts, plain); diff != "" {
				t.Errorf("the two spellings of type are told different things (-Type +type):\n%s", diff)
			}
		})
	}
}

// An editor that knows the schema underlines nothing that loads.
func TestTheSchemaTakesWhatILogtailsFilesHave(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	for _, p := range parameters {
		if p.outcome == refused || p.kind == "checker" || p.odd {
			continue
		}
		for _, text := range []string{p.flat(), p.detail(t)} {
			if err := schema.Validate(document(t, text)); err != nil {
				t.Errorf("%s\n%v", text, err)
			}
		}
	}
	for _, text := range []string{
		(&pasted{kind: "http", keys: "Timeout: 1s"}).flat(),
		(&pasted{kind: "http", keys: anURL + "\nTimeoout: 1s"}).flat(),
		(&pasted{kind: "http", keys: anURL + "\nTimeout: 1000"}).flat(),
		(&pasted{kind: "http", keys: anURL + "\nEncoder: {Type: b}"}).flat(),
		(&pasted{kind: "htttp", keys: anURL}).flat(),
	} {
		if schema.Validate(document(t, text)) == nil {
			t.Errorf("the schema accepts\n%s", text)
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	kinds, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := configs.Schema(kinds)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("flushline.json", document(t, string(text))); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("flushline.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func document(t *testing.T, text string) any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func (p *pasted) judge(t *testing.T, config *configs.Config, texts []string) {
	t.Helper()
	text := strings.Join(texts, "\n")
	switch {
	case (config == nil) != (p.outcome == refused):
		t.Errorf("want %s, got:\n%s", p.outcome, text)
	case (text == "") != (p.outcome == honoured):
		t.Errorf("want %s, got:\n%s", p.outcome, text)
	case p.says == "" && p.outcome != honoured, !strings.Contains(text, p.says):
		t.Errorf("want %q, got:\n%s", p.says, text)
	case p.check != nil:
		e := &config.Routes[0].Flushers[0]
		if !p.check(e.New(), e) {
			t.Errorf("the key is without effect: %+v", e.New())
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("a secret is shown:\n%s", text)
	}
}

// flat is the shape of iLogtail's YAML files.
func (p *pasted) flat() string {
	block := "Type: flusher_" + p.kind + "\n" + p.keys
	block = strings.ReplaceAll(strings.TrimSpace(block), "\n", "\n        ")
	return "source: {embedded: {}}\nroutes:\n  - name: a\n    flushers:\n      - " + block + "\n"
}

// detail is the shape that its Go side reads.
func (p *pasted) detail(t *testing.T) string {
	t.Helper()
	options := map[string]any{}
	if err := yaml.Unmarshal([]byte(p.keys), &options); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]any{"type": "flusher_" + p.kind + "/7#1", "detail": options})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"source": {"embedded": {}}, "routes": [{"name": "a", "flushers": [%s]}]}`, text)
}

// load returns what was said, without places.
func load(t *testing.T, name, text string) (config *configs.Config, texts []string) {
	t.Helper()
	kinds, err := flushers.NewRegistry(append(all.Kinds(), checker.New().Kind())...)
	if err != nil {
		t.Fatal(err)
	}
	config, report := configs.Parse(name, []byte(text), kinds)
	for i := range report.Problems {
		p := &report.Problems[i]
		if p.Pos.Line == 0 {
			t.Errorf("%s stands nowhere", p.Text())
		}
		texts = append(texts, p.Text())
	}
	if strings.Contains(report.String(), "hunter2") {
		t.Errorf("a secret is shown:\n%s", report)
	}
	return config, texts
}
