package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/flushline/flushline/test/pipenet"
)

// The faults of Kafka: of one worker's network, of brokers, and of answers.
const (
	kafkaCut         = "kafka-cut"           // connections break, and the network is away for a moment or longer
	kafkaCutMidFrame = "kafka-cut-mid-frame" // they break within what either side says
	kafkaFrozen      = "kafka-frozen"        // nothing gets through for longer than a session; then all of it does
	kafkaMute        = "kafka-mute"          // what the worker says is held back
	kafkaDeaf        = "kafka-deaf"          // what brokers say is held back
	kafkaHalfClosed  = "kafka-half-closed"   // one direction ends
	kafkaLatency     = "kafka-latency"       // everything takes its time
	kafkaBroker      = "kafka-broker-down"   // a broker dies and comes back
	kafkaLeaders     = "kafka-leaders-move"  // other brokers lead partitions
	kafkaCoordinator = "kafka-coordinator-moves"
	kafkaPartitions  = "kafka-partitions-added"
	kafkaAborted     = "kafka-transaction-aborted"
	kafkaEvicted     = "kafka-evicted" // somebody throws all members out of the group
)

// What follows of faults.
const (
	kafkaMoved = "kafka-moved-while-holding"
	kafkaLost  = "kafka-lost-while-holding"
	kafkaStale = "kafka-stale-commit" // one of a generation that was over, which the coordinator refused
)

var kafkaNetwork = []string{kafkaCut, kafkaCutMidFrame, kafkaFrozen, kafkaMute, kafkaDeaf, kafkaHalfClosed}

// kafkaClean are faults after which nothing comes again.
var kafkaClean = []string{kafkaLatency, kafkaLeaders, kafkaCoordinator, kafkaPartitions, kafkaFetchFails, kafkaCommitUnsure, kafkaAborted}

var kafkaMusts = slices.Concat(kafkaNetwork, kafkaClean, []string{
	kafkaBroker, kafkaEvicted, kafkaGroupErrors, kafkaCommitRefused, kafkaCommitUnheard, kafkaBeatRefused, kafkaLettersFail,
	kafkaMoved, kafkaLost,
})

func (h *kafkaHalf) cleanKinds() []string { return kafkaClean }

func (h *kafkaHalf) kinds() []string {
	return slices.Concat(kafkaNetwork, []string{
		kafkaBroker, kafkaEvicted, kafkaGroupErrors, kafkaCommitRefused, kafkaCommitUnheard, kafkaBeatRefused, kafkaLettersFail,
	})
}

func (h *kafkaHalf) fault(f *fault) {
	d := throw(h.w.seed, f.kind, fmt.Sprint(f.n))
	switch f.kind {
	case kafkaBroker:
		if node, ok := h.cluster.takeDown(d); ok {
			h.w.saw(f.kind)
			time.Sleep(f.lasts)
			h.cluster.bringUp(d, node)
		}
	case kafkaLeaders:
		if h.cluster.move(d) > 0 {
			h.w.saw(f.kind)
		}
	case kafkaCoordinator:
		before := h.cluster.CoordinatorFor(kafkaGroup)
		h.cluster.RehashCoordinators()
		if h.cluster.CoordinatorFor(kafkaGroup) != before {
			h.w.saw(f.kind)
		}
	case kafkaPartitions:
		h.addPartitions(f)
	case kafkaAborted:
		h.abort(f, d)
	case kafkaEvicted:
		h.evict(f)
	default:
		if answers, is := kafkaAnswers[f.kind]; is {
			h.answer(f, d, answers)
		} else {
			h.network(f, d)
		}
	}
}

// network is a fault of one worker's connections.
func (h *kafkaHalf) network(f *fault, d *dice) {
	p := h.w.slots[f.slot].pod.Load()
	if p == nil {
		return
	}
	host := h.hostOf(p)
	way := pick(d, pipenet.Up, pipenet.Down)
	switch f.kind {
	case kafkaCut:
		host.Refuse(true)
		h.sawIf(f.kind, host.Cut())
		time.Sleep(f.lasts)
		host.Refuse(false)
	case kafkaCutMidFrame:
		host.CutAfter(int64(d.between(1, 3000)), way, func() { h.w.saw(f.kind) })
	case kafkaHalfClosed:
		h.sawIf(f.kind, host.Shut(way))
	case kafkaLatency:
		host.Delay(d.within(time.Millisecond, 150*time.Millisecond))
		h.sawIf(f.kind, host.Connections())
		time.Sleep(f.lasts)
		host.Delay(0)
	case kafkaFrozen:
		f.lasts = kafkaSession + d.within(time.Second, kafkaSession)
		h.hold(f, host, pipenet.Both)
	case kafkaMute:
		h.hold(f, host, pipenet.Up)
	case kafkaDeaf:
		h.hold(f, host, pipenet.Down)
	}
}

func (h *kafkaHalf) hold(f *fault, host *pipenet.Host, way pipenet.Way) {
	host.Hold(way)
	h.sawIf(f.kind, host.Connections())
	time.Sleep(f.lasts)
	host.Release()
}

// sawIf counts a fault that met somebody.
func (h *kafkaHalf) sawIf(kind string, n int) {
	if n > 0 {
		h.w.saw(kind)
	}
}

// heal has nothing to mend: every fault ended by itself.
func (h *kafkaHalf) heal() {
	if h.commits.staleOnes() > 0 {
		h.w.saw(kafkaStale)
	}
}
