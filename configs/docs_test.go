package configs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// block is the YAML block of a page that begins with a line.
func block(t *testing.T, page, first string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n"+first)
	b, _, closed := strings.Cut(rest, "```\n")
	if !found || !closed {
		t.Fatalf("%s has no block that begins with %q", page, first)
	}
	return b
}

// The recipe for a stock Kafka flusher is a file that loads, and reads what the
// collector beside it writes.
func TestTheRecipeForCollectorsIsRight(t *testing.T) {
	t.Parallel()
	kinds := builtins(t)
	text := []byte(block(t, "ILOGTAIL.md", "# flushline.yaml\n"))
	config, report := configs.Parse("ilogtail.yaml", text, kinds)
	if len(report.Problems) > 0 {
		t.Fatalf("%s", report)
	}
	if err := validate(t, compile(t, kinds), text); err != nil {
		t.Error(err)
	}
	want := worker.Payload{Format: protocol.FormatAuto, Key: []worker.KeyRule{
		{From: worker.KeyHeaders},
		{From: worker.KeySubject, Pattern: "logs.{project}.{logstore}"},
		{From: worker.KeyTag, Parts: protocol.Key{Project: "k8s.namespace.name", Logstore: "container.name"}},
		{From: worker.KeyConstant, Parts: protocol.Key{Project: "shop", Logstore: "other", Config: "ilogtail"}},
	}}
	if diff := cmp.Diff(want, config.Worker().Payload); diff != "" {
		t.Error(diff)
	}

	collector := block(t, "ILOGTAIL.md", "# iLogtail / LoongCollector: ")
	for _, part := range []string{"Type: flusher_kafka_v2", "Topic: logs\n", "x-log-project", "x-log-logstore", "x-log-config", "Protocol: custom_single"} {
		if !strings.Contains(collector, part) {
			t.Errorf("the collector's block has no %q", part)
		}
	}
	if k := config.Source.Kafka; k.Topics[0] != "logs" || !strings.Contains(collector, `"`+k.Brokers[0]+`"`) {
		t.Errorf("the collector does not write where flushline reads: %v %v", k.Brokers, k.Topics)
	}
}
