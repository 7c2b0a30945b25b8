package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

type fakeWorker struct {
	status  worker.Status
	resumed []string
	stuck   chan struct{} // Status waits for its close, if not nil

	paused  []worker.Target
	changes *worker.Changes
	refuses error
}

func (f *fakeWorker) Status() *worker.Status {
	if f.stuck != nil {
		<-f.stuck
	}
	return &f.status
}

func (f *fakeWorker) Resume() []string { return f.resumed }

func (f *fakeWorker) Reload() (*worker.Changes, error) { return f.changes, f.refuses }

func (f *fakeWorker) Pause(t worker.Target) error {
	f.paused = append(f.paused, t)
	return f.refuses
}

func (f *fakeWorker) Unpause(t worker.Target) (bool, error) {
	return slices.Contains(f.paused, t), f.refuses
}

func (f *fakeWorker) Tap(worker.TapRequest) (*worker.Tap, error) { return nil, f.refuses }

func strand(name, state string) worker.StrandStatus {
	return worker.StrandStatus{Name: name, State: "fetching", Queue: queue.Status{State: state}}
}

func TestReadyFollowsTheBrokerAndNotTheDestinations(t *testing.T) {
	t.Parallel()
	paused := strand("LOGS/flushline", queue.StateConsuming)
	paused.State, paused.BlockedBy = "window_full", []string{"shop/es"}
	away := strand("LOGS/flushline", queue.StateBrokerAway)
	away.Queue.Cause = "connection refused"
	for _, tc := range []struct {
		name  string
		state string
		have  []worker.StrandStatus
		ready bool
		says  string
	}{
		{"before any strand", "running", nil, false, "no source is joined yet"},
		{"joining", "running", []worker.StrandStatus{strand("LOGS/flushline", queue.StateJoining)}, false, "LOGS/flushline: joining"},
		{"consuming", "running", []worker.StrandStatus{strand("LOGS/flushline", queue.StateConsuming)}, true, "ready"},
		{"paused by its lanes", "running", []worker.StrandStatus{paused}, true, "ready"},
		{"full through other pods", "running", []worker.StrandStatus{strand("a", queue.StateAckPendingExhausted)}, true, "ready"},
		{"broker away", "running", []worker.StrandStatus{away}, false, "broker_away: connection refused"},
		{"one of two strands away", "running", []worker.StrandStatus{away, strand("b", queue.StateConsuming)}, true, "ready"},
		{"stream missing", "running", []worker.StrandStatus{strand("a", queue.StateMissing)}, false, "missing"},
		{"settings that lose data", "running", []worker.StrandStatus{strand("a", queue.StateMisconfigured)}, false, "misconfigured"},
		{"topic missing", "running", []worker.StrandStatus{strand("logs", queue.StateTopicMissing)}, false, "logs: topic_missing"},
		{"nothing comes", "running", []worker.StrandStatus{strand("logs[0]", queue.StateStalled)}, false, "stalled"},
		{"denied", "running", []worker.StrandStatus{strand("logs[0]", queue.StateRefused)}, false, "refused"},
		{"a member without a partition", "running", []worker.StrandStatus{strand("group g", queue.StateConsuming)}, true, "ready"},
		{"many away", "running", slices.Repeat([]worker.StrandStatus{away}, 200), false, "LOGS/flushline and 197 more: broker_away: connection refused"},
		{"only an ended strand", "running", []worker.StrandStatus{strand("a", queue.StateEnded)}, false, "no source"},
		{"draining", "draining", []worker.StrandStatus{strand("a", queue.StateConsuming)}, false, "draining"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ready, why := admin.Ready(&worker.Status{State: tc.state, Strands: tc.have})
			if ready != tc.ready || !strings.Contains(why, tc.says) {
				t.Errorf("Ready = %t, %q; want %t and %q", ready, why, tc.ready, tc.says)
			}
		})
	}
}

func TestPulseBelievesInASlowWorkerForALimitedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &fakeWorker{stuck: make(chan struct{})}
		p := admin.NewPulse(w)
		if !p.Alive(time.Second) {
			t.Error("stuck for one second: want alive")
		}
		time.Sleep(admin.PulseLimit)
		if p.Alive(time.Second) {
			t.Error("stuck beyond the limit: want not alive")
		}
		close(w.stuck)
		synctest.Wait()
		if !p.Alive(time.Second) {
			t.Error("the snapshot came through: want alive")
		}
	})
}

func handlers(t *testing.T, w admin.Worker, token string) (public, control http.Handler) {
	t.Helper()
	parts := prometheus.NewGauge(prometheus.GaugeOpts{Name: "flushline_probe", Help: "A metric of the worker."})
	metrics, err := admin.Metrics(parts, func() worker.ConfigStatus {
		return worker.ConfigStatus{Hash: "abc123", Reloads: 3, Failed: 1, Loaded: time.Unix(7, 0)}
	})
	if err != nil {
		t.Fatal(err)
	}
	return admin.Public(w, metrics), admin.Control(w, metrics, token)
}

