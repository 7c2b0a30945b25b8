//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/blackhole"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

const mib = 1 << 20

// memoryCases look at a worker's memory, and at what waiting costs.
func memoryCases(srv *benchServer, short bool) []benchCase {
	watch := 30 * time.Second
	if short {
		watch = 10 * time.Second
	}
	return []benchCase{
		{"idle RSS of run", func() (bool, error) { return idleRSS(srv) }},
		{"destination that never answers", func() (bool, error) { return neverAnswers(srv, watch) }},
		{"10,000 lanes, 50KB each", func() (bool, error) { return returnsToIdle(srv) }},
		{"10,000 unready lanes", func() (bool, error) { return unready(srv, watch) }},
	}
}

// footprint is what the memory role reports.
type footprint struct {
	Idle, Peak, After int64 // RSS in bytes
	Lanes             int64
	CPU               float64 // seconds a second while waiting
	Asked             float64 // calls of IsReady a second

	Sockets int   // Kafka: connections open while idle
	Held    int64 // Kafka: most messages that a paused partition held or had buffered
}

func say(name string, kept bool, bound, format string, args ...any) (bool, error) {
	fmt.Printf("%-22s %s%s\n", name, fmt.Sprintf(format, args...), verdict(kept, bound))
	return kept, nil
}

// idleRSS starts the real program on an empty stream and reads its memory.
func idleRSS(srv *benchServer) (bool, error) {
	l := load{"IDLE", 0, 1000, 1, 0}
	if err := srv.publish(l); err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "flushline-idle")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary directory left over is nobody's loss
	bin, err := program(dir)
	if err != nil {
		return false, err
	}
	cfg := filepath.Join(dir, "c.yaml")
	text := fmt.Sprintf("source:\n  nats: {url: %q, stream: IDLE, durable: idle}\nroutes:\n  - name: all\n    flushers:\n      - {type: blackhole}\n"+
		"admin: {listen: 127.0.0.1:0}\nmetrics: {listen: 127.0.0.1:0}\n", srv.url)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		return false, err
	}
	if out, err := exec.Command(bin, "setup", "-c", cfg).CombinedOutput(); err != nil {
		return false, fmt.Errorf("setup: %w\n%s", err, out)
	}
	cmd := exec.Command(bin, "run", "-c", cfg)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return false, err
	}
	time.Sleep(5 * time.Second)
	rss, err := rssOf(cmd.Process.Pid)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if werr := cmd.Wait(); werr != nil {
		return false, fmt.Errorf("run ended with %w", werr)
	}
	if err != nil {
		return false, err
	}
	return say("idle RSS of run", rss < 40*mib, "below 40 MiB", "%d MiB", rss/mib)
}

// program builds the real one into a directory.
func program(dir string) (path string, err error) {
	path = filepath.Join(dir, "flushline")
	build := exec.Command("go", "build", "-o", path, "github.com/flushline/flushline/cmd/flushline")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("couldn't build the program: %w\n%s", err, out)
	}
	return path, nil
}

func rssOf(pid int) (int64, error) { return processMemory(strconv.Itoa(pid), "VmRSS:") }

// processMemory reads a line of a process's status, in bytes.
func processMemory(pid, field string) (int64, error) {
	f, err := os.Open("/proc/" + pid + "/status")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), field); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of process %s", field, pid)
}

func neverAnswers(srv *benchServer, watch time.Duration) (bool, error) {
	const inFlight, work = 64 * mib, 16 * mib
	l := load{"NEVER", 10 * inFlight / 50_000, 50_000, 50, 0}
	f, err := srv.footprint(l, "never", watch, inFlight, work)
	if err != nil {
		return false, err
	}
	bound := int64(inFlight + work + 64*mib)
	return say("never answers", f.Peak <= bound, fmt.Sprintf("at most %d MiB", bound/mib), "peak RSS %d MiB with %d MiB waiting",
		f.Peak/mib, int64(l.Messages)*int64(l.Bytes)/mib)
}

func returnsToIdle(srv *benchServer) (bool, error) {
	l := load{"LANES", 10_000, 50_000, 10_000, 0}
	f, err := srv.footprint(l, "lanes", 0, 256*mib, 64*mib)
	if err != nil {
		return false, err
	}
	return say("10,000 lanes", f.After <= f.Idle+64*mib, "within 64 MiB of idle", "idle %d MiB, peak %d MiB, afterwards %d MiB, %d lanes",
		f.Idle/mib, f.Peak/mib, f.After/mib, f.Lanes)
}

func unready(srv *benchServer, watch time.Duration) (bool, error) {
	l := load{"UNREADY", 10_000, 1000, 10_000, 0}
	f, err := srv.footprint(l, "unready", watch, 256*mib, 64*mib)
	if err != nil {
		return false, err
	}
	return say("10,000 unready lanes", f.CPU < 0.020 && f.Lanes == 10_000, "below 20 ms/s", "%.1f ms/s of CPU, %d lanes, asked %.0f times a second", f.CPU*1e3, f.Lanes, f.Asked)
}

