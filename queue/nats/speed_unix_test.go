//go:build unix

package nats_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
)

// TestSpeed compares the source with a callback that only acknowledges, on the
// same kind of pull requests, alternating, against a server in a process of its
// own. It says something on a quiet machine only, so it has to be asked for:
// FLUSHLINE_SPEED=1.
func TestSpeed(t *testing.T) {
	if os.Getenv("FLUSHLINE_SPEED") == "" {
		t.Skip("set FLUSHLINE_SPEED=1")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(384 << 20))
	for _, c := range []struct{ n, size int }{{100_000, 1 << 10}, {10_000, 50 << 10}} {
		t.Run(fmt.Sprintf("%d bytes", c.size), func(t *testing.T) {
			var bare, ours []float64
			for range 5 {
				bare = append(bare, cost(t, c.n, c.size, bareLoop))
				ours = append(ours, cost(t, c.n, c.size, sourceLoop))
			}
			slices.Sort(bare)
			slices.Sort(ours)
			t.Logf("CPU a message, medians: bare %.2f us, source %.2f us, extra %.2f us", bare[2], ours[2], ours[2]-bare[2])
		})
	}
}

// cost is this process's CPU microseconds a message.
func cost(t *testing.T, n, size int, loop func(*testQueue, int)) float64 {
	q, c := openChildQueue(t)
	defer c.kill()
	q.publish(n, size)
	runtime.GC()
	var gc0, gc1 runtime.MemStats
	runtime.ReadMemStats(&gc0)
	begin, cpu := time.Now(), cpuTime(t)
	loop(q, n)
	cpu = cpuTime(t) - cpu
	wall := time.Since(begin)
	runtime.ReadMemStats(&gc1)
	t.Logf("%.2f us CPU a message, %.0f messages/s, %d collections", float64(cpu.Nanoseconds())/1e3/float64(n),
		float64(n)/wall.Seconds(), gc1.NumGC-gc0.NumGC)
	return float64(cpu.Nanoseconds()) / 1e3 / float64(n)
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sourceLoop(q *testQueue, n int) {
	p := q.startPod()
	p.drain(n)
	p.stop()
}

func bareLoop(q *testQueue, n int) {
	nc := q.connect(q.cfg).NATS()
	inbox := natsgo.NewInbox()
	const batch = 1024
	out := 0
	left := atomic.Int64{}
	left.Store(int64(n))
	done := make(chan struct{})
	pull := func() {
		body := fmt.Sprintf(`{"batch":%d,"max_bytes":%d,"expires":30000000000}`, batch-out, 4<<20)
		if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.LOGS.flushline", inbox, []byte(body)); err != nil {
			q.Error(err)
		}
		out = batch
	}
	body := []byte("+ACK")
	sub, err := nc.Subscribe(inbox, func(m *natsgo.Msg) {
		if m.Reply == "" {
			if m.Header.Get("Description") == "Message Size Exceeds MaxBytes" {
				out = 0
				pull()
			}
			return
		}
		if err := nc.Publish(m.Reply, body); err != nil {
			q.Error(err)
		}
		if out--; out <= batch/2 {
			pull()
		}
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	if err != nil {
		q.Fatal(err)
	}
	_ = sub.SetPendingLimits(-1, -1)
	pull()
	<-done
	if err := nc.Flush(); err != nil {
		q.Fatal(err)
	}
}
