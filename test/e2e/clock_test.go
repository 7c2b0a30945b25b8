//go:build unix

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/internal/proof"
	"github.com/flushline/flushline/protocol"
)

// A worker's wall clock is set an hour forward and back, twice, while messages are held
// for longer than their queue waits and each request takes two seconds: nothing is lost
// or comes twice, nothing is redelivered, no call is given up, and logs flow on.
func TestTheWallClockIsSet(t *testing.T) {
	t.Parallel()
	c := &clockRun{run: proof.Begin("clock",
		"The wall clock of a worker is set an hour forward and back under load: nothing is lost, redelivered or given up, and flow goes on.",
		"make faults RUN=TestTheWallClockIsSet")}
	t.Cleanup(func() {
		c.run.Note("Only the worker's clock is set, not its broker's; the embedded queue is in the worker and has its clock. It is the program with another time.Now, built with -overlay.")
		c.run.End(t)
	})
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, false)
		c.set(t, r, "nats", true, r.broker.drained)
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		r, k := newKafkaRig(t)
		k.session = patient
		c.set(t, r, "kafka", true, k.drained)
		if n := k.cluster.Group(t, k.group); len(n.Members) != 0 {
			t.Errorf("%d members are left in the group", len(n.Members))
		}
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		q := newInside(t.TempDir())
		r := rigOn(t, q)
		c.set(t, r, "embedded", false, q.drained)
	})
}

// clockRun gathers what the queues showed.
type clockRun struct {
	mu  sync.Mutex
	run *proof.Run
}

// held is the project of messages that wait until a gate opens.
const held = "held"

func (c *clockRun) set(t *testing.T, r *rig, queue string, setup bool, drained func(*testing.T, time.Duration)) {
	t.Helper()
	wall, gate := filepath.Join(t.TempDir(), "wall"), filepath.Join(t.TempDir(), "gate")
	r.slow.delay = 2 * time.Second
	r.first = func(string) string {
		return fmt.Sprintf(`
  - name: held
    match: {project: %s}
    when_blocked: wait
    flushers:
      - {type: gated, path: %q, gate: %q, flush_timeout: %s}
`, held, filepath.Join(r.dir, held), gate, r.timeout)
	}
	config := r.config(t, "w1", 4000)
	if setup {
		r.setup(t, config)
	}
	p := r.clockedPod(t, config, wall)
	if q, is := r.queued.(*inside); is {
		q.connect(t)
		eventually(t, 20*time.Second, "the stream is there", func() bool {
			_, err := q.tryConsumer(t.Context())
			return err == nil
		})
	}
	load := r.load(16)
	load.Keys, load.Logs, load.Rate = ledger.Keys(16, "waits", "slow", "both", held), 1, 100
	stop := r.producing(t, load)
	r.flows(t)
	var slowest time.Duration
	for _, seconds := range []int64{3600, 0, -3600, 0} {
		c.jump(t, p, wall, seconds, queue)
		slowest = max(slowest, r.flowsAgain(t, fmt.Sprintf("the clock is off by %d s", seconds), time.Minute))
		<-time.After(ackWait + 2*time.Second) // what is held has to stay ours
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stop()
	drained(t, time.Minute)
	c.verdict(t, r, p, queue, slowest)
}

// clockedPod starts the program whose clock follows a file.
func (r *rig) clockedPod(t *testing.T, config, wall string) *pod {
	t.Helper()
	path, err := clocked()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "-c", config)
	cmd.Env = append(os.Environ(), "FLUSHLINE_TEST_WALL="+wall)
	p, out := child.Start(t, "w1", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	running := newPod(&process{p, "w1", cmd})
	r.scrape(t, running)
	return running
}

// jump sets the pod's clock, and sees that it is.
func (c *clockRun) jump(t *testing.T, p *pod, wall string, seconds int64, queue string) {
	t.Helper()
	off := func() int64 { return int64(time.Until(p.status(t).Now).Round(time.Minute) / time.Second) }
	before := off()
	if err := os.WriteFile(wall, []byte(strconv.FormatInt(seconds, 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the pod's clock is set", func() bool { return off() == seconds })
	kind := "forward"
	if seconds < before {
		kind = "back"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.Fault(queue+": wall clock set an hour "+kind, 1)
}

func (c *clockRun) verdict(t *testing.T, r *rig, p *pod, queue string, slowest time.Duration) {
	t.Helper()
	redelivered, abandoned := p.metric(t, "flushline_redelivered_total"), int64(0)
	s := p.status(t)
	for i := range s.Flushers {
		abandoned += s.Flushers[i].Errors["timeout"]
	}
	r.noDeadLetters(t) // while the embedded queue is there
	p.terminate(t)
	lost, duplicates := 0, 0
	for name, v := range r.verdicts(t) {
		if !v.Once() {
			t.Errorf("%s did not get what it should once", name)
		}
		lost, duplicates = lost+v.Lost.Count, duplicates+v.Duplicates
	}
	v := r.judgeOne(t, "held (gated)", filepath.Join(r.dir, held), func(k protocol.Key) bool { return k.Project == held }, (*ledger.Verdict).Once)
	lost, duplicates = lost+v.Lost.Count, duplicates+v.Duplicates
	r.balanced(t)
	if redelivered > 0 || abandoned > 0 || slowest > clockBack {
		t.Errorf("%v messages were redelivered, %d calls given up, flow was back after %s", redelivered, abandoned, slowest)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run.AtMost(queue+": lost", float64(lost), 0, "logs")
	c.run.AtMost(queue+": duplicates", float64(duplicates), 0, "logs")
	c.run.AtMost(queue+": redelivered", redelivered, 0, "messages")
	c.run.AtMost(queue+": calls given up", float64(abandoned), 0, "")
	c.run.AtMost(queue+": logs of after the clock was set arrived", slowest.Seconds(), clockBack.Seconds(), "s")
}

// clockBack is how long what is sent after the clock was set may take: a request takes
// two seconds, and one may be under way.
const clockBack = 10 * time.Second
