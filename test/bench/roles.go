//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/protocol"
	natsqueue "github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/worker"
)

func runRole(name string) error {
	switch name {
	case "server":
		return runServer()
	case "raw":
		return measure(runRaw)
	case "worker":
		return measure(func(env benchEnv) error { return env.runWorker(blackhole.Kind()) })
	case "forward-raw":
		return measure(runForwardRaw)
	case "forward-worker":
		return measure(runForwardWorker)
	case "timed-worker":
		return measure(func(env benchEnv) error { return env.runWorker(timed()) })
	case "jobs-nats":
		return measure(runJobNATS)
	case "jobs-kafka":
		return measure(runJobKafka)
	case "jobs-files":
		return measure(runJobFiles)
	case "jobs-loop":
		return measure(runLoop)
	case "http-raw":
		return measure(runHTTPRaw)
	case "http-worker":
		return measure(runHTTPWorker)
	case "worker-two":
		return measure(runWorkerTwo)
	case "poison":
		return runPoison()
	case "commit":
		return runCommit()
	case "memory":
		return runMemory()
	case "kafka-raw":
		return measure(runKafkaRaw)
	case "kafka-worker":
		return measure(runKafkaWorker)
	case "kafka-forward":
		return measure(runKafkaForward)
	case "kafka-forward-raw":
		return measure(runKafkaForwardRaw)
	case "kafka-memory":
		return runKafkaMemory()
	case "kafka-rebalance":
		return runKafkaRebalance()
	case "reload":
		return runReload()
	case "search-stub":
		return runSearchStub()
	case "search-raw":
		return measure(runSearchRaw)
	case "search-worker":
		return measure(runSearchWorker)
	}
	return fmt.Errorf("unknown role %q", name)
}

// measure runs a consumer over the load and prints what it used.
func measure(run func(env benchEnv) error) error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	stop, err := profile()
	if err != nil {
		return err
	}
	defer stop()
	cpu, wall := cpuTime(), time.Now()
	if err := run(env); err != nil {
		return err
	}
	u := usage{Messages: env.load.Messages, CPU: cpuTime() - cpu, Wall: time.Since(wall), PeakRSS: rssPeak()}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	u.GCs, u.Flowing = ms.NumGC, flowing()
	return json.NewEncoder(os.Stdout).Encode(u)
}

// profile writes a CPU profile of the process if one was asked for.
func profile() (stop func(), err error) {
	path := os.Getenv("BENCH_PROFILE")
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, nil
}

type benchEnv struct {
	url, durable string
	load         load
	maxPods      int // 0: the default
}

func readEnv() (env benchEnv, err error) {
	env.url, env.durable = os.Getenv("BENCH_URL"), os.Getenv("BENCH_DURABLE")
	err = json.Unmarshal([]byte(os.Getenv("BENCH_LOAD")), &env.load)
	return env, err
}

func (env benchEnv) config() *natsqueue.Config {
	c := natsqueue.DefaultConfig()
	c.URL, c.Stream, c.Durable = env.url, env.load.Stream, env.durable
	if env.maxPods > 0 {
		c.MaxPods = env.maxPods
	}
	return &c
}

func (env benchEnv) createConsumer() error {
	ctx := context.Background()
	conn, err := natsqueue.Connect(ctx, env.config(), zap.NewNop())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = natsqueue.Setup(ctx, conn, env.config(), natsqueue.SetupOptions{})
	return err
}

// runRaw is the rival: one inbox subscription, pull requests of 512 refilled at
// half, pass one, pass two into reused memory, acknowledge.
func runRaw(env benchEnv) error {
	if err := env.createConsumer(); err != nil {
		return err
	}
	nc, err := nats.Connect(env.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	const batch = 512
	inbox, next := nats.NewInbox(), "$JS.API.CONSUMER.MSG.NEXT."+env.load.Stream+"."+env.durable
	request := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, batch/2, 30*time.Second)
	pull := func() error { return nc.PublishRequest(next, inbox, request) }
	var (
		groups []protocol.Group
		slabs  protocol.Slabs
		lim    protocol.Limits
		got    int
		failed error
		ack    = []byte("+ACK")
		done   = make(chan struct{})
	)
	sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if m.Reply == "" {
			return
		}
		_, gs, err := protocol.Scan(m.Data, protocol.FormatLogGroup, protocol.EncodingNone, &lim, groups[:0])
		if err != nil {
			failed = err
			close(done)
			return
		}
		groups = gs
		slabs.Reset()
		for i := range gs {
			slabs.Decode(&gs[i])
		}
		if err := nc.Publish(m.Reply, ack); err != nil {
			failed = err
		}
		if got++; got == env.load.Messages {
			close(done)
		} else if got%(batch/2) == 0 {
			failed = pull()
		}
	})
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	for range 2 {
		if err := pull(); err != nil {
			return err
		}
	}
	<-done
	if failed != nil {
		return failed
	}
	return nc.Flush()
}

// runWorker is the product: source, lanes, a flusher.
func (env benchEnv) runWorker(k flushers.Kind) error {
	if err := env.createConsumer(); err != nil {
		return err
	}
	w, err := newWorker(k, nil)
	if err != nil {
		return err
	}
	return env.consume(w, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}

func newWorker(k flushers.Kind, change func(*worker.Config)) (*worker.Worker, error) {
	cfg := worker.Config{
		Deployment: "bench", Drain: 5 * time.Second,
		Routes: []worker.Route{{Name: "all", Flushers: []worker.Entry{{Name: "out", Kind: k, New: k.New}}}},
	}
	if change != nil {
		change(&cfg)
	}
	return worker.New(cfg)
}

// consume runs a worker on the NATS source until done, asked once a second, as asking costs.
func (env benchEnv) consume(w *worker.Worker, done func(*worker.Status) bool) error {
	return env.consumeWith(w, 8192, done)
}

func (env benchEnv) consumeWith(w *worker.Worker, window int, done func(*worker.Status) bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	src, err := natsqueue.Open(ctx, env.config(), natsqueue.Options{Window: window, Log: zap.NewNop()})
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
	if err := w.Run(ctx, src); err != nil {
		return err
	}
	if st := w.Status(); !done(st) {
		return fmt.Errorf("the worker did not get there: %+v", st.Sources)
	}
	return nil
}

func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// rssPeak is in KiB. It is the kernel's mark for this program: the one of getrusage
// begins with the memory of the parent.
func rssPeak() int64 {
	n, err := processMemory("self", "VmHWM:")
	if err != nil {
		return 0
	}
	return n >> 10
}
