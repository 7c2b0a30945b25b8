package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/internal/proof"
)

// inside is the queue that the worker itself runs.
type inside struct {
	*broker
	listen string
}

func (i *inside) source(string) string {
	return fmt.Sprintf("embedded: {dir: %q, listen: %q}", i.dir, i.listen)
}

// connect makes the test's own connection, as a publisher has it.
func (i *inside) connect(t *testing.T) {
	t.Helper()
	var err error
	eventually(t, 20*time.Second, "the embedded queue listens", func() bool {
		i.nc, err = nats.Connect("nats://"+i.listen, nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0))
		return err == nil
	})
	t.Cleanup(i.nc.Close)
	if i.js, err = jetstream.New(i.nc); err != nil {
		t.Fatal(err)
	}
}

// fullUnderQueue has the worker's own queue on a disk that fills up under load.
func fullUnderQueue(t *testing.T, run *proof.Run) {
	d := mount(t, filepath.Join(t.TempDir(), "queue"), 64<<20)
	q := &inside{&broker{dir: filepath.Join(d.dir, "queue")}, fmt.Sprintf("127.%d.%d.%d:%d", 64+rand.IntN(64), rand.IntN(256), 1+rand.IntN(254), 20_000+rand.IntN(12_000))}
	r := rigOn(t, q)
	config := r.config(t, "w1", 2000)
	p := r.pod(t, "flushline", "w1", config)
	q.connect(t)
	load := r.load(12)
	load.Rate, load.Bytes = 300, 2000
	eventually(t, 20*time.Second, "the stream is there", func() bool {
		_, err := q.tryConsumer(t.Context())
		return err == nil
	})
	stop := r.producing(t, load)
	r.flows(t)
	d.fill(t, 256<<10)
	eventually(t, time.Minute, "the queue is full and says so", func() bool {
		return strings.Contains(p.Log(), "takes nothing more") && strings.Contains(p.Log(), "no space left on device")
	})
	run.Fault("disk full under the embedded queue", 1)
	before := r.book(t).Confirmed()
	<-time.After(3 * time.Second)
	if n := r.book(t).Confirmed(); n != before {
		t.Errorf("%d groups were confirmed on a full disk", n-before)
	}
	d.empty(t)
	back := r.flowsAgain(t, "there is room", time.Minute)
	stop()
	q.drained(t, time.Minute)
	p.terminate(t)
	var lost int
	for name, v := range r.verdicts(t) {
		if !v.Kept() {
			t.Errorf("%s did not get what it should", name)
		}
		lost += v.Lost.Count
	}
	r.balanced(t)
	run.AtMost("embedded queue: lost", float64(lost), 0, "logs")
	run.AtMost("embedded queue: takes and delivers again after there is room", back.Seconds(), 10, "s")
}
