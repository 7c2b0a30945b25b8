package deploy_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/all"
)

// Configurations that people will copy are right, and drain within the time that
// the manifests grant.
func TestShownConfigurationsAreRight(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	all := map[string]*configs.Config{
		"the compose file's":          parsed(t, "flushline.yaml", read("flushline.yaml")),
		"the compose file's on Kafka": parsed(t, "flushline-kafka.yaml", read("flushline-kafka.yaml")),
		"the README's quick one":      parsed(t, "README.md", fenced(t, "yaml")),
	}
	for _, w := range workloads(t) {
		all["that of "+w.id] = shown(t, &w)
	}
	if cfg := all["that of Deployment/flushline"]; cfg == nil || !cfg.Parks() {
		t.Error("the deployment's configuration shows no route that parks")
	}
	for name, cfg := range all {
		if cfg.Drain.Timeout != drain {
			t.Errorf("%s configuration drains in %s, the manifests count on %s", name, cfg.Drain.Timeout, drain)
		}
		for _, route := range cfg.Routes {
			for _, entry := range route.Flushers {
				if entry.FlushTimeout > flushTimeout {
					t.Errorf("%s configuration: %s may flush for %s, the manifests count on %s",
						name, entry.Name, entry.FlushTimeout, flushTimeout)
				}
			}
		}
	}
}

// shown is the configuration that a workload's program reads, with a value for each
// variable that the manifest takes from a Secret, and for no other.
func shown(t *testing.T, w *workload) *configs.Config {
	t.Helper()
	_, content := config(t, w)
	for _, e := range w.program.Env {
		if e.From.Secret.Name != "" && e.From.Secret.Key != "" {
			content = strings.ReplaceAll(content, "${env:"+e.Name+"}", "a secret")
		}
	}
	return parsed(t, w.id, content)
}

func parsed(t *testing.T, name, content string) *configs.Config {
	t.Helper()
	kinds, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	cfg, report := configs.Parse(name, []byte(content), kinds)
	if report.Failed() {
		t.Fatalf("%s: %v", name, report.Err())
	}
	return cfg
}

func TestTheReadmeBeginsWithTwoCommands(t *testing.T) {
	t.Parallel()
	var commands []string
	for line := range strings.Lines(fenced(t, "sh")) {
		commands = append(commands, strings.TrimSpace(strings.SplitN(line, "#", 2)[0]))
	}
	if got := strings.Join(commands, "; "); got != "make demo; make test" {
		t.Errorf("the first commands are %q", got)
	}
}

// fenced is the first block of a language in the README.
func fenced(t *testing.T, language string) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatalf("the README has no block of %s", language)
	}
	return string(block[1])
}