func (s *benchServer) footprint(l load, mode string, watch time.Duration, inFlight, work int64) (footprint, error) {
	if err := s.publish(l); err != nil {
		return footprint{}, err
	}
	text, err := l.json()
	if err != nil {
		return footprint{}, err
	}
	cmd := role("memory", map[string]string{
		"URL": s.url, "LOAD": text, "DURABLE": "d", "MODE": mode, "WATCH": watch.String(),
		"IN_FLIGHT": strconv.FormatInt(inFlight, 10), "WORK": strconv.FormatInt(work, 10),
	})
	// What `run` sets.
	cmd.Env = append(cmd.Env, "GOGC=400", "GOMEMLIMIT="+strconv.FormatInt(inFlight+work+64*mib, 10))
	if *profiles != "" {
		cmd.Env = append(cmd.Env, "BENCH_PROFILE="+filepath.Join(*profiles, mode+".prof"))
	}
	var f footprint
	return f, output(cmd, &f)
}

// runMemory is the consumer of the memory cases.
func runMemory() error {
	env, err := readEnv()
	if err != nil {
		return err
	}
	env.maxPods = 2
	if err := env.createConsumer(); err != nil {
		return err
	}
	env.maxPods = 1 // this process may hold all of MaxAckPending
	watch, _ := time.ParseDuration(os.Getenv("BENCH_WATCH"))
	inFlight, _ := strconv.ParseInt(os.Getenv("BENCH_IN_FLIGHT"), 10, 64)
	work, _ := strconv.ParseInt(os.Getenv("BENCH_WORK"), 10, 64)
	kind, mode := blackhole.Kind(), os.Getenv("BENCH_MODE")
	switch mode {
	case "never":
		kind = flushers.Kind{Name: "never", Summary: "Never answers.", New: func() flushers.Flusher { return &stuck{} }}
	case "unready":
		kind = flushers.Kind{Name: "unready", Summary: "Is never ready.", New: func() flushers.Flusher { return &unreadyFlusher{} }}
	}
	w, err := newWorker(kind, func(c *worker.Config) {
		c.Limits.InFlight, c.Limits.Work, c.Limits.Window = inFlight, work, 16384
		c.Routes[0].Flushers[0].FlushTimeout = 2 * time.Second
	})
	if err != nil {
		return err
	}
	stop, err := profile()
	if err != nil {
		return err
	}
	defer stop()
	var f footprint
	debug.FreeOSMemory()
	f.Idle, _ = rssOf(os.Getpid())
	until := map[string]func(st *worker.Status) bool{
		"never": forSome(watch, func() {}),
		"lanes": func(st *worker.Status) bool {
			return st.Sources != nil && st.Sources[0].Acknowledged == int64(env.load.Messages) && settled(&f)
		},
		"unready": func() func(st *worker.Status) bool {
			var cpu, wall time.Duration
			var before int64
			began := time.Time{}
			return func(st *worker.Status) bool {
				if len(st.Flushers) > 0 {
					f.Lanes = max(f.Lanes, st.Flushers[0].Lanes[worker.LaneUnready])
				}
				if began.IsZero() {
					if f.Lanes == int64(env.load.Keys) {
						began, cpu, before = time.Now(), cpuTime(), asked.Load()
					}
					return false
				}
				time.Sleep(watch) // no status meanwhile: it would be measured as well
				wall = time.Since(began)
				f.CPU = (cpuTime() - cpu).Seconds() / wall.Seconds()
				f.Asked = float64(asked.Load()-before) / wall.Seconds()
				return true
			}
		}(),
	}[mode]
	ended := false
	err = env.consumeWith(w, 16384, func(st *worker.Status) bool {
		if mode == "lanes" && len(st.Flushers) > 0 {
			f.Lanes = max(f.Lanes, st.Flushers[0].Lanes[worker.LaneIdle])
		}
		ended = ended || until(st)
		return ended
	})
	if err != nil && !errors.Is(err, worker.ErrDrainDeadline) {
		return err
	}
	f.Peak = rssPeak() << 10
	return json.NewEncoder(os.Stdout).Encode(f)
}

func forSome(d time.Duration, _ func()) func(*worker.Status) bool {
	began := time.Now()
	return func(*worker.Status) bool { return time.Since(began) > d }
}

// settled waits, with the worker running on, until the memory has gone back.
func settled(f *footprint) bool {
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(time.Second) {
		f.After, _ = rssOf(os.Getpid())
		if f.After <= f.Idle+64*mib || time.Now().After(deadline) {
			return true
		}
	}
}

// stuck never returns from Flush, whatever its context says.
type stuck struct{ unreadyFlusher }

func (*stuck) IsReady(string, string, int64) bool { return true }

func (*stuck) Flush(string, string, string, []*protocol.LogGroup) error { select {} }

type unreadyFlusher struct{}

var asked atomic.Int64

func (*unreadyFlusher) Init(flushers.Context) error        { return nil }
func (*unreadyFlusher) Description() string                { return "for measurements" }
func (*unreadyFlusher) IsReady(string, string, int64) bool { asked.Add(1); return false }
func (*unreadyFlusher) SetUrgent(bool)                     {}
func (*unreadyFlusher) Stop() error                        { return nil }
func (*unreadyFlusher) Flush(string, string, string, []*protocol.LogGroup) error {
	return context.Canceled
}
