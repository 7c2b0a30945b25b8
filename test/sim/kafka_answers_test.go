package sim

import (
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The faults of answers.
const (
	kafkaGroupErrors   = "kafka-group-errors"     // the coordinator loads, is not available, or is none
	kafkaCommitRefused = "kafka-commit-refused"   // as if the generation were over
	kafkaCommitUnsure  = "kafka-commit-timed-out" // it is carried out, and the answer says that it took too long
	kafkaCommitUnheard = "kafka-commit-unheard"   // nothing is carried out and nothing answered
	kafkaBeatRefused   = "kafka-beat-refused"     // as if the generation were over
	kafkaFetchFails    = "kafka-fetch-fails"
	kafkaLettersFail   = "kafka-letters-fail" // refused, or stored and not confirmed
)

// answers are errors that some requests get instead of an answer.
type answers struct {
	keys []kmsg.Key
	errs []*kerr.Error
	of   kfake.Fault // what else chooses the requests
}

const kafkaLetters = kafkaTopic + "." + kafkaGroup + ".dlq"

var kafkaAnswers = map[string]answers{
	kafkaGroupErrors: {
		keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.FindCoordinator},
		errs: []*kerr.Error{kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable},
		of:   kfake.Fault{Group: kafkaGroup},
	},
	kafkaCommitRefused: {
		keys: []kmsg.Key{kmsg.OffsetCommit},
		errs: []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress},
		of:   kfake.Fault{Group: kafkaGroup},
	},
	kafkaCommitUnsure: {keys: []kmsg.Key{kmsg.OffsetCommit}, errs: []*kerr.Error{kerr.RequestTimedOut}, of: kfake.Fault{Group: kafkaGroup}},
	kafkaBeatRefused: {
		keys: []kmsg.Key{kmsg.Heartbeat},
		errs: []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress},
		of:   kfake.Fault{Group: kafkaGroup},
	},
	kafkaFetchFails: {
		keys: []kmsg.Key{kmsg.Fetch},
		errs: []*kerr.Error{
			kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch,
			kerr.UnknownTopicOrPartition, kerr.ReplicaNotAvailable, kerr.KafkaStorageError, kerr.UnknownServerError,
		},
		of: kfake.Fault{Topic: kafkaTopic},
	},
	kafkaLettersFail: {
		keys: []kmsg.Key{kmsg.Produce},
		errs: []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut, kerr.NotLeaderForPartition, kerr.KafkaStorageError},
		of:   kfake.Fault{Topic: kafkaLetters},
	},
	kafkaCommitUnheard: {},
}

// answer has requests fail for a while, or only some of them.
func (h *kafkaHalf) answer(f *fault, d *dice, a answers) {
	if f.kind == kafkaCommitUnheard {
		h.unheard(f, d)
		return
	}
	fault := a.of
	fault.Keys, fault.Err, fault.Count = a.keys, pick(d, a.errs...), pick(d, 1, 3, -1)
	if h.w.mood == clean { // what never ends is more than a lease's last commit can wait for
		fault.Count = d.between(1, 3)
	}
	handle := h.cluster.Fault(fault)
	time.Sleep(f.lasts)
	handle.Remove()
	h.sawIf(f.kind, handle.Hits())
}

// unheard lets commits get no answer.
func (h *kafkaHalf) unheard(f *fault, d *dice) {
	left := int64(d.between(1, 4))
	var over atomic.Bool
	h.cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() || left == 0 {
			h.cluster.DropControl()
			return nil, nil, false
		}
		left--
		h.cluster.KeepControl()
		h.w.saw(f.kind)
		return nil, nil, true
	})
	time.Sleep(f.lasts)
	over.Store(true)
}

// evict throws everybody out of the group.
func (h *kafkaHalf) evict(f *fault) {
	g := h.cluster.GroupInfo(kafkaGroup)
	if g == nil {
		return
	}
	for _, m := range g.Members {
		if err := h.cluster.expel(m); err != nil {
			h.w.logf("couldn't evict %s: %v", m.MemberID, err)
			continue
		}
		h.w.saw(f.kind)
	}
}
