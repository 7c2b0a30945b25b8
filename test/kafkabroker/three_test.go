//go:build unix

package kafkabroker_test

import (
	"testing"

	"github.com/flushline/flushline/test/kafkabroker"
)

// TestThreeBrokers takes the older version, so that both are run.
func TestThreeBrokers(t *testing.T) {
	c := kafkabroker.Start(t, kafkabroker.Options{Nodes: 3, Version: kafkabroker.Version3})
	c.CreateTopic(t, "led", 3, 3, nil)
	for id := 1; id <= 3; id++ {
		c.MoveLeader(t, "led", 0, id)
		if leader := c.Leader(t, "led", 0); leader != id {
			t.Errorf("broker %d leads, not %d", leader, id)
		}
	}
	c.CreateTopic(t, "single", 1, 1, nil)
	c.Fill(t, "single", 1, 10)
	next := c.Leader(t, "single", 0)%3 + 1
	c.MoveLeader(t, "single", 0, next)
	if ends := c.Ends(t, "single"); ends[0] != 10 {
		t.Errorf("after its only replica moved: %v", ends)
	}

	c.Node(3).Freeze(t)
	c.Node(2).Thaw() // was not frozen
	c.Node(3).Thaw()
	c.Node(3).Kill()
	c.Fill(t, "led", 3, 10) // waits until a broker that is left leads
	c.Node(3).Restart(t)
	if ends := c.Ends(t, "led"); ends[0] != 10 || ends[1] != 10 || ends[2] != 10 {
		t.Errorf("after one broker was killed: %v", ends)
	}
}
