package configs_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/worker"
)

func loadText(t *testing.T, text string) *configs.Config {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "hunter2")
	write(t, filepath.Join(dir, "flushline.yaml"), text)
	config, report := configs.Load(filepath.Join(dir, "flushline.yaml"), testKinds(t))
	if config == nil {
		t.Fatalf("%s", report)
	}
	return config
}

func TestWhatARunningWorkerCannotTakeOverIsNamedWithItsLine(t *testing.T) {
	t.Setenv("FLUSHLINE_TEST_HOST", "logs.example")
	t.Setenv("FLUSHLINE_TEST_TOKEN", "t0ken")
	line := func(text, of string) int { return strings.Count(text[:strings.Index(text, of)], "\n") + 1 }
	for _, tc := range []struct {
		old, new string // in the text `full`
		path     string // empty: it can be taken over
		at       string // what stands in the line that is named
	}{
		{"stream: LOGS", "stream: LOGS2", "source.nats.stream", "stream: LOGS2"},
		{"password: ${file:secret}", "password: other", "source.nats.password", "password: other"},
		{"subjects: [logs.>]", "subjects: [logs.a.>]", "source.nats.subjects", "subjects: [logs.a.>]"},
		{"category, ", "", "source.nats.key", "key: ["},
		{"encoding: zstd", "encoding: lz4", "source.nats.decode.encoding", "encoding: lz4"},
		{"window: 100", "window: 101", "limits.window", "window: 101"},
		{"window: 100, ", "", "limits.window", "limits:"},
		{"token: \"${env:FLUSHLINE_TEST_TOKEN}\"", "token: x", "admin.token", "token: x"},
		{"metrics: {listen: \"\"}", "metrics: {listen: \":1\"}", "metrics.listen", "metrics:"},
		{"file: /var/lib/dead", "file: /var/lib/letters", "dead_letter.file", "file: /var/lib/letters"},
		{"dead_letter: {file: /var/lib/dead, stop_after: 7}", "dead_letter: none", "dead_letter", "dead_letter: none"},
		{"format: json", "format: console", "log.format", "format: console"},
		{"level: debug", "level: warn", "", ""},
		{"stop_after: 7", "stop_after: 8", "", ""},
		{"timeout: 12s", "timeout: 13s", "", ""},
		{"project: \"pay*\"", "project: pay", "", ""},
		{"https://", "http://", "", ""},
		{"drain:", "reload: {watch: false}\nremoved: drain\ndrain:", "", ""},
	} {
		t.Run(tc.new+tc.path, func(t *testing.T) {
			changed := strings.Replace(full, tc.old, tc.new, 1)
			if changed == full {
				t.Fatalf("%q is not in the file", tc.old)
			}
			err := loadText(t, full).NeedsRestart(loadText(t, changed))
			if tc.path == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := fmt.Sprintf("nothing was changed: %s (line %d) needs a restart", tc.path, line(changed, tc.at))
			if err == nil || err.Error() != want {
				t.Errorf("%v; want %q", err, want)
			}
		})
	}
}

func TestAnotherQueueNeedsARestart(t *testing.T) {
	t.Parallel()
	const routes = "\nroutes: [{name: a, when_blocked: wait, flushers: [{type: stdout}]}]\n"
	kafka := "source: {kafka: {brokers: [\"k1:9092\"], topics: [logs], group: g}}" + routes
	for _, tc := range []struct{ old, new, says string }{
		{kafka, "source: {embedded: {}}" + routes, "source (line 1) needs a restart"},
		{kafka, kafka + "drain: {timeout: 24s}\n", "drain.timeout (line 3) needs a restart"},
		{kafka, strings.Replace(kafka, "k1", "k2", 1) + "limits: {lanes: 3}\n", "source.kafka.brokers (line 1), limits.lanes (line 3) need a restart"},
	} {
		err := loadText(t, tc.old).NeedsRestart(loadText(t, tc.new))
		if err == nil || err.Error() != "nothing was changed: "+tc.says {
			t.Errorf("%v; want %q", err, tc.says)
		}
	}
}

