package deploy_test

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/flushline/flushline/test/kafkabroker"
)

func TestComposeStartsInOrderAndDrains(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Services map[string]struct {
			Image     string   `yaml:"image"`
			Command   []string `yaml:"command"`
			Volumes   []string `yaml:"volumes"`
			Grace     string   `yaml:"stop_grace_period"`
			DependsOn map[string]struct {
				Condition string `yaml:"condition"`
			} `yaml:"depends_on"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ worker, setup, broker, config string }{
		{"worker", "setup", "nats", "./flushline.yaml"},
		{"worker-kafka", "setup-kafka", "kafka", "./flushline-kafka.yaml"},
	} {
		worker, setup := file.Services[c.worker], file.Services[c.setup]
		grace, err := time.ParseDuration(worker.Grace)
		if err != nil || grace <= graceFloor {
			t.Errorf("%s: stop_grace_period is %q, must be above %s", c.worker, worker.Grace, graceFloor)
		}
		if setup.DependsOn[c.broker].Condition != "service_healthy" ||
			worker.DependsOn[c.setup].Condition != "service_completed_successfully" {
			t.Errorf("wrong order: %s %v, %s %v", c.setup, setup.DependsOn, c.worker, worker.DependsOn)
		}
		if len(setup.Command) < 3 || setup.Command[0] != "setup" {
			t.Errorf("%s runs %v", c.setup, setup.Command)
		}
		mount := c.config + ":" + setup.Command[2] + ":ro"
		if !slices.Contains(setup.Volumes, mount) || !slices.Contains(worker.Volumes, mount) {
			t.Errorf("%s has %v, %s has %v, want %s", c.setup, setup.Volumes, c.worker, worker.Volumes, mount)
		}
	}
	// What is shown is what is tested against.
	if got, want := file.Services["kafka"].Image, "apache/kafka:"+kafkabroker.Version4; got != want {
		t.Errorf("the image is %s, want %s", got, want)
	}
}

func TestTheImageIsStaticAndNotRoot(t *testing.T) {
	t.Parallel()
	stages := dockerfile(t)
	last := stages[len(stages)-1]
	if last["FROM"] != "scratch" || last["USER"] != user+":"+user {
		t.Errorf("the last stage is from %q as user %q", last["FROM"], last["USER"])
	}
	if !strings.HasPrefix(last["ENTRYPOINT"], "[") || !strings.HasPrefix(last["CMD"], "[") {
		t.Error("a shell form needs a shell, and the image has none")
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(mod)
	if version == nil || !strings.Contains(stages[0]["FROM"], "golang:"+string(version[1])+"-") {
		t.Errorf("go.mod wants go %s, the image is built by %q", version[1], stages[0]["FROM"])
	}
	if !strings.Contains(stages[0]["RUN"], "CGO_ENABLED=0") {
		t.Error("the binary is linked against a libc that scratch does not have")
	}
}

// dockerfile reads the instructions of each stage; those that come more than once
// are joined.
func dockerfile(t *testing.T) []map[string]string {
	t.Helper()
	raw, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var stages []map[string]string
	lines := bufio.NewScanner(strings.NewReader(strings.ReplaceAll(string(raw), "\\\n", " ")))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			stages = append(stages, map[string]string{})
		}
		if len(stages) == 0 {
			t.Fatalf("%q stands before FROM", line)
		}
		stage := stages[len(stages)-1]
		stage[word] = strings.TrimSpace(stage[word] + " " + rest)
	}
	if len(stages) != 2 {
		t.Fatalf("%d stages, want 2", len(stages))
	}
	return stages
}