type call struct {
	method, path, host string
	header             map[string]string
}

func do(h http.Handler, c call) *httptest.ResponseRecorder {
	r := httptest.NewRequest(c.method, c.path, nil)
	r.Host = "127.0.0.1:8480"
	if c.host != "" {
		r.Host = c.host
	}
	for k, v := range c.header {
		r.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func TestThePublicListenerShowsNoDetailAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := &fakeWorker{status: worker.Status{State: "running", Strands: []worker.StrandStatus{strand("a", queue.StateConsuming)}}}
	public, _ := handlers(t, w, "")
	for path, want := range map[string]int{
		"/healthz": 200, "/readyz": 200, "/metrics": 200,
		"/status": 404, "/resume": 404, "/pause": 404, "/tap": 404, "/reload": 404, "/debug/pprof/": 404,
	} {
		if got := do(public, call{method: "GET", path: path, host: "pod.example"}).Code; got != want {
			t.Errorf("GET %s = %d, want %d", path, got, want)
		}
	}
	if got := do(public, call{method: "POST", path: "/healthz"}).Code; got != 405 {
		t.Errorf("POST /healthz = %d, want 405", got)
	}
	body := do(public, call{method: "GET", path: "/metrics"}).Body.String()
	for _, name := range []string{
		"flushline_probe 0", `flushline_config_info{hash="abc123"} 1`, "go_goroutines",
		`flushline_reloads_total{result="ok"} 3`, `flushline_reloads_total{result="failed"} 1`, "flushline_config_loaded_timestamp_seconds 7",
	} {
		if !strings.Contains(body, name) {
			t.Errorf("/metrics lacks %q", name)
		}
	}
}

func TestNotReadyAnswers503WithTheReason(t *testing.T) {
	t.Parallel()
	public, _ := handlers(t, &fakeWorker{status: worker.Status{State: "running"}}, "")
	rec := do(public, call{method: "GET", path: "/readyz"})
	if rec.Code != 503 || !strings.Contains(rec.Body.String(), "no source is joined yet") {
		t.Errorf("GET /readyz = %d %q", rec.Code, rec.Body)
	}
}

func TestControlShowsStatusAndResumes(t *testing.T) {
	t.Parallel()
	w := &fakeWorker{status: worker.Status{Version: "v1", State: "running"}, resumed: []string{"flusher shop/es"}}
	_, control := handlers(t, w, "")

	var got worker.Status
	rec := do(control, call{method: "GET", path: "/status"})
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatalf("GET /status: %v in %q", err, rec.Body)
	}
	if diff := cmp.Diff(w.status, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("/status (-want +got):\n%s", diff)
	}
	if body := do(control, call{method: "POST", path: "/resume"}).Body.String(); body != `{"resumed":["flusher shop/es"]}`+"\n" {
		t.Errorf("POST /resume = %q", body)
	}
	if code := do(control, call{method: "GET", path: "/resume"}).Code; code != 405 {
		t.Errorf("GET /resume = %d, want 405", code)
	}
	if code := do(control, call{method: "GET", path: "/debug/pprof/goroutine?debug=1"}).Code; code != 200 {
		t.Errorf("GET pprof = %d, want 200", code)
	}
}

func TestControlPausesAndResumesWhatTheQueryNames(t *testing.T) {
	t.Parallel()
	w := &fakeWorker{resumed: []string{"flusher shop/es"}}
	_, control := handlers(t, w, "")
	for _, tc := range []struct {
		path string
		code int
		body string
	}{
		{"/pause?route=shop", 200, `{"paused":["route shop"]}`},
		{"/pause?route=shop&flusher=es&project=p&logstore=l&config=c", 200, `{"paused":["lane shop/es p/l/c"]}`},
		{"/pause?strand=logs%5B3%5D", 200, `{"paused":["strand logs[3]"]}`},
		{"/resume?route=shop", 200, `{"resumed":["route shop"]}`},
		{"/resume?route=other", 200, `{"resumed":[]}`},
		{"/resume", 200, `{"resumed":["flusher shop/es"]}`},
		{"/resume?route=", 400, "the parameter route must be"},
		{"/pause?rout=shop", 400, "the parameter rout must be"},
		{"/pause?route=a&route=b", 400, "once"},
		{"/pause?%zz", 400, "couldn't read the query"},
	} {
		rec := do(control, call{method: "POST", path: tc.path})
		if rec.Code != tc.code || !strings.Contains(rec.Body.String(), tc.body) {
			t.Errorf("POST %s = %d %q; want %d %q", tc.path, rec.Code, rec.Body, tc.code, tc.body)
		}
	}
	want := []worker.Target{
		{Route: "shop"},
		{Route: "shop", Flusher: "es", Project: "p", Logstore: "l", Config: "c"},
		{Strand: "logs[3]"},
	}
	if diff := cmp.Diff(want, w.paused); diff != "" {
		t.Errorf("paused (-want +got):\n%s", diff)
	}
}

