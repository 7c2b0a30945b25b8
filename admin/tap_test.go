package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/admin"
	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/test/pipenet"
	"github.com/flushline/flushline/worker"
)

// tapRig is a worker of one route with its admin listener, in a bubble.
type tapRig struct {
	*testing.T
	*worker.Worker
	queue   *memory.Queue
	host    *pipenet.Host
	base    string
	endings []func()
}

func (*tapRig) Reload() (*worker.Changes, error) { return nil, worker.ErrStopping }

func newTapRig(t *testing.T) *tapRig {
	t.Helper()
	kind := checker.New().Kind()
	w, err := worker.New(worker.Config{
		Deployment: "test", DeadLetter: worker.DeadLetter{Sink: memory.NewSink("letters")},
		Routes: []worker.Route{{Name: "a", Flushers: []worker.Entry{{Name: "x", Kind: kind, New: kind.New}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	network := new(pipenet.Net)
	ln, err := network.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &tapRig{T: t, Worker: w, queue: memory.New(memory.Config{}), host: network.Host(), base: "http://" + ln.Addr().String()}
	_, control := handlers(t, r, "")
	r.begin(func(ctx context.Context) error { return admin.Serve(ctx, ln, control) })
	r.begin(func(ctx context.Context) error { return w.Run(ctx, r.queue) })
	return r
}

// begin runs f until the end of the rig; the newest ends first.
func (r *tapRig) begin(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.endings = append(r.endings, func() {
		cancel()
		if err := <-done; err != nil {
			r.Error(err)
		}
	})
}

func (r *tapRig) stop() {
	for i := len(r.endings) - 1; i >= 0; i-- {
		r.endings[i]()
	}
	for _, p := range r.Status().Pools {
		if p.Used != 0 {
			r.Errorf("pool %s holds %d bytes", p.Name, p.Used)
		}
	}
}

func (r *tapRig) publish(n int) {
	b, err := (&protocol.LogGroup{Logs: []*protocol.Log{{Time: 1, Contents: []*protocol.Log_Content{{Key: "k", Value: strings.Repeat("s", 1000)}}}}}).Marshal()
	if err != nil {
		r.Fatal(err)
	}
	for range n {
		r.queue.Publish(queue.Message{Value: b, Headers: []queue.Header{
			{Key: "x-log-project", Value: "p"}, {Key: "x-log-logstore", Value: "ls"}, {Key: "x-log-config", Value: "c"},
		}})
	}
	if err := r.queue.WaitAcked(r.Context(), int64(n)); err != nil {
		r.Fatal(err)
	}
}

func (r *tapRig) request(method, path string) *http.Response {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.base+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: r.host.DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	return resp
}

// lines reads an answer to its end.
func (r *tapRig) lines(body io.Reader) (samples []*worker.Sample, end *admin.TapEnd) {
	r.Helper()
	for in := bufio.NewScanner(body); in.Scan(); {
		var l admin.TapLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			r.Fatalf("%v in %s", err, in.Bytes())
		}
		if end != nil {
			r.Errorf("%s comes behind the end", in.Bytes())
		}
		if l.Sample != nil {
			samples = append(samples, l.Sample)
		}
		end = l.End
	}
	return samples, end
}

func TestTapShowsGroupsAndEndsByItself(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query   string
		publish int
		want    admin.TapEnd
		takes   time.Duration
	}{
		"enough":           {"&groups=3&for=1h", 5, admin.TapEnd{TapCounts: worker.TapCounts{Seen: 3}, Shown: 3, Reason: admin.TapEndGroups}, 0},
		"too few for long": {"&for=1m", 2, admin.TapEnd{TapCounts: worker.TapCounts{Seen: 2}, Shown: 2, Reason: admin.TapEndTime}, time.Minute},
		"nothing":          {"", 0, admin.TapEnd{Reason: admin.TapEndTime}, admin.TapFor},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTapRig(t)
				began := time.Now()
				resp := r.request("POST", "/tap?route=a&flusher=x&project=p&logstore=ls&config=c"+tc.query)
				defer resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Fatal(resp.Status)
				}
				r.publish(tc.publish)
				samples, end := r.lines(resp.Body)
				if end == nil || *end != tc.want || len(samples) != int(tc.want.Shown) {
					t.Fatalf("%d samples, end %+v; want %+v", len(samples), end, tc.want)
				}
				if took := time.Since(began); took < tc.takes || took > tc.takes+time.Second {
					t.Errorf("it took %s, want %s", took, tc.takes)
				}
				for _, s := range samples {
					if c := s.Group.Logs[0].Contents[0]; c.Value != nil || c.Bytes != 1000 {
						t.Errorf("the content: %+v", c)
					}
				}
				r.stop()
			})
		})
	}
}

// Who takes nothing is left after a while, and who goes is noticed at once.
func TestTapEndsWithItsReader(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*tapRig, *http.Response){
		"gone": func(_ *tapRig, resp *http.Response) { resp.Body.Close() },
		"stalled": func(r *tapRig, _ *http.Response) {
			r.host.Hold(pipenet.Down)
			r.publish(1000)
			time.Sleep(11 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTapRig(t)
				var answers []*http.Response
				for range 4 {
					answers = append(answers, r.request("POST", "/tap?route=a&groups=10000&for=1h"))
				}
				other := r.request("POST", "/tap?route=a")
				defer other.Body.Close()
				if body, _ := io.ReadAll(other.Body); other.StatusCode != 503 || string(body) != worker.ErrTaps.Error()+"\n" {
					t.Fatalf("a fifth tap: %s %s", other.Status, body)
				}
				for _, resp := range answers {
					leave(r, resp)
				}
				synctest.Wait()
				for range 4 { // there is room again
					tap, err := r.Tap(worker.TapRequest{Target: worker.Target{Route: "a"}, Groups: 1})
					if err != nil {
						t.Fatal(err)
					}
					defer tap.Close()
				}
				r.host.Release()
				for _, resp := range answers {
					resp.Body.Close()
				}
				r.stop()
			})
		})
	}
}

func TestTapEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newTapRig(t)
		resp := r.request("POST", "/tap?route=a&for=1h")
		defer resp.Body.Close()
		r.stop()
		if _, end := r.lines(resp.Body); end == nil || end.Reason != admin.TapEndStopped {
			t.Errorf("the end: %+v", end)
		}
	})
}

func TestTapRefusesWhatItCannotShow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newTapRig(t)
		for query, want := range map[string]string{
			"route=b":               `422 wrong target: there is no route "b"; there are a/x`,
			"route=a&contents=true": "422 this worker shows no values",
			"route=a&groups=0":      "422 a tap shows 1 to 10000 groups, not 0",
			"route=a&groups=many":   "400 the parameter groups: ",
			"route=a&for=1":         "400 the parameter for: ",
			"route=a&for=2h":        "400 the parameter for: it must be above 0 and at most 1h0m0s",
			"route=a&topic=b":       "400 the parameter topic must be one of",
			"strand=memory[0]":      "422 wrong target: name a route: a tap is on a route",
		} {
			resp := r.request("POST", "/tap?"+query)
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := fmt.Sprint(resp.StatusCode, " ", string(body)); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s; want %s", query, got, want)
			}
		}
		resp := r.request("GET", "/tap?route=a")
		resp.Body.Close()
		if resp.StatusCode != 405 {
			t.Errorf("GET /tap: %s", resp.Status)
		}
		r.stop()
	})
}
