//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/protocol"
	kafkaqueue "github.com/flushline/flushline/queue/kafka"
	"github.com/flushline/flushline/worker"
)

// pausedWindow is the window of the case of paused partitions.
const pausedWindow = 2048

func (env benchEnv) kafkaConfig() *kafkaqueue.Config {
	c := kafkaqueue.DefaultConfig()
	c.Brokers, c.Topics, c.Group = strings.Split(env.url, ","), []string{env.load.Stream}, env.durable
	return &c
}

// runKafkaWorker is the product: source, lanes, blackhole.
func runKafkaWorker(env benchEnv) error {
	w, err := newWorker(timed(), nil)
	if err != nil {
		return err
	}
	return env.consumeKafka(w, 8192, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}

// flowed is when the first and the last Flush were, in nanoseconds since 1970.
var flowed struct{ first, last atomic.Int64 }

// timed is blackhole that knows when it was called: once a Flush, not once a group.
func timed() flushers.Kind {
	k := blackhole.Kind()
	inner := k.New
	k.New = func() flushers.Flusher { return &timedFlusher{inner()} }
	return k
}

type timedFlusher struct{ flushers.Flusher }

func (f *timedFlusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	now := time.Now().UnixNano()
	flowed.first.CompareAndSwap(0, now)
	flowed.last.Store(now)
	return f.Flusher.Flush(project, logstore, config, groups)
}

func flowing() time.Duration { return time.Duration(flowed.last.Load() - flowed.first.Load()) }

// consumeKafka runs a worker on the Kafka source until done, asked once a second.
func (env benchEnv) consumeKafka(w *worker.Worker, window int, done func(*worker.Status) bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	src, err := kafkaqueue.Open(ctx, env.kafkaConfig(), kafkaqueue.Options{Window: window, Drain: 5 * time.Second, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	defer src.Close()
	go func() {
		defer cancel()
		for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
			if done(w.Status()) {
				return
			}
		}
	}()
	if err := w.Run(ctx, src); err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		return err
	}
	if st := w.Status(); !done(st) {
		return fmt.Errorf("the worker did not get there: %+v", st.Sources)
	}
	return nil
}

// runKafkaMemory is the consumer of the cases that look at memory and at waiting.
func runKafkaMemory() error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	watch, _ := time.ParseDuration(os.Getenv("BENCH_WATCH"))
	inFlight, _ := strconv.ParseInt(os.Getenv("BENCH_IN_FLIGHT"), 10, 64)
	work, _ := strconv.ParseInt(os.Getenv("BENCH_WORK"), 10, 64)
	kind, window := blackhole.Kind(), 8192
	paused := os.Getenv("BENCH_MODE") == "paused"
	if paused {
		kind = flushers.Kind{Name: "unready", Summary: "Is never ready.", New: func() flushers.Flusher { return &unreadyFlusher{} }}
		window = pausedWindow
	}
	w, err := newWorker(kind, func(c *worker.Config) {
		c.Limits.InFlight, c.Limits.Work, c.Limits.Window = inFlight, work, window
		c.Drain = time.Second
	})
	if err != nil {
		return err
	}
	var f footprint
	ready := func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	}
	if paused {
		began := time.Now()
		ready = func(st *worker.Status) bool {
			if time.Since(began) < 10*time.Second {
				return false // counts that are read while messages move add up to too much
			}
			f.Held = max(f.Held, mostHeld(st))
			return true
		}
	}
	ended := false
	err = env.consumeKafka(w, window, func(st *worker.Status) bool {
		if ended || !ready(st) {
			return ended
		}
		time.Sleep(2 * time.Second) // the last commit, and what follows a load
		cpu, began := cpuTime(), time.Now()
		time.Sleep(watch) // no status meanwhile: it would be measured as well
		f.CPU = (cpuTime() - cpu).Seconds() / time.Since(began).Seconds()
		f.Sockets = sockets()
		ended = true
		return true
	})
	if err != nil {
		return err
	}
	f.Peak = rssPeak() << 10
	return json.NewEncoder(os.Stdout).Encode(f)
}

// mostHeld is the most messages that one strand holds or has buffered.
func mostHeld(st *worker.Status) (most int64) {
	for i := range st.Strands {
		most = max(most, st.Strands[i].Held+st.Strands[i].Queue.Buffered)
	}
	return most
}

// sockets counts this process's open sockets.
func sockets() (n int) {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}
