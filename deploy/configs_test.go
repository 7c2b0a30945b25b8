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
	kinds, err := flushers.NewRegistry(all.Kinds()...)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for name, content := range map[string]string{
		"the compose file's":          read("flushline.yaml"),
		"the compose file's on Kafka": read("flushline-kafka.yaml"),
		"the ConfigMap's":             objects(t)["ConfigMap"].Data["flushline.yaml"],
		"the README's quick one":      fenced(t, "yaml"),
	} {
		cfg, report := configs.Parse(name, []byte(content), kinds)
		if report.Failed() {
			t.Errorf("%s configuration: %v", name, report.Err())
			continue
		}
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
