//go:build linux

package isolation

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/child"
	"github.com/flushline/flushline/worker"
)

// The bound of what a worker may take: its two pools, and 64 MiB.
const (
	heldMiB = 64
	workMiB = 16
	mostMiB = heldMiB + workMiB + 64
)

// rig is one worker and what its destinations note.
type rig struct {
	q    queued
	dir  string
	proc *child.Process
	cmd  *exec.Cmd
	book *book
	peak atomic.Int64 // bytes resident

	moods  map[int]string
	weighs int
}

// start runs a worker with the routes.
func start(t *testing.T, q queued, stores int, routes string) *rig {
	t.Helper()
	r := prepare(t, q, stores, routes)
	r.begin(t)
	return r
}

// prepare runs `setup`, so that there is where to publish to.
func prepare(t *testing.T, q queued, stores int, routes string) *rig {
	t.Helper()
	r := &rig{q: q, dir: t.TempDir(), moods: map[int]string{}}
	file := filepath.Join(r.dir, "flushline.yaml")
	text := fmt.Sprintf("source:\n  %s\nroutes:%s\nlimits: {in_flight: %dMiB, work: %dMiB}\nadmin: {listen: 127.0.0.1:0}\nmetrics: {listen: 127.0.0.1:0}\n",
		q.source(), routes, heldMiB, workMiB)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.book = openBook(t, filepath.Join(r.dir, "notes"), stores)
	if out, err := r.command("setup", "-c", file).CombinedOutput(); err != nil {
		t.Fatalf("flushline setup: %v\n%s", err, out)
	}
	r.tell(t)
	r.cmd = r.command("run", "-c", file)
	return r
}

// begin runs the worker.
func (r *rig) begin(t *testing.T) {
	t.Helper()
	var out io.Reader
	r.proc, out = child.Start(t, "flushline", r.cmd)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	r.watch(t)
}

// command is the program with what it would set itself for memory.
func (r *rig) command(args ...string) *exec.Cmd {
	cmd := exec.Command(bin+"/program", args...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GOMEMLIMIT=") && !strings.HasPrefix(e, "GOGC=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "FLUSHLINE_ISOLATION_DIR="+r.dir)
	return cmd
}

// watch notes the most memory that the worker has resident.
func (r *rig) watch(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for tick := time.NewTicker(200 * time.Millisecond); ; {
			select {
			case <-tick.C:
				r.peak.Store(max(r.peak.Load(), r.resident()))
			case <-r.proc.Ended():
				return
			case <-ctx.Done():
				return
			}
		}
	}()
}

// resident is 0 of a process that has ended.
func (r *rig) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	f := strings.Fields(after)
	if len(f) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(f[0], 10, 64)
	return kib << 10
}

// mood says how the destination of a store is from now on: "" is well.
func (r *rig) mood(t *testing.T, how string, stores ...int) {
	t.Helper()
	for _, s := range stores {
		r.moods[s] = how
	}
	r.tell(t)
}

func (r *rig) tell(t *testing.T) {
	t.Helper()
	var b strings.Builder
	for s, how := range r.moods {
		fmt.Fprintf(&b, "%s %s\n", storeName(s), how)
	}
	fmt.Fprintf(&b, "weigh %d\n", r.weighs)
	at := filepath.Join(r.dir, "moods")
	if err := os.WriteFile(at+".new", []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(at+".new", at); err != nil {
		t.Fatal(err)
	}
}

// weight is what the worker has in use after a collection, in bytes.
func (r *rig) weight(t *testing.T) (n float64) {
	t.Helper()
	r.weighs++
	r.tell(t)
	eventually(t, time.Minute, "the worker says what it has in use", func() bool {
		b, err := os.ReadFile(filepath.Join(r.dir, fmt.Sprintf("weight.%d", r.weighs)))
		if err == nil {
			n, err = strconv.ParseFloat(string(b), 64)
		}
		return err == nil
	})
	return n
}

// status is the worker's snapshot; its equation must hold.
func (r *rig) status(t *testing.T) *worker.Status {
	t.Helper()
	var address string
	eventually(t, 30*time.Second, "the worker says where it listens", func() bool {
		for raw := range strings.Lines(r.proc.Log()) {
			var l struct{ Msg, For, Address string }
			if json.Unmarshal([]byte(raw), &l) == nil && l.Msg == "listening" && l.For == "admin" {
				address = l.Address
			}
		}
		return address != "" || !r.proc.Running()
	})
	resp, err := http.Get("http://" + address + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s worker.Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatalf("/status: %v", err)
	}
	for i := range s.Sources {
		if c := &s.Sources[i].Counts; !c.Balanced() {
			t.Errorf("the equation of %s does not hold: %+v", s.Sources[i].Name, *c)
		}
	}
	if s.Defects != 0 {
		t.Errorf("the worker counted %d defects", s.Defects)
	}
	return &s
}

// cpu is what the process has used of it, user and system.
func (r *rig) cpu(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(after) // from the state on, the third of proc(5)
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("couldn't read the CPU time in %q", b)
	}
	return time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on all of them
}

// stop is a clean stop.
func (r *rig) stop(t *testing.T) {
	t.Helper()
	if code, _ := r.proc.Stop(t, time.Minute); code != 0 {
		t.Errorf("the worker ended with code %d", code)
	}
	if peak := r.peak.Load() >> 20; peak == 0 {
		t.Error("the worker's memory was never seen")
	}
}
