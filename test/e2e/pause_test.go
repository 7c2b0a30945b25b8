//go:build unix

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// Destinations say for longer than the broker waits for anything that they are not
// ready, and then logs flow at once. Workers on both queues wait beside each other, and
// nothing else runs.
func TestAPauseCostsNothing(t *testing.T) {
	t.Run("nats", func(t *testing.T) {
		t.Parallel()
		pausesOnNATS(t)
	})
	t.Run("kafka", func(t *testing.T) {
		t.Parallel()
		pausesOnKafka(t)
	})
}

// pausesOnNATS has a worker that keeps what it holds, fetches nothing beyond its window,
// and goes on at once.
//
// The destination is the flusher `gated` of ./program, whose readiness is the
// existence of a file.
func pausesOnNATS(t *testing.T) {
	const window = 300
	pause, resume := size(ackWait+2*time.Second, 3*ackWait), size(2*time.Second, time.Second)
	r := newRig(t, false)
	gate, out := filepath.Join(r.dir, "gate"), filepath.Join(r.dir, "gated")
	config := r.write(t, "w1", window, fmt.Sprintf(`
  - name: all
    flushers:
      - {type: gated, path: %q, gate: %q, flush_timeout: 8s}
`, out, gate))
	r.setup(t, config)
	open(t, gate)
	load := r.load(20)
	load.Groups = 3000
	load.Rate = 1500
	published := make(chan struct{})
	go func() { defer close(published); r.produce(t, load) }()
	p := r.pod(t, "program", "w1", config)
	eventually(t, time.Minute, "logs flow", func() bool { return lines(t, out) > 100 })

	if err := os.Remove(gate); err != nil {
		t.Fatal(err)
	}
	<-published
	load.Groups = 2 * window // however much has passed already
	r.produce(t, load)
	eventually(t, 20*time.Second, "the window is full", func() bool { return p.full(t, window) })
	before := r.broker.consumer(t)
	flushed := lines(t, out)
	for end := time.Now().Add(pause); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		info := r.broker.consumer(t)
		switch {
		case info.NumAckPending > window:
			t.Fatalf("%d messages are held, the window is %d", info.NumAckPending, window)
		case info.NumRedelivered != 0 || info.Delivered.Consumer != info.Delivered.Stream:
			t.Fatalf("messages were delivered again: %+v", info)
		case info.Delivered.Consumer != before.Delivered.Consumer:
			t.Fatalf("messages were fetched during the pause: %d, then %d", before.Delivered.Consumer, info.Delivered.Consumer)
		}
	}
	if code, body := get(t, "http://"+p.address(t, "metrics")+"/readyz"); code != http.StatusOK {
		t.Errorf("/readyz of a paused worker: %d %s", code, body)
	}
	if now := lines(t, out); now != flushed {
		t.Fatalf("%d logs were flushed while the flusher was not ready", now-flushed)
	}

	open(t, gate)
	opened := time.Now()
	eventually(t, time.Minute, "flow resumes", func() bool { return lines(t, out) > flushed })
	if took := time.Since(opened); took > resume {
		t.Errorf("flow resumed after %s, want at most %s", took, resume)
	}
	r.broker.drained(t, time.Minute)
	p.terminate(t)
	r.judgeOne(t, "gated", out, nil, (*ledger.Verdict).Once)
	r.noDeadLetters(t)
}

func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lines counts what stands in the files of a directory.
func lines(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(b, []byte("\n"))
	}
	return n
}
