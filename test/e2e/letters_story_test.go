//go:build unix

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// storyRigs are a rig on each queue.
var storyRigs = []string{"nats", "kafka"}

// storyOn is a rig with two pods whose destination fails, and what they have to deliver.
func storyOn(t *testing.T, queue, how string, groups int) (r *rig, k *kafka, pods []*pod) {
	t.Helper()
	r, k = boundedRig(t, queue)
	r.setup(t, r.config(t, "w1", crashWindow))
	r.slow.fails(how, nil)
	for _, name := range []string{"w1", "w2"} {
		pods = append(pods, r.pod(t, "program", name, r.config(t, name, crashWindow)))
	}
	if k != nil {
		k.settled(t, len(pods))
	}
	load := r.load(1)
	load.Keys, load.Logs, load.Groups = ledger.Keys(10, "slow"), 1, groups
	r.produce(t, load)
	return r, k, pods
}

// endOnce ends the pods, and holds the destination to each group once. On a busy machine
// the group may think that a pod has died: then as much may come twice as behind a kill,
// with the same ids.
func endOnce(t *testing.T, r *rig, pods []*pod, queue string, groups int) {
	t.Helper()
	most := 0
	for _, p := range pods {
		for _, s := range p.status(t).Sources {
			if s.Counts.Released["lost"] > 0 {
				most = killRepeats(queue)
			}
		}
		p.terminate(t)
	}
	v := r.judgeOne(t, "slow (http)", r.slow.dir, func(k protocol.Key) bool { return k.Project == "slow" }, (*ledger.Verdict).Kept)
	if v.Confirmed != groups || v.Duplicates > most {
		t.Errorf("%d groups confirmed and %d came twice, want %d and at most %d", v.Confirmed, v.Duplicates, groups, most)
	}
}

// A password that was revoked is about no data: there are no dead letters, and what waits
// arrives when it is valid again.
func TestARevokedPasswordLeavesNoDeadLetters(t *testing.T) {
	t.Parallel()
	for _, queue := range storyRigs {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			const groups = 3000
			r, k, pods := storyOn(t, queue, denies, groups)
			for _, p := range pods {
				eventually(t, time.Minute, p.name+" says that its destination is misconfigured", func() bool {
					for _, l := range p.status(t).Lanes {
						if l.State == worker.LaneMisconfigured {
							return true
						}
					}
					return false
				})
			}
			r.noDeadLetters(t)
			r.slow.recovers()
			drainedRig(t, r, k, 2*time.Minute) // it is asked every 30 s
			r.noDeadLetters(t)
			endOnce(t, r, pods, queue, groups)
		})
	}
}

// A destination that rejects everything, as one with a wrong format does, is given at most
// stop_after and a batch of each process to the dead letters. After the mend `resume` and
// `dlq replay` deliver everything, once.
func TestAWrongFormatStopsAndIsReplayedInFull(t *testing.T) {
	t.Parallel()
	for _, queue := range storyRigs {
		t.Run(queue, func(t *testing.T) {
			t.Parallel()
			const groups, stopAfter = 5000, 1000
			r, k, pods := storyOn(t, queue, rejects, groups)
			for _, p := range pods {
				eventually(t, time.Minute, p.name+" stops", func() bool { return len(p.status(t).Stopped) > 0 })
			}
			// What was held back when it stopped is held: nothing more becomes a letter.
			most := int64(len(pods) * (stopAfter + crashWindow))
			if n := r.letters(t); n < stopAfter || n > most {
				t.Errorf("%d dead letters, want %d to %d", n, stopAfter, most)
			}
			r.slow.recovers()
			for _, p := range pods {
				flushline(t, "resume", "--admin", p.address(t, "admin"))
			}
			drainedRig(t, r, k, time.Minute)
			if out := flushline(t, "dlq", "replay", "-c", r.dir+"/w1.yaml"); !strings.Contains(out, "replayed ") {
				t.Errorf("the replay said %s", out)
			}
			drainedRig(t, r, k, time.Minute)
			if out := flushline(t, "dlq", "ls", "-c", r.dir+"/w1.yaml"); !strings.Contains(out, "no dead letters") {
				t.Errorf("behind the replay: %s", out)
			}
			endOnce(t, r, pods, queue, groups)
		})
	}
}
