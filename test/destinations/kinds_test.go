package destinations

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/flushertest"
	"github.com/flushline/flushline/flushers/flushertest/e2e"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/flushers/kafka"
	"github.com/flushline/flushline/flushers/nats"
	"github.com/flushline/flushline/internal/proof"
)

const fullSize = 100_000

// groupsVariable is how many groups are published instead of a hundred thousand.
const groupsVariable = "FLUSHLINE_GROUPS"

func TestHTTP(t *testing.T)  { prove(t, http.Kind(), httpTarget) }
func TestKafka(t *testing.T) { prove(t, kafka.Kind(), kafkaTarget) }
func TestNATS(t *testing.T)  { prove(t, nats.Kind(), natsTarget) }

// prove runs a kind on both queues, side by side.
func prove(t *testing.T, kind flushers.Kind, start func(testing.TB) flushertest.Target) {
	t.Helper()
	plan := e2e.Plan{Groups: fullSize, Rate: 4000, Logs: 2, Window: 2000}
	if text := os.Getenv(groupsVariable); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", groupsVariable, err)
		}
		plan.Groups = n
	}
	for name, queue := range map[string]func(testing.TB) e2e.Queue{"nats": nil, "kafka": startKafkaQueue} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plan := plan
			plan.Queue = queue
			began := proof.Begin("destination-"+strings.TrimPrefix(topicName(t), "test"),
				fmt.Sprintf("LogGroups from %s arrive complete at the %s flusher's real server while workers and the server are killed.", name, kind.Name),
				"make destinations RUN="+t.Name())
			if r := e2e.RunPlan(t, kind, flushertest.Harness{Start: start}, plan); r != nil {
				record(t, began, r, plan.Groups)
			}
		})
	}
}

// record keeps what a run of the full size showed.
func record(t *testing.T, run *proof.Run, r *e2e.Result, groups int) {
	t.Helper()
	run.Fault("worker killed", r.Killed)
	run.Fault("destination killed", r.Outages)
	run.AtLeast("groups published", float64(r.Groups), float64(groups), "")
	run.AtMost("logs lost", float64(r.Verdict.Lost.Count), 0, "")
	run.AtMost("logs stored more often than once", float64(r.Verdict.Duplicates), float64(r.MostCopies), "")
	run.Value("workers", float64(r.Lives), "")
	if groups >= fullSize {
		run.End(t)
	}
}
