package configs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

const full = `
source:
  nats:
    url: nats://n1:4222,nats://n2:4222
    stream: LOGS
    durable: shop
    subjects: [logs.>]
    user: flushline
    password: ${file:secret}
    key: [headers, {subject: "{project}.{logstore}"}, {tag: {config: __config__}}, category, {constant: {project: p}}]
    decode: {format: loggrouplist, encoding: zstd, max_decompressed: 3MiB}
routes:
  - name: pay
    match: {project: "pay*", config: c?}
    when_blocked: wait
    flushers:
      - Type: flusher_http
        name: web
        RemoteURL: https://${env:FLUSHLINE_TEST_HOST}/in
        headers: {X-A: "$${x}"}
        batch: {groups: 5, bytes: 1MiB, wait: 2s}
        retry: {initial: 1s, max: 1m}
        flush_timeout: 9s
  - name: rest
    when_blocked: wait
    flushers:
      - {type: relay, allow_enqueued: true, flush_timeout: 10s}
dead_letter: {file: /var/lib/dead, stop_after: 7}
limits: {in_flight: 64MiB, work: 32MiB, message: 1MiB, decompressed: 2MiB, window: 100, lanes: 5, lane_idle: 1m}
drain: {timeout: 12s}
admin: {listen: "0.0.0.0:1", token: "${env:FLUSHLINE_TEST_TOKEN}"}
metrics: {listen: ""}
log: {level: debug, format: json}
`

func loadFull(t *testing.T) *configs.Config {
	t.Helper()
	t.Setenv("FLUSHLINE_TEST_HOST", "logs.example")
	t.Setenv("FLUSHLINE_TEST_TOKEN", "t0ken")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "hunter2\r\n\n")
	write(t, filepath.Join(dir, "flushline.yaml"), full)
	config, report := configs.Load(filepath.Join(dir, "flushline.yaml"), testKinds(t))
	if len(report.Problems) > 0 {
		t.Fatalf("%s", report)
	}
	return config
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadReadsEverything(t *testing.T) {
	config := loadFull(t)
	nats := config.Source.NATS
	if nats == nil || config.Source.Embedded != nil {
		t.Fatalf("source %+v", config.Source)
	}
	if nats.Password.Reveal() != "hunter2" || nats.Stream != "LOGS" || nats.AckWait != time.Minute {
		t.Errorf("nats %+v", nats)
	}
	if config.Admin.Token.Reveal() != "t0ken" || config.Metrics.Listen != "" || config.Log != (configs.Log{Level: "debug", Format: "json"}) {
		t.Errorf("admin %+v, metrics %+v, log %+v", config.Admin, config.Metrics, config.Log)
	}
	if config.DeadLetter != (configs.DeadLetter{File: "/var/lib/dead", StopAfter: 7}) {
		t.Errorf("dead letters %+v", config.DeadLetter)
	}
	if len(config.Hash) != 12 || filepath.Base(config.File) != "flushline.yaml" {
		t.Errorf("file %s, hash %s", config.File, config.Hash)
	}
}

