package cmd

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func TestStatusShowsWhatIsBlockedAndWhy(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	s := &worker.Status{
		Version: "v0.1.0", Deployment: "flushline", Host: "pod-1", State: "running", Started: before(3 * time.Hour), Now: now,
		Sources: []worker.SourceStatus{{Name: "nats", Messages: 120000, Acknowledged: 111808, Counts: worker.Counts{
			Received: 120000, Flushed: 111800, InFlight: 8192, DeadLettered: map[string]int64{"no_key": 8},
		}}},
		Strands: []worker.StrandStatus{{
			Source: "nats", Name: "LOGS/flushline", State: "window_full", Since: before(90 * time.Second),
			BlockedBy: []string{"shop/es shop/app/cart"}, Held: 8192, HeldBytes: 12 << 20,
			Queue: queue.Status{State: queue.StateConsuming, Committed: 118000, End: 2118000, Lag: 2000000, Oldest: before(5 * time.Minute)},
		}},
		Flushers: []worker.FlusherStatus{{
			Route: "shop", Flusher: "es", Kind: "http", Lanes: map[string]int64{"backoff": 1, "flushing": 1, "idle": 12},
			Counts: worker.Counts{Flushed: 111800, InFlight: 8192}, Errors: map[string]int64{"retry": 17},
		}},
		Lanes: []worker.LaneStatus{
			{
				Route: "shop", Flusher: "es", Project: "shop", Logstore: "app", Config: "cart", State: worker.LaneBackoff,
				Why: "503 Service\x1b[2J Unavailable", Since: before(2 * time.Minute), NextTry: now.Add(12 * time.Second), Parts: 8192, Bytes: 12 << 20,
			},
			{Route: "shop", Flusher: "es", Project: "shop", Logstore: "app", Config: "ok", State: worker.LaneFlushing, Parts: 3},
		},
		Pools:   []worker.PoolStatus{{Name: "held", Limit: 256 << 20, Used: 12 << 20}},
		Stopped: []worker.GuardStatus{{Scope: "flusher", Name: "shop/es", Since: before(time.Minute), Count: 1000, Last: "400 bad mapping"}},
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, scope{}); err != nil {
		t.Fatal(err)
	}
	want := `flushline v0.1.0 on pod-1, deployment flushline: running for 3h00m

STOPPED  SCOPE    SINCE  IN A ROW  LAST ERROR
shop/es  flusher  1m00s  1,000     400 bad mapping
These dead-lettered everything. Mend the cause, then ` + "`flushline resume`" + `.

BLOCKED LANE   FLUSHER  STATE    SINCE  NEXT TRY  PARTS           WHY
shop/app/cart  shop/es  backoff  2m00s  in 12s    8,192 (12 MiB)  503 Service [2J Unavailable
1 lane holds parts and moves

STRAND               STATE        SINCE  LAG        COMMITTED  END        HELD            OLDEST  WHY
nats LOGS/flushline  window_full  1m30s  2,000,000  118,000    2,118,000  8,192 (12 MiB)  5m00s   blocked by shop/es shop/app/cart

SOURCE  MESSAGES  ACKED    GIVEN BACK  PARTS    FLUSHED  DEAD LETTERS  PARKED  SKIPPED  RELEASED  IN FLIGHT
nats    120,000   111,808  0           120,000  111,800  8 no_key      0       0        0         8,192

FLUSHER  KIND  FLUSHED  IN FLIGHT  DEAD LETTERS  LANES                           FAILED CALLS
shop/es  http  111,800  8,192      0             12 idle, 1 backoff, 1 flushing  17 retry

BYTES  USED    LIMIT    WAITING
held   12 MiB  256 MiB  0
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestStatusShowsWhatIsParkedLaneByLane(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	lane := func(config, state string, park *worker.ParkStatus) worker.LaneStatus {
		return worker.LaneStatus{Route: "shop", Flusher: "es", Project: "shop", Logstore: "app", Config: config, State: state, Park: park, Why: "503", Since: now}
	}
	parked := func(flusher, config string, n int64) worker.ParkedLane {
		return worker.ParkedLane{Route: "shop", Flusher: flusher, Project: "shop", Logstore: "app", Config: config, Messages: n, Oldest: now.Add(-time.Hour), Place: "P." + config}
	}
	s := &worker.Status{
		Now: now, Started: now,
		Flushers: []worker.FlusherStatus{{Route: "shop", Flusher: "es", Lanes: map[string]int64{"parking": 1}}},
		Lanes: []worker.LaneStatus{
			lane("dead", worker.LaneParking, &worker.ParkStatus{Phase: worker.ParkBlocked, Since: now.Add(-2 * time.Minute), NextProbe: now.Add(9 * time.Second), Parked: 5}),
			lane("slow", worker.LaneFlushing, &worker.ParkStatus{Phase: worker.ParkOverflow, Parked: 3}),
			lane("fine", worker.LaneFlushing, nil),
		},
		Companions: []worker.CompanionStatus{{
			Source: "nats", Asked: now.Add(-7 * time.Second), Error: "no server",
			Lanes: []worker.ParkedLane{parked("es", "dead", 1200), parked("es", "fine", 40), parked("gone", "old", 8)},
		}},
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, scope{}); err != nil {
		t.Fatal(err)
	}
	want := `
PARKED LANE    FLUSHER    PHASE                      SINCE  NEXT PROBE  PARKED  OLDEST  PLACE
shop/app/dead  shop/es    blocked                    2m00s  in 9s       1,200   1h00m   P.dead
shop/app/fine  shop/es    being served               -      -           40      1h00m   P.fine
shop/app/old   shop/gone  unknown flusher: it stays  -      -           8       1h00m   P.old
shop/app/slow  shop/es    overflow                   -      -           -       -       
what is parked beside nats is known from 7s ago: no server
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("%s", cmp.Diff(want, b.String()))
	}
}

