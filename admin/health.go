package admin

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/flushline/flushline/worker"
)

// PulseLimit is how long one status snapshot may take before the process counts
// as stuck. A snapshot takes microseconds; only a deadlock or a machine without
// any CPU makes it last this long.
const PulseLimit = 10 * time.Second

// Pulse says whether the worker's own machinery still turns: it takes a status
// snapshot, which passes through every lock of the engine. Brokers and
// destinations have no part in it, because restarting a pod mends neither.
type Pulse struct {
	beat func()

	mu      sync.Mutex
	started time.Time
	running chan struct{} // closed when the beat under way ends; nil between beats
}

// NewPulse watches one worker. Alive may be called from any goroutine.
func NewPulse(w Worker) *Pulse { return &Pulse{beat: func() { w.Status() }} }

// Alive waits for one beat, at most patience. A beat that takes longer goes on
// alone, so a stuck worker costs one goroutine however often it is asked; it
// counts as alive until PulseLimit.
func (p *Pulse) Alive(patience time.Duration) bool {
	done, started := p.join()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return time.Since(started) < PulseLimit
	}
}

func (p *Pulse) join() (<-chan struct{}, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		done := make(chan struct{})
		p.running, p.started = done, time.Now()
		go func() {
			p.beat()
			p.mu.Lock()
			p.running = nil
			p.mu.Unlock()
			close(done)
		}()
	}
	return p.running, p.started
}

func healthz(p *Pulse) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if !p.Alive(time.Second) {
			answer(rw, http.StatusServiceUnavailable,
				fmt.Sprintf("stuck: no status snapshot for %s; take a goroutine dump from /debug/pprof/goroutine?debug=2 and restart", PulseLimit))
			return
		}
		answer(rw, http.StatusOK, "ok")
	}
}

func readyz(w Worker) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		ready, why := Ready(w.Status())
		if !ready {
			answer(rw, http.StatusServiceUnavailable, why)
			return
		}
		answer(rw, http.StatusOK, why)
	}
}

// Ready says whether the source is being consumed, and why not. A worker whose
// destinations do not take anything is paused and stays ready: taking it out of
// service would block rollouts and help nobody. It is not ready before the
// source is joined, while its broker is away, and while it stops.
func Ready(s *worker.Status) (ready bool, why string) {
	if s.State == "draining" || s.State == "stopped" {
		return false, "not ready: the worker is " + s.State
	}
	var away []string
	names := map[string][]string{} // by reason
	for i := range s.Strands {
		st := &s.Strands[i]
		if st.Queue.State == stateEnded {
			continue
		}
		trouble, cause := unjoined(st)
		if trouble == "" {
			return true, "ready"
		}
		reason := strings.TrimSuffix(trouble+": "+cause, ": ")
		if names[reason] == nil {
			away = append(away, reason)
		}
		names[reason] = append(names[reason], st.Name)
	}
	if len(away) == 0 {
		return false, "not ready: no source is joined yet"
	}
	for i, reason := range away[:min(len(away), namedReasons)] {
		away[i] = some(names[reason]) + ": " + reason
	}
	if rest := len(away) - namedReasons; rest > 0 {
		away = append(away[:namedReasons], fmt.Sprintf("and %d more reasons", rest))
	}
	return false, "not ready: " + strings.Join(away, "; ")
}

const (
	namedReasons = 5
	namedStrands = 3 // for each: hundreds of partitions stand for one reason
)

func some(names []string) string {
	if rest := len(names) - namedStrands; rest > 0 {
		return strings.Join(names[:namedStrands], ", ") + fmt.Sprintf(" and %d more", rest)
	}
	return strings.Join(names, ", ")
}

// States of queue.Status, which this package reads through worker.Status only; a
// test holds them to the constants of package queue.
const (
	stateJoining       = "joining"
	stateBrokerAway    = "broker_away"
	stateMissing       = "missing"
	stateTopicMissing  = "topic_missing"
	stateStalled       = "stalled"
	stateRefused       = "refused"
	stateMisconfigured = "misconfigured"
	stateEnded         = "ended"
)

// unjoined returns the state that keeps a strand from being consumed, or "". The
// worker's own states (window_full, budget_exhausted, stopped) are pauses of a
// strand that is joined.
func unjoined(st *worker.StrandStatus) (state, cause string) {
	for _, state := range []string{st.Queue.State, st.State} {
		switch state {
		case stateJoining, stateBrokerAway, stateMissing, stateTopicMissing, stateStalled, stateRefused, stateMisconfigured:
			if st.Queue.Cause != "" {
				return state, st.Queue.Cause
			}
			return state, st.Why
		}
	}
	return "", ""
}

func answer(rw http.ResponseWriter, code int, text string) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(code)
	fmt.Fprintln(rw, text)
}
