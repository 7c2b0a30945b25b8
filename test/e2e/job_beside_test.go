//go:build unix

package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/test/kafkabroker"
)

// A live worker is under load, and jobs replay old data beside it as fast as they can:
// the worker keeps what is its own, and up with the load. What a job may cost it at half
// of what it can take is measured by test/bench.
func TestJobBesideLive(t *testing.T) {
	t.Run("nats", func(t *testing.T) {
		j := natsJob(t, size(4000, 50_000))
		lag := func() int64 {
			info := j.broker.consumer(t)
			return int64(info.NumPending) + int64(info.NumAckPending)
		}
		j.beside(t, lag, func(*pod) func() {
			return func() {
				info := j.broker.consumer(t)
				if info.NumRedelivered != 0 || info.Delivered.Consumer != j.broker.lastSeq(t) {
					t.Errorf("of the stream's %d messages not each was delivered once to the live consumer: %+v", j.broker.lastSeq(t), info)
				}
			}
		})
	})
	t.Run("kafka", func(t *testing.T) {
		j := kafkaJob(t, size(4000, 50_000))
		k, ok := j.queued.(*placingKafka)
		if !ok {
			t.Fatalf("the rig is on a %T", j.queued)
		}
		j.beside(t, func() int64 { return k.lag(t) }, func(live *pod) func() {
			before := k.settled(t, 1)
			watched := k.watchOffsets(t)
			return func() {
				watched()
				if n := live.metric(t, "flushline_rebalances_total"); n != 0 {
					t.Errorf("%v rebalances, and nobody came or went", n)
				}
				sameMembers(t, before, k.settled(t, 1))
			}
		})
	})
}

func sameMembers(t *testing.T, before, after kafkabroker.Group) {
	t.Helper()
	if before.Members[0].ID != after.Members[0].ID {
		t.Errorf("member %s became %s", before.Members[0].ID, after.Members[0].ID)
	}
}

// beside is the whole story. watch looks at what is the live worker's; the function
// that it returns judges.
func (j *jobRig) beside(t *testing.T, lag func() int64, watch func(*pod) func()) {
	t.Helper()
	old := lag()
	all, _ := j.inRange(t)
	j.heldBack(t, old/2)

	live := rigOn(t, j.queued)
	live.path, live.journal = j.path, j.journal
	p := live.pod(t, "flushline", "live", live.config(t, "live", 2000))
	eventually(t, 2*time.Minute, "the live worker has caught up", func() bool { return lag() == 0 })
	judged := watch(p)
	load := live.load(30)
	load.Start, load.Logs, load.Rate = j.began, 1, 300
	stop := live.producing(t, load)

	lasts := size(8*time.Second, time.Minute)
	seen := live.slow.ids.Load()
	eventually(t, time.Minute, "the load flows", func() bool { return live.slow.ids.Load() > seen+100 })
	above := int64(load.Rate) // a second's worth: the batches of one route wait so long
	var jobs int
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		jobs = j.replays(t, above, lasts)
	}()
	beside := live.takes(lag, 5*time.Minute, ended)
	stop()
	if t.Failed() {
		t.FailNow()
	}
	eventually(t, time.Minute, "the live worker has all", func() bool { return lag() == 0 })
	p.status(t)
	judged()
	p.terminate(t)
	t.Logf("beside %d jobs that took %.0f a second: %s", jobs, float64(int64(jobs)*all)/beside.lasted.Seconds(), beside)
	under := float64(above) / beside.lasted.Seconds() // a second's worth is on its way at any time
	if beside.took+under < 0.95*beside.offered {
		t.Errorf("beside the jobs the live worker took %.1f %% of what came", 100*beside.took/beside.offered)
	}
	if bound := above + 2*int64(load.Rate); beside.lag > bound {
		t.Errorf("the live worker's lag was %d, want at most %d", beside.lag, bound)
	}
	live.judge(t, (*ledger.Verdict).Once)
	for name, v := range j.verdicts(t) {
		if !v.Kept() || v.Copies[jobs] != v.Confirmed {
			t.Errorf("%s did not get each log of the range from each of %d jobs", name, jobs)
		}
	}
}

// replays runs one job after the other for at least as long as that, and says how many.
func (j *jobRig) replays(t *testing.T, above int64, lasts time.Duration) (n int) {
	for begin := time.Now(); time.Since(begin) < lasts && !t.Failed(); n++ {
		p := j.start(t, j.config, "--pause-when-lag-above", fmt.Sprint(above))
		<-p.Ended()
		<-p.read
		if code := p.ExitCode(); code != 0 {
			t.Errorf("job %s ended with %d:\n%s", j.name, code, p.out)
		}
		j.name = fmt.Sprintf("night%d", n+1)
	}
	return n
}

// heldBack has a job wait for live workers that are not there.
func (j *jobRig) heldBack(t *testing.T, above int64) {
	t.Helper()
	p := j.start(t, j.config, "--pause-when-lag-above", fmt.Sprint(above))
	eventually(t, time.Minute, "the job is held back", func() bool {
		return strings.Contains(p.Log(), "held back for the live workers") || !p.running()
	})
	<-time.After(500 * time.Millisecond) // what was under way arrives
	before := j.arrived()
	<-time.After(time.Second)
	if after := j.arrived(); after != before {
		t.Errorf("a job that is held back delivered %d groups", after-before)
	}
	p.signal(syscall.SIGTERM)
	p.report(t, 75, j.drain+5*time.Second)
}

// pace is what was seen of a live worker for a while.
type pace struct {
	offered, took float64 // messages a second
	lag           int64   // at most
	lasted        time.Duration
}

func (p pace) String() string {
	return fmt.Sprintf("offered %.0f a second, took %.0f, lag at most %d, for %s", p.offered, p.took, p.lag, p.lasted.Round(time.Millisecond))
}

// takes looks at a live worker for that long, or until something has ended.
func (r *rig) takes(lag func() int64, lasts time.Duration, ended <-chan struct{}) pace {
	look := func() (tried, lags int64) { return int64(r.journal.Tried()), lag() }
	begin, over := time.Now(), time.After(lasts)
	from, behind := look()
	p := pace{lag: behind}
	for {
		select {
		case <-time.After(200 * time.Millisecond):
			p.lag = max(p.lag, lag())
			continue
		case <-over:
		case <-ended:
		}
		to, left := look()
		p.lasted = time.Since(begin)
		p.offered = float64(to-from) / p.lasted.Seconds()
		p.took = float64((to-left)-(from-behind)) / p.lasted.Seconds()
		return p
	}
}
