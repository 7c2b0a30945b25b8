//go:build unix

package kafka_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/queue/kafka/record"
	"github.com/flushline/flushline/queue/kafka/wire"
	"github.com/flushline/flushline/test/kafkabroker"
)

// TestSpeed compares the source with a loop that fetches all partitions at once
// and only counts records, alternating. It says something on a quiet machine only,
// so it has to be asked for: FLUSHLINE_SPEED=1.
func TestSpeed(t *testing.T) {
	needsQuiet(t)
	b := kafkabroker.Shared(t)
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(384 << 20))
	for _, c := range []struct{ n, size int }{{400_000, 1 << 10}, {20_000, 50 << 10}} {
		t.Run(fmt.Sprintf("%d bytes", c.size), func(t *testing.T) {
			q := newQueue(t, b.Bootstrap())
			const partitions = 4
			q.createTopic(partitions)
			q.fill(partitions, c.n, c.size)
			var bare, ours []float64
			for i := range 5 {
				bare = append(bare, cost(t, c.n, func() { bareLoop(t, q, partitions, c.n) }))
				q.cfg.Group = fmt.Sprintf("speed-%d-%d", c.size, i)
				ours = append(ours, cost(t, c.n, func() { sourceLoop(t, q, c.n) }))
			}
			slices.Sort(bare)
			slices.Sort(ours)
			t.Logf("CPU a message, medians: bare %.2f us, source %.2f us, extra %.2f us", bare[2], ours[2], ours[2]-bare[2])
		})
	}
}

// TestIdle says what 200 quiet partitions cost.
func TestIdle(t *testing.T) {
	needsQuiet(t)
	b := kafkabroker.Shared(t)
	q := newQueue(t, b.Bootstrap())
	q.createTopic(200)
	cfg := kafka.DefaultConfig()
	cfg.Brokers, cfg.Topics, cfg.Group = q.cfg.Brokers, q.cfg.Topics, q.cfg.Group
	p := startPod(t, cfg, ackAll)
	eventually(t, "200 strands", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.strands) == 200
	})
	time.Sleep(3 * time.Second)
	begin, cpu := time.Now(), cpuTime(t)
	time.Sleep(20 * time.Second)
	cpu = cpuTime(t) - cpu
	t.Logf("200 idle partitions: %.2f ms CPU a second, %d goroutines, %d bytes taken",
		float64(cpu.Microseconds())/1e3/time.Since(begin).Seconds(), runtime.NumGoroutine(), p.bytes.Load())
	p.stop()
}

// TestBusyBesideIdle compares the speed of one partition alone with its speed beside
// eleven quiet ones of the same leader.
func TestBusyBesideIdle(t *testing.T) {
	needsQuiet(t)
	b := kafkabroker.Shared(t)
	for _, c := range []struct{ n, size int }{{300_000, 1 << 10}, {10_000, 50 << 10}} {
		for _, work := range []time.Duration{0, 20 * time.Microsecond} {
			t.Run(fmt.Sprintf("%d bytes, %v a message", c.size, work), func(t *testing.T) {
				var took [2][]float64
				for i, partitions := range []int32{1, 12} {
					q := newQueue(t, b.Bootstrap())
					q.topic += fmt.Sprintf("-%d", partitions)
					q.cfg.Topics = []string{q.topic}
					q.createTopic(partitions)
					q.fill(1, c.n, c.size)
					for k := range 3 {
						q.cfg.Group = fmt.Sprintf("%s-%d", q.topic, k)
						took[i] = append(took[i], drainTime(t, q, c.n, work).Seconds())
					}
					slices.Sort(took[i])
				}
				t.Logf("alone %.2f s, beside eleven idle ones %.2f s: %.0f %% of the speed", took[0][1], took[1][1], 100*took[0][1]/took[1][1])
			})
		}
	}
}

// drainTime is from the first message to the last.
func drainTime(t *testing.T, q *testQueue, n int, work time.Duration) time.Duration {
	var begin time.Time
	left := n
	done := make(chan struct{})
	p := startPod(t, q.cfg, func(_ string, d *queue.Delivery) {
		now := time.Now()
		if left == n {
			begin = now
		}
		for time.Since(now) < work { // a sleep would be much longer
		}
		d.Ack()
		d.Free()
		if left--; left == 0 {
			close(done)
		}
	})
	<-done
	took := time.Since(begin)
	p.stop()
	return took
}

func needsQuiet(t *testing.T) {
	if os.Getenv("FLUSHLINE_SPEED") == "" {
		t.Skip("set FLUSHLINE_SPEED=1")
	}
}

// cost is this process's CPU microseconds a message.
func cost(t *testing.T, n int, loop func()) float64 {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin, cpu := time.Now(), cpuTime(t)
	loop()
	cpu = cpuTime(t) - cpu
	wall := time.Since(begin)
	runtime.ReadMemStats(&after)
	us := float64(cpu.Nanoseconds()) / 1e3 / float64(n)
	t.Logf("%.2f us CPU a message, %.0f messages/s, %.1f allocations and %.0f bytes a message", us, float64(n)/wall.Seconds(),
		float64(after.Mallocs-before.Mallocs)/float64(n), float64(after.TotalAlloc-before.TotalAlloc)/float64(n))
	return us
}

func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// fill publishes n messages of a size, in batches as a busy producer makes them.
func (q *testQueue) fill(partitions int32, n, size int) {
	q.Helper()
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i*7 + i>>8)
	}
	headers := []kgo.RecordHeader{{Key: "x-log-project", Value: []byte("shop")}, {Key: "x-log-logstore", Value: []byte("access")}}
	for at := 0; at < n; {
		var rs []*kgo.Record
		for ; at < n && len(rs) < 64<<20/size; at++ {
			rs = append(rs, &kgo.Record{Topic: q.topic, Partition: int32(at) % partitions, Value: value, Headers: headers})
		}
		if err := q.cl.ProduceSync(context.Background(), rs...).FirstErr(); err != nil {
			q.Fatal(err)
		}
	}
}

func sourceLoop(t *testing.T, q *testQueue, n int) {
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	cfg := q.cfg
	cfg.Commit.Every = time.Second
	p := startPod(t, cfg, func(_ string, d *queue.Delivery) {
		d.Ack()
		d.Free()
		if left.Add(-1) == 0 {
			close(done)
		}
	})
	<-done
	p.stop()
}

func bareLoop(t *testing.T, q *testQueue, partitions int32, n int) {
	cfg := q.cfg
	client, err := kafka.Connect(&cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	at := make([]int64, partitions)
	var dec record.Decoder
	for n > 0 {
		req := &wire.FetchRequest{MaxWait: 500 * time.Millisecond, MinBytes: 1, MaxBytes: 3 << 20, ReadCommitted: true}
		for i := range partitions {
			req.Partitions = append(req.Partitions, wire.FetchPartition{
				TopicPartition: wire.TopicPartition{Topic: q.topic, Partition: i}, Offset: at[i], LeaderEpoch: -1, MaxBytes: 1 << 20,
			})
		}
		r, err := client.Fetch(context.Background(), q.cfg.Brokers[0], req)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r.Partitions {
			p := &r.Partitions[i]
			res := dec.Decode(record.Set{Records: p.Records, From: at[p.Partition]}, func(*record.Record) bool { return true })
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			n -= int(res.Delivered)
			at[p.Partition] = res.Next
		}
		r.Release()
	}
}