// Ten thousand lanes of one destination that is down fill no screen.
func TestStatusShowsSomeBlockedLanesAndCountsTheRest(t *testing.T) {
	t.Parallel()
	s := &worker.Status{Flushers: []worker.FlusherStatus{{
		Route: "r", Flusher: "f", Lanes: map[string]int64{"unready": 9000, "backoff": 1000, "queued": 1200, "idle": 7},
	}}}
	for range worker.MaxLanes {
		s.Lanes = append(s.Lanes, worker.LaneStatus{Route: "r", Flusher: "f", State: worker.LaneUnready})
	}
	var b bytes.Buffer
	if err := printStatus(&b, s, scope{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), " r/f "); n != blockedRows {
		t.Errorf("%d blocked lanes are shown, want %d", n, blockedRows)
	}
	for _, want := range []string{"and 9,980 more blocked lanes", "1,200 lanes hold parts and move"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("status does not say %q:\n%s", want, b.String())
		}
	}
}

// Hundreds of partitions are a line for each state, and those that do not move.
func TestStatusSumsUpManyStrands(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	s := &worker.Status{Now: now}
	for i := range 200 {
		st := worker.StrandStatus{
			Source: "kafka", Name: fmt.Sprintf("logs[%d]", i), State: "fetching", Held: 2, HeldBytes: 2 << 10,
			Queue: queue.Status{Lag: 10, Committed: 89, End: 99, Oldest: now.Add(-time.Duration(i) * time.Second)},
		}
		if i >= 175 {
			st.State, st.Why, st.Queue.Lag = queue.StateBrokerAway, "broker 3 does not answer", int64(1000+i)
		}
		s.Strands = append(s.Strands, st)
	}
	show := func(v scope) string {
		var b bytes.Buffer
		if err := printStatus(&b, s, v); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, want := range []string{
		"175 kafka  fetching     1,750   350 (350 KiB)  2m54s\n",
		"25 kafka   broker_away  29,675  50 (50 KiB)    3m19s\n",
		"kafka logs[199] and 24 more  broker_away  -      29,675  50 (50 KiB)  3m19s   broker 3 does not answer",
	} {
		if got := show(scope{}); !strings.Contains(got, want) {
			t.Errorf("status does not say %q:\n%s", want, got)
		}
	}
	for v, rows := range map[scope]int{{}: 1, {strands: true}: 200} {
		if n := strings.Count(show(v), "kafka logs["); n != rows {
			t.Errorf("%+v shows %d strands, want %d", v, n, rows)
		}
	}
	s.Strands[199].Why = "" // not what the others suffer from
	s.Strands[199].BlockedBy = []string{"shop/es shop/app/cart"}
	if got := show(scope{}); !strings.Contains(got, "kafka logs[198] and 23 more") || !strings.Contains(got, "blocked by shop/es shop/app/cart") {
		t.Errorf("two reasons are two lines:\n%s", got)
	}
}

// A partition that never held a message has no positions, which is no mystery.
func TestAnEmptyPartitionHasNoPositions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n, lag int64
		want   string
	}{{-1, 0, "-"}, {-1, -1, "?"}, {0, 0, "0"}, {1234, 5, "1,234"}} {
		if got := position(c.n, &queue.Status{Lag: c.lag}); got != c.want {
			t.Errorf("position %d with lag %d is %q, want %q", c.n, c.lag, got, c.want)
		}
	}
}

func TestSpansHaveTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 1234 * time.Millisecond: "1.2s", 42 * time.Second: "42s",
		3*time.Minute + 4*time.Second: "3m04s", 5*time.Hour + time.Minute: "5h01m", 75 * time.Hour: "3d03h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAdminCallsSayWhatToDo(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/resume":
			http.Error(rw, "broken", http.StatusInternalServerError)
		case r.Header.Get("Authorization") != "Bearer s3cret":
			rw.WriteHeader(http.StatusUnauthorized)
		default:
			rw.Write([]byte(`{}`))
		}
	}))
	t.Cleanup(srv.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	for _, tc := range []struct{ name, address, token, path, says string }{
		{"nobody there", gone.URL, "", "/status", "is `flushline run` running?"},
		{"no token", srv.URL, "", "/status", "FLUSHLINE_ADMIN_TOKEN"},
		{"an error of the worker", strings.TrimPrefix(srv.URL, "http://"), "s3cret", "/resume", "500 Internal Server Error: broken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := newAdminClient(tc.address, tc.token)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.call(t.Context(), http.MethodGet, tc.path)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error = %v, want %q in it", err, tc.says)
			}
			if code := report(new(bytes.Buffer), err); code != exitUnavailable {
				t.Errorf("exit code %d, want %d", code, exitUnavailable)
			}
		})
	}
	c, err := newAdminClient(srv.URL, "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(t.Context(), http.MethodGet, "/status"); err != nil {
		t.Error(err)
	}
}

func TestAListenerOnEveryInterfaceIsAskedOnLoopback(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"0.0.0.0:8480": "http://127.0.0.1:8480", ":8480": "http://127.0.0.1:8480", "[::]:1": "http://127.0.0.1:1",
		"https://pod.example/flushline/": "https://pod.example/flushline",
	} {
		c, err := newAdminClient(address, "")
		if err != nil || c.base != want {
			t.Errorf("%s: %v, %v; want %s", address, c, err, want)
		}
	}
	if _, err := newAdminClient("http://", ""); err == nil {
		t.Error("an address without a host: want an error")
	}
}

// The traffic has to be legal for every reader: keys named, times of now, no
// empty group, and each key its turn.
func TestTrafficIsWellFormedAndRepeatable(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	a, b := newTraffic(7, demoKeys), newTraffic(7, demoKeys)
	seen := map[protocol.Key]int{}
	for range 60 {
		key, g := a.group(now)
		otherKey, other := b.group(now)
		if key != otherKey || cmp.Diff(g, other) != "" {
			t.Fatal("the same seed gave other traffic")
		}
		seen[key]++
		if len(g.Logs) == 0 || g.Category != key.Logstore || len(g.LogTags) == 0 {
			t.Fatalf("%v: %d logs, category %q, %d tags", key, len(g.Logs), g.Category, len(g.LogTags))
		}
		for _, l := range g.Logs {
			if age := now.Unix() - int64(l.Time); age < 0 || age > 2 || len(l.Contents) == 0 {
				t.Fatalf("%v: a log %d s old with %d contents", key, age, len(l.Contents))
			}
		}
		if size := g.Size(); size > 64<<10 {
			t.Fatalf("%v: a group of %d bytes", key, size)
		}
	}
	for _, key := range demoKeys {
		if seen[key] != 10 {
			t.Errorf("%v had %d of 60 groups, want 10", key, seen[key])
		}
	}
}
