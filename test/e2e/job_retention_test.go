//go:build unix

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/job"
)

// Retention takes a part of the range while a job reads it: what is left arrives,
// what is gone is counted exactly, and the job ends with 65.
func TestJobRetentionIsCounted(t *testing.T) {
	t.Parallel()
	const groups, bytes = 3000, 8000 // much more than a job reads ahead
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		j := natsJobOf(t, groups, bytes)
		j.overtaken(t, func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			s, err := j.broker.js.Stream(ctx, streamName)
			if err == nil {
				err = s.Purge(ctx, jetstream.WithPurgeSequence(j.broker.lastSeq(t)/2)) // the range ends at three quarters
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		j := kafkaJobOf(t, groups, bytes)
		k, ok := j.queued.(*placingKafka)
		if !ok {
			t.Fatalf("the rig is on a %T", j.queued)
		}
		j.overtaken(t, func() {
			for p, end := range k.cluster.Ends(t, k.topic) {
				k.cluster.DeleteRecords(t, k.topic, p, end/2)
			}
		})
	})
}

// overtaken has a part deleted, of which the job has read only the beginning.
func (j *jobRig) overtaken(t *testing.T, remove func()) {
	t.Helper()
	j.limits = ", in_flight: 4MiB, message: 1MiB"
	p := j.start(t, j.rig.config(t, "j1", 2000), "--rate", "500/s")
	j.waits(t, p, nil, 20)
	remove()
	r := p.report(t, 65, 2*time.Minute)
	var lost int
	for name, v := range j.verdicts(t) {
		if name != "both (file)" { // misses what "both (http)" misses
			lost += v.Lost.Count
		}
		if v.Duplicates+v.Spurious.Count+v.Corrupt.Count > 0 {
			t.Errorf("more than a loss at %s:\n%s", name, v)
		}
	}
	gone := r.Passed[job.PassedExpired]
	if lost == 0 || gone != int64(lost) || r.Messages+r.passed() != r.Planned.Positions {
		t.Errorf("%d messages did not arrive; the report has %d of %d positions, %v passed over", lost, r.Messages, r.Planned.Positions, r.Passed)
	}
	if !r.Finished || r.Complete || !strings.Contains(strings.Join(r.Missing, "; "), job.PassedExpired) {
		t.Errorf("finished %t, complete %t, missing %q", r.Finished, r.Complete, r.Missing)
	}
	j.noDeadLetters(t)
	j.untouched(t)
}