func TestWorkerConfig(t *testing.T) {
	got := loadFull(t).Worker()
	want := worker.Config{
		Deployment: "shop",
		Payload: worker.Payload{
			Format: protocol.FormatLogGroupList, Encoding: protocol.EncodingZstd,
			Key: []worker.KeyRule{
				{From: worker.KeyHeaders},
				{From: worker.KeySubject, Pattern: "{project}.{logstore}"},
				{From: worker.KeyTag, Parts: protocol.Key{Config: "__config__"}},
				{From: worker.KeyCategory},
				{From: worker.KeyConstant, Parts: protocol.Key{Project: "p"}},
			},
		},
		Limits: worker.Limits{
			InFlight: 64 << 20, Work: 32 << 20, Message: 1 << 20, Decompressed: 3 << 20, Window: 100, Lanes: 5, LaneIdle: time.Minute,
		},
		DeadLetter: worker.DeadLetter{StopAfter: 7},
		Drain:      12 * time.Second,
		Routes: []worker.Route{
			{Name: "pay", Match: worker.Match{Project: "pay*", Logstore: "*", Config: "c?"}, Flushers: []worker.Entry{{
				Name: "web", Batch: worker.Batch{Groups: 5, Bytes: 1 << 20, Wait: 2 * time.Second},
				RetryInitial: time.Second, RetryMax: time.Minute, FlushTimeout: 9 * time.Second,
			}}},
			{Name: "rest", Match: worker.Match{Project: "*", Logstore: "*", Config: "*"}, Flushers: []worker.Entry{{
				Name: "relay", RetryInitial: 500 * time.Millisecond, RetryMax: 30 * time.Second, FlushTimeout: 10 * time.Second,
			}}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(worker.Entry{}, "Kind", "New", "Digest"), cmpopts.IgnoreFields(worker.Config{}, "Logger")); diff != "" {
		t.Error(diff)
	}
	if kind := got.Routes[0].Flushers[0].Kind.Name; kind != "http" {
		t.Errorf("kind %s", kind)
	}
}

func TestEachInstanceIsDecodedAnew(t *testing.T) {
	entry := loadFull(t).Worker().Routes[0].Flushers[0]
	all := make([]*webFlusher, 16)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			f := entry.New()
			all[i], _ = f.(*webFlusher)
			all[i].Headers["lane"] = fmt.Sprint(i)
		})
	}
	wg.Wait()
	for i, f := range all {
		want := &webFlusher{
			URL: "https://logs.example/in", Headers: map[string]string{"X-A": "${x}", "lane": fmt.Sprint(i)},
			Timeout: 10 * time.Second, Body: 4 << 20, Codec: "none",
		}
		if diff := cmp.Diff(want, f, cmp.AllowUnexported(webFlusher{}, testFlusher{}, option.Secret{})); diff != "" {
			t.Error(diff)
		}
	}
	var _ flushers.Flusher = all[0]
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	config, report := configs.Parse("f.yaml", []byte("source: {embedded: {}}\nroutes: [{name: a, flushers: [{type: stdout}]}]\nlimits:\n"), testKinds(t))
	if len(report.Problems) > 0 {
		t.Fatalf("%s", report)
	}
	w := config.Worker()
	want := worker.Limits{
		InFlight: 256 << 20, Work: 64 << 20, Message: 16 << 20, Decompressed: 64 << 20,
		Window: 8192, Lanes: 10000, LaneIdle: 10 * time.Minute,
	}
	if diff := cmp.Diff(want, w.Limits); diff != "" {
		t.Error(diff)
	}
	rules := []worker.KeyRule{{From: worker.KeyHeaders}, {From: worker.KeySubject, Pattern: "logs.{project}.{logstore}.{config}"}}
	if w.Deployment != "flushline" || !slices.Equal(w.Payload.Key, rules) ||
		w.Payload.Format != protocol.FormatAuto || w.Payload.Encoding != protocol.EncodingNone || w.Drain != 25*time.Second {
		t.Errorf("%+v", w)
	}
	if config.Admin.Listen != "127.0.0.1:8480" || config.Metrics.Listen != "0.0.0.0:8481" || config.DeadLetter.StopAfter != 1000 || config.DeadLetter.None {
		t.Errorf("%+v", config)
	}
}

