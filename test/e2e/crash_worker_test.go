//go:build unix

package e2e

import (
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/ledger"
)

// What a worker of the matrix may hold: the bounds on duplicates follow from it.
const (
	crashWindow = 200 // messages of a strand
	crashSpan   = 60  // messages of a partition
	crashCommit = 300 // messages that end before offsets are committed
	crashRate   = 300 // groups a second, beside
)

// crashed is a cell of a worker on its way.
type crashed struct {
	*crashCell
	*rig
	kafka  *kafka // nil: NATS
	window int
	first  *pod   // meets the fault
	pods   []*pod // that have to be stopped at the end
}

// crashWorker runs a cell of a worker under load.
func crashWorker(t *testing.T, c *crashCell) {
	x := newCrashed(t, c)
	config := x.config(t, "w1", x.window)
	halt := x.traffic(t, config)

	x.first = x.begin(t, "w1", config)
	x.provoke(t)
	c.fired(t, 1)
	x.slow.recovers()
	fault, next := time.Now(), x.journal.Tried()
	x.after(t, config)
	eventually(t, time.Minute, "logs of after the fault arrive", func() bool { return x.slow.newest.Load() >= next })
	c.row.Recovery = time.Since(fault).Seconds()
	if c.action == stop {
		x.wakes(t, fault)
	}
	halt()
	x.drained(t, time.Minute)
	c.row.Settled = time.Since(fault).Seconds()
	for _, p := range x.pods {
		p.status(t)
		p.terminate(t)
	}
	x.verdict(t, x.bound())
}

// newCrashed makes the rig of a cell.
func newCrashed(t *testing.T, c *crashCell) *crashed {
	t.Helper()
	x := &crashed{crashCell: c, window: crashWindow}
	x.rig, x.kafka = boundedRig(t, c.queue)
	if !c.parks() {
		return x
	}
	x.blocked, x.window = parksSoon, crashParked
	if x.kafka != nil {
		x.kafka.span, x.kafka.commit = crashParked, fmt.Sprintf("{messages: %d}", crashOften)
	}
	return x
}

// boundedRig is a rig on a queue by its name, on which a kill repeats killRepeats
// messages at most.
func boundedRig(t *testing.T, queue string) (*rig, *kafka) {
	t.Helper()
	if queue != "kafka" {
		return newRig(t, false), nil
	}
	r, k := newKafkaRig(t)
	k.span, k.commit = crashSpan, fmt.Sprintf("{messages: %d}", crashCommit)
	return r, k
}

// killRepeats is how many messages may come twice after a kill: what the worker held and
// the queue does not know to have ended. On Kafka that is what a partition's watermark may
// lag behind, and what ended before and during a commit.
func killRepeats(queue string) int {
	if queue == "kafka" {
		return partitions*crashSpan + 2*crashCommit
	}
	return crashWindow
}

// traffic lets messages wait already and more come until the returned function is called.
func (x *crashed) traffic(t *testing.T, config string) (halt func()) {
	t.Helper()
	x.setup(t, config)
	load := x.load(30)
	if x.parks() {
		load = x.lanes(t)
	}
	load.Logs, load.Groups = 1, 2*x.repeats() // wait already: more than may come twice
	if x.Point == failpoint.LetterPut {
		load.Keys = ledger.Keys(40, "waits", "slow", "both", homeless)
	}
	x.produce(t, load)
	load.Groups, load.Rate = 0, crashRate
	if x.Point == failpoint.ParkedTried {
		load.Keys = slices.DeleteFunc(load.Keys, even) // see silence
	}
	return x.producing(t, load)
}

// begin starts a worker that meets the fault.
func (x *crashed) begin(t *testing.T, name, config string) *pod {
	t.Helper()
	cmd := x.command(t, "run", "-c", config)
	p, out := child.Start(t, name, cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return newPod(&process{p, name, cmd})
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
		x.timeout = 15*time.Second - x.timeout // of each flusher: 7 s, then 8 s again
		x.config(t, "w1", x.window)
		x.first.signal(syscall.SIGHUP)
	case failpoint.ParkPut:
		x.slow.fails(refuses, nil)
	case failpoint.ParkServed, failpoint.ParkedCommitted, failpoint.ParkedMoved, failpoint.ParkedTried:
		x.backlog(t)
	case failpoint.RebalanceBetween:
		x.kafka.settled(t, 1)
		x.flows(t)
		x.join(t)
	}
}

// join starts another worker.
func (x *crashed) join(t *testing.T) {
	t.Helper()
	x.pods = append(x.pods, x.pod(t, "failing", "w2", x.config(t, "w2", x.window)))
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
	}
	if x.goesOn() && !x.draining() {
		x.pods = append(x.pods, x.first)
		return
	}
	select {
	case <-x.first.Ended():
	case <-time.After(time.Minute):
		t.Fatalf("the worker has not ended a minute after %s", x.action)
	}
	code := x.first.ExitCode()
	ok := code == 0 || code == 75 && x.cutShort()
	switch x.action {
	case kill:
		ok = code == -1
	case panik:
		ok = code > 0 && code != 75
	}
	if !ok {
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