func TestRefusedChangesSayWhy(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err  error
		code int
	}{
		{fmt.Errorf("%w: no route x", worker.ErrTarget), 422},
		{&worker.HeldError{Entries: []worker.Held{{Name: "shop/es", Parts: 7}}}, 422},
		{errors.New("nothing was changed: flushline.yaml:3:1: error: ..."), 422},
		{worker.ErrStopping, 503},
		{fmt.Errorf("%w: later", admin.ErrNotNow), 503},
	} {
		_, control := handlers(t, &fakeWorker{refuses: tc.err}, "")
		for _, path := range []string{"/reload", "/pause?route=x", "/resume?route=x", "/tap?route=x"} {
			rec := do(control, call{method: "POST", path: path})
			if rec.Code != tc.code || rec.Body.String() != tc.err.Error()+"\n" {
				t.Errorf("POST %s = %d %q; want %d %q", path, rec.Code, rec.Body, tc.code, tc.err)
			}
		}
	}
	_, control := handlers(t, &fakeWorker{changes: &worker.Changes{Added: []string{"a/x"}, Unchanged: []string{"b/y"}}}, "")
	if body := do(control, call{method: "POST", path: "/reload"}).Body.String(); body != `{"added":["a/x"],"unchanged":["b/y"]}`+"\n" {
		t.Errorf("POST /reload = %q", body)
	}
}

// Before the source is joined there is nothing to list, and `jq '.lanes[]'` still works.
func TestStatusHasNoNullLists(t *testing.T) {
	t.Parallel()
	_, control := handlers(t, &fakeWorker{}, "")
	body := do(control, call{method: "GET", path: "/status"}).Body.String()
	for _, name := range []string{"sources", "strands", "flushers", "lanes", "pools"} {
		if !strings.Contains(body, `"`+name+`":[]`) {
			t.Errorf("%s is no empty list in %s", name, body)
		}
	}
}

func TestControlRefusesWhoIsNotAllowed(t *testing.T) {
	t.Parallel()
	_, open := handlers(t, &fakeWorker{}, "")
	_, guarded := handlers(t, &fakeWorker{}, "s3cret")
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	for _, tc := range []struct {
		name string
		h    http.Handler
		call call
		want int
	}{
		{"a name that points at loopback", open, call{method: "GET", path: "/status", host: "evil.example:8480"}, 403},
		{"localhost", open, call{method: "GET", path: "/status", host: "localhost:8480"}, 200},
		{"IPv6 loopback", open, call{method: "GET", path: "/status", host: "[::1]:8480"}, 200},
		{"a form on a web page", open, call{method: "POST", path: "/resume", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		{"a pause by a web page", open, call{method: "POST", path: "/pause?route=a", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		{"a tap of a web page", open, call{method: "POST", path: "/tap?route=a", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403},
		{"a tap without token", guarded, call{method: "POST", path: "/tap?route=a", host: "pod.example"}, 401},
		{"a reload without token", guarded, call{method: "POST", path: "/reload"}, 401},
		{"a pause without token", guarded, call{method: "POST", path: "/pause?route=a", host: "pod.example"}, 401},
		{"a reload by reading", open, call{method: "GET", path: "/reload"}, 405},
		{"no token", guarded, call{method: "GET", path: "/status", host: "pod.example"}, 401},
		{"another token", guarded, call{method: "GET", path: "/status", header: bearer("s3cre")}, 401},
		{"the token without Bearer", guarded, call{method: "GET", path: "/status", header: map[string]string{"Authorization": "s3cret"}}, 401},
		{"the token", guarded, call{method: "GET", path: "/status", host: "pod.example", header: bearer("s3cret")}, 200},
		{"pprof without token", guarded, call{method: "GET", path: "/debug/pprof/"}, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := do(tc.h, tc.call).Code; got != tc.want {
				t.Errorf("%s %s = %d, want %d", tc.call.method, tc.call.path, got, tc.want)
			}
		})
	}
}

func TestListenNamesTheOptionOfABusyPort(t *testing.T) {
	t.Parallel()
	ln, err := admin.Listen(t.Context(), "admin.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if admin.NeedsToken(ln) {
		t.Error("loopback needs no token")
	}
	_, err = admin.Listen(t.Context(), "admin.listen", ln.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "admin.listen") || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("a second Listen: %v; want an error with option and address", err)
	}
	wide := fakeListener{&net.TCPAddr{IP: net.IPv4zero, Port: 8481}}
	if !admin.NeedsToken(wide) {
		t.Error("0.0.0.0 needs a token")
	}
}

type fakeListener struct{ addr net.Addr }

func (fakeListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (fakeListener) Close() error              { return nil }
func (f fakeListener) Addr() net.Addr          { return f.addr }

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ln, err := admin.Listen(t.Context(), "metrics.listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &fakeWorker{}
	public, _ := handlers(t, w, "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- admin.Serve(ctx, ln, public) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + ln.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "ok\n" {
		t.Errorf("GET /healthz = %d %q", resp.StatusCode, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := admin.Serve(t.Context(), ln, public); err == nil {
		t.Error("Serve on a closed listener: want an error")
	}
}
