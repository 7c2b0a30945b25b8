//go:build unix

package e2e

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/ledger"
)

// A strand and a route are paused by hand for longer than the broker waits for an
// acknowledgement: nothing is fetched or flushed of them, nothing comes again, and
// afterwards nothing is missing.
func TestWhatIsPausedByHandIsNotRedelivered(t *testing.T) {
	t.Parallel()
	const window = 2000
	lasts := ackWait + 2*time.Second
	r := newRig(t, false)
	config := r.config(t, "w1", window)
	r.setup(t, config)
	load := r.load(30)
	load.Rate = 300
	stop := r.producing(t, load)
	p := r.pod(t, "flushline", "w1", config)
	eventually(t, time.Minute, "logs flow", func() bool { return r.slow.logs.Load() > 50 })

	p.post(t, "/pause?route=slow")
	eventually(t, time.Minute, "the route's calls have ended", func() bool { return p.lanes(t, "slow", "flushing") == 0 })
	flushed, other := r.slow.logs.Load(), r.both.logs.Load()
	<-time.After(lasts)
	if n := r.slow.logs.Load(); n != flushed {
		t.Errorf("%d logs were flushed while the route was paused", n-flushed)
	}
	if r.both.logs.Load() == other {
		t.Error("the other routes stood still")
	}

	strand := p.status(t).Strands[0].Name
	p.post(t, "/pause?strand="+url.QueryEscape(strand))
	eventually(t, time.Minute, "the last Fetch has ended", func() bool { return p.status(t).Strands[0].State == "paused" })
	fetched := p.status(t).Sources[0].Messages
	<-time.After(lasts)
	if n := p.status(t).Sources[0].Messages; n != fetched {
		t.Errorf("%d messages were taken in while the strand was paused", n-fetched)
	}
	if p.lanes(t, "slow", "paused") == 0 {
		t.Error("the route held nothing: nothing was shown")
	}

	p.post(t, "/resume?route=slow")
	p.post(t, "/resume?strand="+url.QueryEscape(strand))
	stop()
	r.broker.drained(t, time.Minute)
	if n := p.metric(t, "flushline_redelivered_total"); n != 0 {
		t.Errorf("%.0f messages were delivered again", n)
	}
	p.terminate(t)
	r.judge(t, (*ledger.Verdict).Once)
}

// lanes is how many lanes of a route are in a state.
func (p *pod) lanes(t *testing.T, route, state string) (n int64) {
	t.Helper()
	for _, f := range p.status(t).Flushers {
		if f.Route == route {
			n += f.Lanes[state]
		}
	}
	return n
}

// post asks the pod for a change.
func (p *pod) post(t *testing.T, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.address(t, "admin")+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s", path, resp.Status)
	}
}
