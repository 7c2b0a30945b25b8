package kafkabroker_test

import (
	"os"
	"testing"

	"github.com/flushline/flushline/test/kafkabroker"
)

func TestMain(m *testing.M) { os.Exit(kafkabroker.Main(m)) }

func TestABrokerStarts(t *testing.T) {
	c := kafkabroker.Shared(t)
	c.CreateTopic(t, "start", 3, 0, map[string]string{"retention.ms": "-1"})
	if c.Node(1).PID() == os.Getpid() || !c.Node(1).Running() {
		t.Errorf("pid %d", c.Node(1).PID())
	}
}