func TestSeveralConsumersAreOneDeployment(t *testing.T) {
	t.Parallel()
	src := `{"source": {"nats": {"consumers": [{"stream": "A", "durable": "x"}, {"stream": "B", "durable": "y"}]}},
		"routes": [{"name": "a", "flushers": [{"type": "stdout"}]}], "dead_letter": "none"}`
	config, report := configs.Parse("f.json", []byte(src), testKinds(t))
	if config == nil {
		t.Fatalf("%s", report)
	}
	if got := config.Worker().Deployment; got != "x" || !config.DeadLetter.None {
		t.Errorf("deployment %s, dead letters %+v", got, config.DeadLetter)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large.yaml"), strings.Repeat("#", 1<<20+1))
	write(t, filepath.Join(dir, "binary.yaml"), "a: \xff")
	for name, want := range map[string]string{
		"absent.yaml": "no such file", "large.yaml": "larger than 1MiB", "binary.yaml": "not UTF-8", ".": "couldn't read",
	} {
		config, report := configs.Load(filepath.Join(dir, name), testKinds(t))
		if config != nil || report.Err() == nil || !strings.Contains(report.Err().Error(), want) {
			t.Errorf("%s: %v", name, report)
		}
	}
}

func TestSecretsOfAConfigAreNotPrinted(t *testing.T) {
	config := loadFull(t)
	asJSON, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(asJSON), fmt.Sprint(config), fmt.Sprintf("%+v", config), fmt.Sprintf("%#v", config), fmt.Sprintf("%+v", *config),
		fmt.Sprintf("%+v", *config.Source.NATS), fmt.Sprintf("%#v", *config.Source.NATS), fmt.Sprintf("%+v", config.Routes[0].Flushers[0]),
		fmt.Sprintf("%x %q", config.Admin.Token, config.Admin.Token),
	} {
		for _, secret := range []string{"hunter2", "t0ken", fmt.Sprintf("%x", "t0ken")} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", secret, text)
			}
		}
	}
}

// TestDamagedFilesKeepTheirSecrets changes every line of a file that holds no
// secret, in every way that people and editors do, and looks for the secrets in
// what is reported.
func TestDamagedFilesKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	const src = `
source:
  nats:
    stream: LOGS
    durable: d
    user: u
    password: hunter2
    url: nats://u:hunter2@h:4222
routes:
  - name: a
    when_blocked: wait
    flushers:
      - type: http
        url: https://h/in
        password: |
          hunter2
          hunter2
        headers: {X-Token: hunter2, X-Plain: y}
        codec: gzip
      - {type: file, path: x}
admin: {listen: "127.0.0.1:1", token: "hunter2"}
drain: {timeout: 20s}
`
	kinds := testKinds(t)
	if _, report := configs.Parse("f.yaml", []byte(src), kinds); report.Failed() {
		t.Fatalf("%s", report)
	}
	damage := []func(line string) string{
		func(string) string { return "" },
		func(l string) string { return l + "\n" + l },
		func(l string) string { return " " + l },
		func(l string) string { return strings.TrimPrefix(l, " ") },
		func(l string) string { return "\t" + l },
		func(l string) string { return strings.Replace(l, ":", "", 1) },
		func(l string) string { return l + " [" },
		func(l string) string { return l + " \"" },
		func(l string) string { return l + " }" },
		func(l string) string { return strings.Replace(l, "e", "ee", 1) },
		func(l string) string { return strings.Replace(l, ": ", ": - ", 1) },
		func(l string) string { return l + ": x" },
		func(l string) string { return "- " + l },
		func(l string) string { return l + "\n? x" },
		func(l string) string { return l + "\nlimits: {window: \"" },
		func(l string) string { return l + "\nlog: '" },
	}
	lines := strings.Split(src, "\n")
	failed := 0
	for i, line := range lines {
		if strings.Contains(line, "hunter2") {
			continue
		}
		for k, change := range damage {
			damaged := append(append(append([]string{}, lines[:i]...), change(line)), lines[i+1:]...)
			_, report := configs.Parse("f.yaml", []byte(strings.Join(damaged, "\n")), kinds)
			if report.Failed() {
				failed++
			}
			if text := report.String(); strings.Contains(text, "hunter2") {
				t.Errorf("line %d, damage %d:\n%s", i+1, k, text)
			}
		}
	}
	if failed < 100 {
		t.Errorf("only %d of the damaged files were refused", failed)
	}
}
