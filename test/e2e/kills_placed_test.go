//go:build unix

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/proof"
)

// placedSubset is what `make faults` runs of the series.
var placedSubset = []string{"nats/flush.after", "nats/ack.sent", "kafka/commit.sent", "files/job.checkpoint.after"}

// At each named step, on each queue, one process after the other is killed on the same
// messages: nothing is lost, and no more comes twice than so many kills may repeat. What
// counts is what fired.
func TestKillsPlaced(t *testing.T) {
	t.Parallel()
	if _, err := failing(); err != nil {
		t.Fatal(err)
	}
	total, command := killTotal(t, 20)
	all := placedSeries()
	if command == shortKills {
		all = slices.DeleteFunc(all, func(s *killSeries) bool { return !slices.Contains(placedSubset, s.name()) })
	}
	share(all, total)
	run := proof.Begin("kills-placed", "A process that is killed at a named step, again and again on the same messages, loses none, and no more comes twice than is promised.", command)
	var sums killSums
	t.Run("all", func(t *testing.T) {
		for _, s := range all {
			t.Run(s.name(), func(t *testing.T) {
				t.Parallel()
				sums.add(t, "at "+string(s.Point), s.run(t))
			})
		}
	})
	sums.judge(t, run, total)
	run.Value("steps, each with each queue that has it", float64(len(all)), "")
	run.End(t)
}

// killSeries is a number of kills at one point on one queue.
type killSeries struct {
	crashCell
	job    bool
	static bool // on Kafka: the worker keeps its name, so that its successor waits for no session to end
	kills  int
}

func (s *killSeries) name() string { return s.queue + "/" + string(s.Point) }

// placedSeries are all, those that wait longest first.
func placedSeries() (all []*killSeries) {
	for _, queue := range []string{"nats", "kafka", "files"} {
		for _, p := range jobCrashPoints {
			all = append(all, &killSeries{crashCell: crashCell{crashPoint: p, queue: queue, action: kill}, job: true})
		}
	}
	for _, queue := range []string{"kafka", "nats"} {
		for i, p := range crashPoints {
			if p.not[queue] == "" {
				static := i%2 == 0 && p.Point != failpoint.RebalanceBetween
				all = append(all, &killSeries{crashCell: crashCell{crashPoint: p, queue: queue, action: kill}, static: static})
			}
		}
	}
	return all
}

// share gives each series its part of all kills: one of a job, whose shard is kept for ten
// seconds after each, half of that of a worker.
func share(all []*killSeries, total int) {
	var weight int
	for _, s := range all {
		weight += s.weight()
	}
	for _, s := range all {
		s.kills = (total*s.weight() + weight - 1) / weight
	}
}

func (s *killSeries) weight() int {
	if s.job {
		return 1
	}
	return 2
}

func (s *killSeries) run(t *testing.T) killSum {
	t.Helper()
	s.log = filepath.Join(t.TempDir(), "failpoints")
	switch {
	case s.job:
		return s.killJob(t)
	case s.Point == failpoint.RebalanceBetween:
		return s.killInTurn(t)
	}
	x := s.crashed(t)
	config := x.config(t, "w1", x.window)
	halt := x.traffic(t, config)
	for n := range s.kills {
		x.first = x.begin(t, "w1", config)
		x.provoke(t)
		s.died(t, x.first.process, n+1)
	}
	halt()
	return s.settle(t, x, config, s.kills)
}

// crashed is the rig of a series.
func (s *killSeries) crashed(t *testing.T) *crashed {
	t.Helper()
	x := newCrashed(t, &s.crashCell)
	if x.kafka != nil {
		x.kafka.static = s.static
	}
	return x
}

// killInTurn has a worker join a group of one, which is killed while it gives up
// partitions. The group then is the other one. On a machine that is too busy for the
// session, the first one may lose its partitions instead and has none to give up: then the
// other one joins again.
func (s *killSeries) killInTurn(t *testing.T) killSum {
	t.Helper()
	x := s.crashed(t)
	configs := map[string]string{"w1": x.config(t, "w1", x.window), "w2": x.config(t, "w2", x.window)}
	halt := x.traffic(t, configs["w1"])
	one, other := x.begin(t, "w1", configs["w1"]), "w2"
	var again int
	for n := 0; n < s.kills; {
		x.kafka.settled(t, 1)
		x.flows(t)
		next := x.begin(t, other, configs[other])
		if !s.firesWithin(20*time.Second, n+1) {
			next.kill()
			if again++; again > s.kills {
				t.Fatalf("%d workers joined, and only %d partitions' moves met %s", n+again, n, s.Point)
			}
			continue
		}
		n++
		s.died(t, one.process, n)
		one, other = next, one.name
	}
	halt()
	one.kill() // it would meet the point again; not one of those that were placed
	return s.settle(t, x, configs["w1"], s.kills+again+1)
}

// firesWithin says whether the action was taken so often before the time was over.
func (s *killSeries) firesWithin(most time.Duration, times int) bool {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if strings.Count(s.noted(), "fired ") >= times {
			return true
		}
	}
	return false
}

// died waits until the process was killed at the point, as the n-th.
func (s *killSeries) died(t *testing.T, p *process, n int) {
	t.Helper()
	s.fired(t, n)
	select {
	case <-p.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the process has not ended a minute after it was killed at %s", s.Point)
	}
	if code := p.ExitCode(); code != -1 {
		t.Fatalf("the process ended with %d at %s, kill %d", code, s.Point, n)
	}
}

// settle lets a last worker do what is left, and judges.
func (s *killSeries) settle(t *testing.T, x *crashed, config string, kills int) killSum {
	t.Helper()
	x.slow.recovers()
	p := x.pod(t, "failing", "w1", config)
	x.drained(t, 2*time.Minute)
	p.status(t)
	p.terminate(t)
	x.verdict(t, kills*x.repeats())
	return s.sum(x.row)
}

func (s *killSeries) sum(r crashRow) killSum {
	return killSum{kills: s.kills, met: s.kills, confirmed: r.Confirmed, lost: r.Lost, duplicates: r.Duplicates, bound: r.Bound}
}

// killJob is the same of a job.
func (s *killSeries) killJob(t *testing.T) killSum {
	t.Helper()
	j := jobOn(t, s.queue, 600+200*s.kills)
	for n := range s.kills {
		p := j.meets(t, &s.crashCell, "100/s")
		s.died(t, p.process, n+1)
	}
	r := j.start(t, j.config).report(t, 0, 3*time.Minute)
	j.whole(t, r)
	row := crashRow{Duplicates: int(j.judged(t)), Bound: j.mayRepeat(t, r, s.kills)}
	for _, v := range j.verdicts(t) {
		row.Confirmed += v.Confirmed
		row.Lost += v.Lost.Count
	}
	j.again(t, r)
	return s.sum(row)
}
