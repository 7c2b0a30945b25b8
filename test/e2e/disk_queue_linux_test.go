package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/proof"
)

// fullUnderQueue has the worker's own queue on a disk that fills up under load.
func fullUnderQueue(t *testing.T, run *proof.Run) {
	d := mount(t, filepath.Join(t.TempDir(), "queue"), 64<<20)
	q := newInside(filepath.Join(d.dir, "queue"))
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
