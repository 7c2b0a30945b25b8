//go:build linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is what a pod needs at one moment.
type sample struct {
	at                   time.Time
	goroutines, fds, rss float64 // rss in MiB
	lanes, stuck         float64 // lanes that there are, calls that outlasted their limit
}

// watched is a pod that is looked at once a second: descriptors and memory in /proc, and
// what only the program knows in its metrics.
type watched struct {
	*pod

	mu      sync.Mutex
	samples []sample
	over    time.Time     // when it ended
	done    chan struct{} // closed when it is not looked at any more
}

func watch(t *testing.T, p *pod) *watched {
	t.Helper()
	w := &watched{pod: p}
	url := "http://" + p.address(t, "metrics") + "/metrics"
	ctx, cancel := context.WithCancel(context.Background())
	w.done = make(chan struct{})
	t.Cleanup(func() { cancel(); <-w.done })
	go func() {
		defer close(w.done)
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for tick := time.NewTicker(time.Second); ; {
			if s, err := w.look(ctx, client, url); err == nil { // it may stop, or be stopped, this moment
				w.mu.Lock()
				w.samples = append(w.samples, s)
				w.mu.Unlock()
			}
			select {
			case <-tick.C:
			case <-p.Ended():
				w.mu.Lock()
				w.over = time.Now()
				w.mu.Unlock()
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return w
}

func (w *watched) look(ctx context.Context, client *http.Client, url string) (s sample, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return s, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	s.at = time.Now()
	if s.fds, s.rss, err = inProc(w.cmd.Process.Pid); err != nil {
		return s, err
	}
	sums := sumMetrics(body)
	s.goroutines, s.lanes, s.stuck = sums["go_goroutines"], sums["flushline_lanes"], sums["flushline_abandoned_calls"]
	if s.goroutines == 0 {
		return s, fmt.Errorf("%s does not say how many goroutines it has", w.name)
	}
	return s, nil
}

// sumMetrics sums each metric over its labels.
func sumMetrics(body []byte) map[string]float64 {
	sums := map[string]float64{}
	for line := range bytes.Lines(body) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if strings.HasPrefix(name, "#") {
			continue
		}
		name, _, _ = strings.Cut(name, "{")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			sums[name] += v
		}
	}
	return sums
}

// inProc is how many descriptors a process has open and the memory it has resident.
func inProc(pid int) (fds, mib float64, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return 0, 0, err
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			return float64(len(open)), kib / 1024, err
		}
	}
	return 0, 0, fmt.Errorf("%s/status has no VmRSS", dir)
}

// lasted waits for the end of a pod that has ended, and says when that was.
func (w *watched) lasted() time.Time {
	<-w.done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// last is the newest sample; false: there is none yet.
func (w *watched) last() (sample, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.samples) == 0 {
		return sample{}, false
	}
	return w.samples[len(w.samples)-1], true
}

// between is what was seen between two moments.
func (w *watched) between(from, to time.Time) []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []sample
	for _, s := range w.samples {
		if !s.at.Before(from) && !s.at.After(to) {
			found = append(found, s)
		}
	}
	return found
}
