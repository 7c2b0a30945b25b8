//go:build unix

package e2e

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
	"github.com/flushline/flushline/protocol"
)

// What a worker of the matrix may hold: the bounds on duplicates follow from it.
const (
	crashWindow = 200  // messages of a strand
	crashSpan   = 60   // messages of a partition
	crashCommit = 300  // messages that end before offsets are committed
	crashBegun  = 2500 // groups that wait already: many more than the bounds
	crashRate   = 300  // groups a second, beside
)

// crashed is a cell of a worker on its way.
type crashed struct {
	*crashCell
	*rig
	kafka *kafka // nil: NATS
	first *pod   // meets the fault
	pods  []*pod // that have to be stopped at the end
}

// crashWorker runs a cell of a worker under load.
func crashWorker(t *testing.T, c *crashCell) {
	x := &crashed{crashCell: c}
	if c.queue == "kafka" {
		x.rig, x.kafka = newKafkaRig(t)
		x.kafka.span, x.kafka.commit = crashSpan, fmt.Sprintf("{messages: %d}", crashCommit)
	} else {
		x.rig = newRig(t, false)
	}
	config := x.config(t, "w1", crashWindow)
	x.setup(t, config)
	load := x.load(30)
	load.Logs, load.Groups = 1, crashBegun
	if c.Point == failpoint.LetterPut {
		load.Keys = ledger.Keys(40, "waits", "slow", "both", homeless)
	}
	x.produce(t, load)
	load.Groups, load.Rate = 0, crashRate
	halt := x.producing(t, load)

	x.first = x.begin(t, config)
	x.provoke(t)
	c.fired(t)
	fault, next := time.Now(), x.journal.Tried()
	x.after(t, config)
	eventually(t, time.Minute, "logs of after the fault arrive", func() bool { return x.slow.newest.Load() >= next })
	c.row.Recovery = time.Since(fault).Seconds()
	if c.action == stop {
		x.wakes(t, fault)
	}
	halt()
	if x.kafka != nil {
		x.kafka.drained(t, time.Minute)
	} else {
		x.broker.drained(t, time.Minute)
	}
	c.row.Settled = time.Since(fault).Seconds()
	for _, p := range x.pods {
		p.status(t)
		p.terminate(t)
	}
	x.verdict(t)
}

// begin starts the worker that meets the fault.
func (x *crashed) begin(t *testing.T, config string) *pod {
	t.Helper()
	cmd := x.command(t, "run", "-c", config)
	p, out := child.Start(t, "w1", cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return newPod(&process{p, "w1", cmd})
}

// provoke leads the worker to points that it does not come to by itself.
func (x *crashed) provoke(t *testing.T) {
	t.Helper()
	switch x.Point {
	case failpoint.DrainBegin, failpoint.DrainRelease:
		x.flows(t)
		x.first.signal(syscall.SIGTERM)
	case failpoint.ReloadSwap:
		x.flows(t)
		x.timeout -= time.Second // of each flusher
		x.config(t, "w1", crashWindow)
		x.first.signal(syscall.SIGHUP)
	case failpoint.RebalanceBetween:
		x.kafka.settled(t, 1)
		x.flows(t)
		x.join(t)
	}
}

// join starts another worker.
func (x *crashed) join(t *testing.T) {
	t.Helper()
	x.pods = append(x.pods, x.pod(t, "failing", "w2", x.config(t, "w2", crashWindow)))
}

// after waits for what the action leads to and sees to it that somebody goes on.
func (x *crashed) after(t *testing.T, config string) {
	t.Helper()
	switch x.action {
	case stop:
		if len(x.pods) == 0 {
			x.join(t)
		}
		return
	case fail:
		x.pods = append(x.pods, x.first)
		return
	}
	select {
	case <-x.first.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the worker has not ended a minute after %s", x.action)
	}
	code := x.first.ExitCode()
	if want := x.action != kill; (code == -1) == want || code > 0 && !x.cutShort() {
		t.Errorf("the worker ended with %d after %s", code, x.action)
	}
	x.pods = append(x.pods, x.pod(t, "failing", "w1", config))
}

// draining says that the fault comes when the worker is stopping already.
func (x *crashed) draining() bool {
	return x.Point == failpoint.DrainBegin || x.Point == failpoint.DrainRelease
}

// cutShort says that the worker was told to end twice, and so gives back what it is
// just flushing: it ends with 75 then, or with 0 if there was nothing.
func (x *crashed) cutShort() bool { return x.draining() && x.action == term }

// wakes continues the frozen worker after its queue has given away what it held.
func (x *crashed) wakes(t *testing.T, fault time.Time) {
	t.Helper()
	if x.kafka != nil {
		x.kafka.settled(t, 1)
	} else {
		<-time.After(time.Until(fault.Add(ackWait + time.Second)))
	}
	x.first.signal(syscall.SIGCONT)
	if !x.draining() {
		x.pods = append(x.pods, x.first)
		return
	}
	select {
	case <-x.first.Ended():
	case <-time.After(time.Minute):
		t.Fatal("the worker was stopping when it was frozen, and has not ended a minute after it woke")
	}
}

// bound is how many messages may come twice: none after a clean stop, or a Flush that
// did not reach its destination; else what the worker held and the queue does not know
// to have ended. On Kafka that is what a partition's watermark may lag behind, and what
// ended before and during a commit.
func (x *crashed) bound() int {
	switch {
	case x.action == fail, x.action == term && !x.cutShort():
		return 0
	case x.kafka != nil:
		return partitions*crashSpan + 2*crashCommit
	}
	return crashWindow
}

// verdict compares what arrived with what was sent. Groups have one log each, so logs
// are messages; of a message for two destinations the copies are counted once.
func (x *crashed) verdict(t *testing.T) {
	t.Helper()
	most := map[string]int{} // by project
	for name, v := range x.allVerdicts(t) {
		if !v.Kept() {
			t.Errorf("%s did not get what it should", name)
		}
		x.row.Confirmed += v.Confirmed
		x.row.Lost += v.Lost.Count
		project, _, _ := strings.Cut(name, " ")
		most[project] = max(most[project], v.Duplicates)
	}
	for _, n := range most {
		x.row.Duplicates += n
	}
	if x.row.Bound = x.bound(); x.row.Duplicates > x.row.Bound {
		t.Errorf("%d messages came twice, at most %d may", x.row.Duplicates, x.row.Bound)
	}
}

// allVerdicts are those of the destinations, and of the dead letters if there have to
// be any.
func (x *crashed) allVerdicts(t *testing.T) map[string]*ledger.Verdict {
	t.Helper()
	all := x.verdicts(t)
	if x.Point != failpoint.LetterPut {
		x.noDeadLetters(t)
		return all
	}
	files := ledger.Files{Run: x.run}
	count := ledger.NewCount(x.book(t), func(k protocol.Key) bool { return k.Project == homeless })
	for _, body := range x.letterBodies(t) {
		var g protocol.LogGroup
		if err := g.Unmarshal(body); err != nil {
			t.Fatalf("a dead letter is no LogGroup: %v", err)
		}
		for line := range strings.Lines(string(protocol.AppendJSONLines(nil, &g))) {
			count.See(files.Line([]byte(line), "dead letters"))
		}
	}
	all[homeless+" (dead letters)"] = count.Verdict()
	t.Logf("dead letters:\n%s", all[homeless+" (dead letters)"])
	return all
}