func digests(c *configs.Config) []string {
	var ds []string
	w := c.Worker()
	for i := range w.Routes {
		for j := range w.Routes[i].Flushers {
			ds = append(ds, w.Routes[i].Flushers[j].Digest)
		}
	}
	return ds
}

// The digest follows what an entry resolves to, and nothing else.
func TestDigestsFollowTheOptions(t *testing.T) {
	const text = `source: {embedded: {}}
routes:
  - name: a
    when_blocked: wait
    flushers:
      - {type: http, name: w, url: "https://${env:FLUSHLINE_TEST_HOST}/", password: "${file:secret}", headers: {X-A: b, X-C: d}, batch: {groups: 5}}
`
	t.Setenv("FLUSHLINE_TEST_HOST", "one")
	first := digests(loadText(t, text))
	for _, tc := range []struct {
		old, new string
		same     bool
	}{
		{"groups: 5", "groups: 6", true}, // an engine key: the worker compares it
		{"headers: {X-A: b, X-C: d}", "headers: {X-C: d, X-A: b}", true},
		{"  - name: a", "  # a comment\n\n  - name: a", true},
		{"X-A: b", "X-A: c", false},
		{"X-A: b", "X-A: b, X-E: f", false},
		{"${file:secret}", "hunter2", true}, // the value is the same
		{"${file:secret}", "hunter3", false},
	} {
		changed := strings.Replace(text, tc.old, tc.new, 1)
		if changed == text {
			t.Fatalf("%q is not in the file", tc.old)
		}
		if same := slices.Equal(first, digests(loadText(t, changed))); same != tc.same {
			t.Errorf("%q for %q: the same is %t", tc.new, tc.old, same)
		}
	}
	t.Setenv("FLUSHLINE_TEST_HOST", "two")
	if slices.Equal(first, digests(loadText(t, text))) {
		t.Error("another value of the environment is no change")
	}
	if first[0] == "" || strings.Contains(first[0], "hunter2") {
		t.Errorf("digest %q", first[0])
	}
}

func TestReportsNameTheFilesThatWereRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "x")
	const text = `source: {embedded: {}}
routes: [{name: a, when_blocked: wait, flushers: [{type: http, url: "http://a", password: "${file:secret}", headers: {a: "${file:absent}"}}]}]
`
	_, report := configs.Parse(filepath.Join(dir, "flushline.yaml"), []byte(text), testKinds(t))
	if want := []string{filepath.Join(dir, "secret"), filepath.Join(dir, "absent")}; !slices.Equal(report.Files, want) {
		t.Errorf("files %q, want %q", report.Files, want)
	}
}

func TestRemovedAndReload(t *testing.T) {
	t.Parallel()
	const text = `source: {embedded: {}}
routes: [{name: a, when_blocked: wait, flushers: [{type: stdout}]}]
`
	c := loadText(t, text)
	if !c.Reload.Watch || c.Table().Removed != worker.RemovedRefuse {
		t.Errorf("defaults: %+v, removed %q", c.Reload, c.Removed)
	}
	c = loadText(t, text+"reload: {watch: false}\nremoved: dead_letter\n")
	if c.Reload.Watch || c.Table().Removed != worker.RemovedDeadLetter {
		t.Errorf("given: %+v, removed %q", c.Reload, c.Removed)
	}
	for bad, says := range map[string]string{
		"removed: drop\n": "drop",
		"removed: dead_letter\ndead_letter: none\n": "dead_letter is none",
	} {
		_, report := configs.Parse("c.yaml", []byte(text+bad), testKinds(t))
		if !strings.Contains(report.String(), says) || !strings.Contains(report.String(), "c.yaml:3:") {
			t.Errorf("%q: %s", bad, report)
		}
	}
}
