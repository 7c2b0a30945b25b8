//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/test/kafkabroker"
)

// commitsAgain is how long after the group's new coordinator answers offsets have to
// move again.
const commitsAgain = 2 * time.Second

// Of three brokers the group's coordinator is killed, then one that leads, again and
// again, and leaderships are moved: nothing is lost, nobody loses a partition or leaves
// the group, and offsets are committed again soon after there is somebody to commit to.
func TestKafkaCoordinatorAndLeadersAreLost(t *testing.T) {
	run := proof.Begin("kafka-coordinator", "After the group's coordinator was killed no partition changes hands, and offsets are committed again soon after its successor answers.", size("make faults", "make e2e-long RUN=TestKafkaCoordinator"))
	r, k := kafkaRigOn(t, kafkabroker.Start(t, kafkabroker.Options{Nodes: 3}))
	k.session = 12 * time.Second // the broker counts it while it does not answer yet
	one, two := r.config(t, "w1", 1000), r.config(t, "w2", 1000)
	r.setup(t, one)
	load := r.load(30)
	load.Rate = 300
	stop := r.producing(t, load)
	pods := []*pod{r.pod(t, "flushline", "w1", one), r.pod(t, "flushline", "w2", two)}
	before := k.settled(t, 2)
	var rounds []float64
	for _, p := range pods {
		p.serves(t)
		rounds = append(rounds, p.metric(t, "flushline_rebalances_total"))
	}
	var coordinator, leader []time.Duration
	for range size(1, 12) {
		took := k.losesCoordinator(t, r)
		coordinator = append(coordinator, took)
		if took > commitsAgain {
			t.Errorf("offsets moved %s after the new coordinator answered, want at most %s", took, commitsAgain)
		}
		leader = append(leader, k.losesLeader(t, r))
	}
	stop()
	k.drained(t, time.Minute)
	after := k.settled(t, 2)
	for i := range before.Members {
		if before.Members[i].ID != after.Members[i].ID && before.Members[i].ID != after.Members[1-i].ID {
			t.Errorf("member %s did not stay in the group", before.Members[i].Client)
		}
	}
	var rebalances float64
	for i, p := range pods {
		rebalances += p.metric(t, "flushline_rebalances_total") - rounds[i]
		p.status(t)
		p.terminate(t)
	}
	if rebalances != 0 {
		t.Errorf("%v rebalances, and nobody came or went", rebalances)
	}
	t.Logf("%d duplicates", r.judge(t, (*ledger.Verdict).Kept))
	run.Fault("SIGKILL of the group's coordinator", len(coordinator))
	run.Fault("SIGKILL of a leader", len(leader))
	run.AtMost("rebalances", rebalances, 0, "")
	timed(run, "offsets move after the new coordinator answers", coordinator, commitsAgain)
	untimed(run, "every partition has its new leader and a commit after a leader was killed", leader)
	run.End(t)
}

// losesCoordinator kills the group's coordinator and measures from when its successor
// answers until offsets have moved. It leaves three brokers in sync.
func (k *kafka) losesCoordinator(t *testing.T, r *rig) time.Duration {
	t.Helper()
	r.flows(t)
	id := k.cluster.Coordinator(t, k.group)
	killed := time.Now()
	k.cluster.Node(id).Kill()
	next := k.cluster.NextCoordinator(t, k.group)
	if next == id {
		t.Fatalf("broker %d was killed and answers for the group", id)
	}
	answers := time.Now()
	from := k.committed(t)
	eventually(t, 30*time.Second, "offsets move", func() bool { return k.committed(t) > from })
	took := time.Since(answers)
	t.Logf("coordinator %d was killed: broker %d answered after %s, offsets moved %s later", id, next, answers.Sub(killed).Round(time.Millisecond), took.Round(time.Millisecond))
	k.heals(t, id)
	return took
}

// losesLeader moves a partition of the coordinator to another broker, kills that one, and
// measures until every partition that it led has moved on. It leaves three brokers in sync.
func (k *kafka) losesLeader(t *testing.T, r *rig) time.Duration {
	t.Helper()
	coordinator := k.cluster.Coordinator(t, k.group)
	id, moved := coordinator%3+1, false
	var led []int32
	for p := range int32(partitions) {
		leader := k.cluster.Leader(t, k.topic, p)
		if leader != id && !moved {
			k.cluster.MoveLeader(t, k.topic, p, id)
			leader, moved = id, true
		}
		if leader == id {
			led = append(led, p)
		}
	}
	r.flowsAgain(t, "leaders moved", 30*time.Second)
	from := k.cluster.Committed(t, k.group, k.topic)
	killed := time.Now()
	k.cluster.Node(id).Kill()
	eventually(t, 30*time.Second, "what it led is committed", func() bool {
		now := k.cluster.Committed(t, k.group, k.topic)
		for _, p := range led {
			if now[p].Offset <= from[p].Offset || k.cluster.Leader(t, k.topic, p) == id {
				return false
			}
		}
		return true
	})
	took := time.Since(killed)
	t.Logf("broker %d was killed, which led %d partitions: all moved on within %s", id, len(led), took.Round(time.Millisecond))
	k.heals(t, id)
	return took
}

// heals starts a killed broker and waits until it has all that it missed.
func (k *kafka) heals(t *testing.T, id int) {
	t.Helper()
	k.cluster.Node(id).Restart(t)
	k.cluster.InSync(t, k.topic)
	k.cluster.InSync(t, "__consumer_offsets")
}

// committed sums the committed offsets.
func (k *kafka) committed(t *testing.T) (sum int64) {
	t.Helper()
	for _, c := range k.cluster.Committed(t, k.group, k.topic) {
		sum += c.Offset
	}
	return sum
}
