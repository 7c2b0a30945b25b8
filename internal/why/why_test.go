package why_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flushline/flushline/internal/leak"
	"github.com/flushline/flushline/internal/why"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run())) }

var now = time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)

func before(d time.Duration) time.Time { return now.Add(-d) }

// status is a worker whose strand is full of what shop/es does not take.
func status() *worker.Status {
	unended := &worker.Unended{Strand: "LOGS/flushline", Position: 118001, Group: 2, Received: before(5 * time.Minute), Lane: "shop/es shop/app/cart", State: worker.LaneBackoff}
	return &worker.Status{
		Version: "v1", Deployment: "flushline", Host: "pod-1", State: "running", Started: before(time.Hour), Now: now,
		Config:  &worker.ConfigStatus{File: "shop.yaml", Given: map[string]string{"limits.in_flight": "shop.yaml:9:20", "routes.shop": "shop.yaml:4:5", "letters": "stream L_DLQ"}},
		Sources: []worker.SourceStatus{{Name: "nats", Place: "nats nats://n1:4222", Counts: worker.Counts{Flushed: 1000, InFlight: 8192}}},
		Strands: []worker.StrandStatus{{
			Source: "nats", Name: "LOGS/flushline", State: "window_full", Why: "full", Since: before(90 * time.Second),
			BlockedBy: []string{"shop/es shop/app/cart", "shop/es shop/app/pay"}, Held: 8192, Unended: unended,
			Queue: queue.Status{State: queue.StateConsuming, Position: 126192, Committed: 118000, End: 2118000, Lag: 2000000, Oldest: before(6 * time.Minute)},
		}},
		Flushers: []worker.FlusherStatus{{
			Route: "shop", Flusher: "es", Kind: "http", Lanes: map[string]int64{"backoff": 1, "flushing": 3, "idle": 4}, At: "shop.yaml:6:9",
			Options: []worker.OptionStatus{{Name: "url", At: "shop.yaml:7:14"}, {Name: "password", At: "shop.yaml:8:19", Secret: true}},
		}},
		Lanes: []worker.LaneStatus{{
			Route: "shop", Flusher: "es", Project: "shop", Logstore: "app", Config: "cart", State: worker.LaneBackoff, LastError: "503",
			Since: before(2 * time.Minute), NextTry: now.Add(12 * time.Second), Attempt: 17, Parts: 8192, Oldest: unended.Received, Unended: unended,
			Batch: &worker.BatchStatus{Groups: 500, Bytes: 2 << 20},
		}},
		Standing: []worker.StandingLanes{{Route: "shop", Flusher: "es", State: worker.LaneBackoff, Why: "503", Lanes: 1, Since: before(2 * time.Minute)}},
	}
}

// cause finds the only one of a kind and state.
func cause(t *testing.T, r *why.Report, kind, state string) *why.Cause {
	t.Helper()
	at := slices.IndexFunc(r.Causes, func(c why.Cause) bool { return c.Kind == kind && c.State == state })
	if at < 0 {
		t.Fatalf("nothing of kind %s is %s: %+v", kind, state, r.Causes)
	}
	return &r.Causes[at]
}

func TestAStrandComesBeforeTheLaneThatHoldsIt(t *testing.T) {
	t.Parallel()
	s := status()
	older := s.Lanes[0]
	older.Route, older.State, older.LastError = "other", worker.LaneUnready, ""
	older.Unended = &worker.Unended{Strand: "x", Received: before(time.Hour), Lane: older.Name()}
	s.Lanes = append(s.Lanes, older)
	s.Paused = []worker.PauseStatus{{Scope: "route", Name: "pay", Since: now, FreedBy: "flushline resume --route pay"}}
	r := why.Of(s, nil)
	var got []string
	for _, c := range r.Causes {
		got = append(got, c.Kind+" "+c.Name)
	}
	want := []string{"strand nats LOGS/flushline", "lane shop/es", "paused route pay", "lane other/es"}
	if !slices.Equal(got, want) {
		t.Errorf("the causes are %q, want %q", got, want)
	}
	st := r.Causes[0].Strands[0]
	if st.Committed != 118000 || st.Behind != 2000000 || st.Unended.Position != 118001 || st.Unended.Group != 2 || st.Unended.Lane != "shop/es shop/app/cart" {
		t.Errorf("the strand is %+v, held by %+v", st, st.Unended)
	}
	l := r.Causes[1].Lanes[0]
	if l.Attempt != 17 || l.Batch.Groups != 500 || l.Behind != 2000000 || !l.NextTry.Equal(now.Add(12*time.Second)) {
		t.Errorf("the lane is %+v", l)
	}
}

// Each cause is told with the mend that names what has to be done, and where.
func TestEachCauseNamesItsMend(t *testing.T) {
	t.Parallel()
	lane := func(change func(*worker.LaneStatus)) func(*worker.Status) {
		return func(s *worker.Status) { s.Strands, s.Standing = nil, nil; change(&s.Lanes[0]) }
	}
	strand := func(state, why string) func(*worker.Status) {
		return func(s *worker.Status) {
			s.Lanes, s.Standing, s.Strands[0].State, s.Strands[0].Why = nil, nil, state, why
		}
	}
	for _, tc := range []struct {
		name, kind, state string
		change            func(*worker.Status)
		want              string
	}{
		{
			"a dead destination", why.KindLane, worker.LaneBackoff, lane(func(l *worker.LaneStatus) {}),
			"mend the destination of shop/es (shop.yaml:6:9), or the entry shop/es (shop.yaml:6:9) and `flushline reload`: it is tried again in 12s, for ever",
		},
		{"its address", why.KindLane, worker.LaneBackoff, lane(func(l *worker.LaneStatus) { l.LastError = "dial tcp: no such host" }), "option `url` (shop.yaml:7:14)"},
		{
			"a wrong password", why.KindLane, worker.LaneMisconfigured, lane(func(l *worker.LaneStatus) { l.State, l.LastError = worker.LaneMisconfigured, "401 Unauthorized" }),
			"mend option `password` (shop.yaml:8:19) and `flushline reload`, which tries it at once, or mend the destination: it is tried again in 12s",
		},
		{"an option that the error names", why.KindLane, worker.LaneMisconfigured, lane(func(l *worker.LaneStatus) { l.State, l.LastError = worker.LaneMisconfigured, "the url has no path" }), "option `url` (shop.yaml:7:14)"},
		{"parked", why.KindLane, worker.LaneParking, lane(func(l *worker.LaneStatus) {
			l.State, l.Park = worker.LaneParking, &worker.ParkStatus{Phase: worker.ParkBlocked, NextProbe: now.Add(40 * time.Second)}
		}), "it is tried in 40s; nothing is urgent while the companion for parked records has room, and `flushline parked ls -c shop.yaml` shows what waits"},
		{"a full companion", why.KindLane, worker.LaneParking, lane(func(l *worker.LaneStatus) { l.State = worker.LaneParking }), "bring back the companion for parked records"},
		{"no lane", why.KindLane, worker.LaneParking, lane(func(l *worker.LaneStatus) {
			l.State, l.Park = worker.LaneParking, &worker.ParkStatus{Phase: worker.ParkNoLane}
		}), "raise `limits.lanes`, or mend the destination of shop/es, which keeps 4 of them busy"},
		{"a pause", why.KindLane, worker.LanePaused, lane(func(l *worker.LaneStatus) {
			l.State, l.Why = worker.LanePaused, "route shop was paused; `flushline resume --route shop` lets it go on; the last Flush failed: 503"
		}), "`flushline resume --route shop`"},
		{"a rate", why.KindLane, worker.LaneRateLimited, lane(func(l *worker.LaneStatus) { l.State = worker.LaneRateLimited }), "wait: it goes on in 12s, when `rate` (shop.yaml:6:9) allows more; if it lags, raise that"},
		{"a call that hangs", why.KindLane, worker.LaneFlushing, lane(func(l *worker.LaneStatus) {
			l.State, l.LastError, l.Call = worker.LaneFlushing, "", &worker.CallStatus{Method: "Flush", Since: before(9 * time.Second), Until: now.Add(12 * time.Second)}
		}), "wait: the destination of shop/es (shop.yaml:6:9) answers, or the call is given up in 12s and its batch tried again"},
		{"between two tries", why.KindLane, worker.LaneFlushing, lane(func(l *worker.LaneStatus) { l.State = worker.LaneFlushing }), "it is tried again now, for ever"},
		{"a suspect beside what comes through", why.KindLane, worker.LaneFlushing, lane(func(l *worker.LaneStatus) {
			l.State, l.LastError, l.Doubtful = worker.LaneFlushing, "", 1
			l.Suspects = []worker.SuspectStatus{{Phase: worker.SuspectHalving, Failed: "500", Attempt: 4}}
		}), "halves of it are tried until the poison is found"},
		{"a suspect that nothing comes through beside", why.KindLane, worker.LaneBackoff, lane(func(l *worker.LaneStatus) {
			l.Doubtful, l.Suspects = 1, []worker.SuspectStatus{{Phase: worker.SuspectPausing, Failed: "500"}}
		}), "look at the destination of shop/es (shop.yaml:6:9)"},
		{"a suspect of a lane that is paused", why.KindLane, worker.LanePaused, lane(func(l *worker.LaneStatus) {
			l.State, l.Why = worker.LanePaused, "route shop was paused; `flushline resume --route shop` lets it go on"
			l.Doubtful, l.Suspects = 1, []worker.SuspectStatus{{Phase: worker.SuspectPausing, Failed: "500"}}
		}), "`flushline resume --route shop`"},
		{"wedged", why.KindLane, worker.LaneWedged, lane(func(l *worker.LaneStatus) { l.State = worker.LaneWedged }), "only a restart gives up the calls that hang"},
		{"letters that cannot be stored", why.KindLane, worker.LaneLettering, lane(func(l *worker.LaneStatus) { l.State = worker.LaneLettering }), "bring back stream L_DLQ, or make room there"},
		{"everything is dead", why.KindStopped, worker.LaneHolding, func(s *worker.Status) {
			s.Stopped = []worker.GuardStatus{{Scope: "flusher", Name: "shop/es", Count: 1000, Last: "400 no mapping"}}
		}, "then `flushline resume`; `flushline dlq ls -c shop.yaml` shows what became dead letters"},
		{"a full window", why.KindStrand, "window_full", strand("window_full", ""), "mend what shop/es wait for, or write `when_blocked: park` in route shop (shop.yaml:4:5), which lets the others go on"},
		{"the budget", why.KindStrand, "budget_exhausted", strand("budget_exhausted", ""), "mend what shop/es wait for, or raise `limits.in_flight` (shop.yaml:9:20)"},
		{"the lanes", why.KindStrand, "lanes_exhausted", strand("lanes_exhausted", ""), "raise `limits.lanes`, or mend the destination of shop/es, which keeps 4 of them busy"},
		{"the broker", why.KindStrand, queue.StateBrokerAway, strand(queue.StateBrokerAway, "no connection"), "bring back nats nats://n1:4222, or the network to it"},
		{"a paused strand", why.KindStrand, "paused", func(s *worker.Status) {
			strand("paused", "")(s)
			s.Paused = []worker.PauseStatus{{Scope: "strand", Name: "LOGS/flushline", FreedBy: "flushline resume --strand LOGS/flushline"}}
		}, "`flushline resume --strand LOGS/flushline`"},
		{"bytes that others have", why.KindStrand, "fetching", func(s *worker.Status) {
			strand("fetching", "")(s)
			s.Standing = status().Standing
			s.Strands[0].Held, s.Strands[0].BlockedBy = 0, nil
			s.Pools = []worker.PoolStatus{{Name: "held", Limit: 100, Used: 90, Waiting: 1}}
		}, "mend what shop/es wait for, or raise `limits.in_flight` (shop.yaml:9:20)"},
		{"letters of a source", why.KindStrand, "fetching", strand("fetching", "the dead letter queue fails"), "bring back stream L_DLQ"},
		{"a source that dead-letters everything", why.KindStrand, "fetching", func(s *worker.Status) {
			strand("fetching", "the source dead-lettered everything")(s)
			s.Stopped = []worker.GuardStatus{{Scope: "source", Name: "nats"}}
		}, "then `flushline resume`"},
		{"a flusher that is gone", why.KindParked, "unknown_target", func(s *worker.Status) {
			s.Companions = []worker.CompanionStatus{{Lanes: []worker.ParkedLane{{Route: "old", Flusher: "x", Messages: 7}, {Route: "shop", Flusher: "es", Messages: 9}}}}
		}, "`flushline parked move -c shop.yaml --route old --flusher x --to ROUTE/FLUSHER`"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := status()
			tc.change(s)
			if got := cause(t, why.Of(s, nil), tc.kind, tc.state).FreedBy; !strings.Contains(got, tc.want) {
				t.Errorf("what would free it is\n%s\nwant in it\n%s", got, tc.want)
			}
		})
	}
}

// Ten thousand lanes of one destination are one cause, which counts all of them.
func TestManyLanesAreOneCause(t *testing.T) {
	t.Parallel()
	s := status()
	first := s.Lanes[0]
	s.Lanes = nil
	for i := range worker.MaxLanes {
		l := first
		l.Config = fmt.Sprint(i)
		l.Unended = &worker.Unended{Strand: "LOGS/flushline", Position: int64(i), Received: before(time.Duration(i) * time.Second), Lane: l.Name()}
		s.Lanes = append(s.Lanes, l)
	}
	s.Standing[0].Lanes = 9000
	s.Standing = append(s.Standing, worker.StandingLanes{Route: "shop", Flusher: "es", State: worker.LaneUnready, Why: "IsReady is false", Lanes: 1000}, worker.StandingLanes{Lanes: 40})
	r := why.Of(s, nil)
	c := cause(t, r, why.KindLane, worker.LaneBackoff)
	if c.Count != 9000 || len(c.Lanes) != why.MaxShown || c.Lanes[0].Config != fmt.Sprint(worker.MaxLanes-1) {
		t.Errorf("%d lanes are counted and %d listed, the first %+v", c.Count, len(c.Lanes), c.Lanes[0])
	}
	if c := cause(t, r, why.KindLane, worker.LaneUnready); c.Count != 1000 || len(c.Lanes) != 0 || !strings.Contains(c.FreedBy, "mend the destination of shop/es") {
		t.Errorf("what no lane of is listed is %+v", c)
	}
	if c := cause(t, r, why.KindLane, "various"); c.Count != 40 {
		t.Errorf("the rest is %+v", c)
	}
}

// Partitions that stand for one reason are one cause.
func TestStrandsOfOneReasonAreOneCause(t *testing.T) {
	t.Parallel()
	s := status()
	s.Strands, s.Lanes, s.Standing = nil, nil, nil
	for i := range 200 {
		s.Strands = append(s.Strands, worker.StrandStatus{
			Source: "nats", Name: fmt.Sprintf("logs[%d]", i), State: queue.StateBrokerAway, Why: "broker 3 does not answer",
			Since: before(time.Duration(i) * time.Second), Queue: queue.Status{Lag: int64(i)},
		})
	}
	s.Strands[7].Why = "another"
	r := why.Of(s, nil)
	if len(r.Causes) != 2 {
		t.Fatalf("%d causes", len(r.Causes))
	}
	if c := r.Causes[0]; c.Count != 199 || c.Name != "nats logs[199]" || len(c.Strands) != why.MaxShown || !c.Since.Equal(before(199*time.Second)) {
		t.Errorf("the first cause is %s with %d of %d, since %v", c.Name, len(c.Strands), c.Count, c.Since)
	}
}

func TestNothingStandsIsShownByWhatMoves(t *testing.T) {
	t.Parallel()
	s := status()
	s.Lanes, s.Standing, s.Strands[0].State, s.Strands[0].Why = nil, nil, "fetching", ""
	first := status()
	first.Now = before(2 * time.Second)
	first.Sources[0].Counts.Flushed = 400
	r := why.Of(s, first)
	m := r.Moves
	if len(r.Causes) != 0 || m.PerSec != 300 || m.Over != 2 || m.Lanes != 4 || m.Strands != 1 || m.Behind != 2000000 || m.InFlight != 8192 {
		t.Errorf("%+v, causes %+v", m, r.Causes)
	}
	if len(m.Newest) != 1 || m.Newest[0].Position != 126192 || !m.Oldest.Equal(before(6*time.Minute)) {
		t.Errorf("newest %+v, oldest %v", m.Newest, m.Oldest)
	}
	first.Started = before(time.Minute) // another process
	if m := why.Of(s, first).Moves; m.Over != 0 || m.PerSec != 0 {
		t.Errorf("over a restart the speed is %v", m.PerSec)
	}
}

// A worker that has joined nothing yet does not move, although nothing of it stands.
func TestAWorkerWithoutStrandsIsJoining(t *testing.T) {
	t.Parallel()
	s := &worker.Status{State: "starting", Deployment: "flushline", Now: now, Started: before(time.Minute), Config: &worker.ConfigStatus{File: "a.yaml"}}
	c := cause(t, why.Of(s, nil), why.KindStrand, queue.StateJoining)
	if c.FreedBy != "wait: it is being joined; for long, `flushline check -c a.yaml --connect`" || !c.Since.Equal(s.Started) {
		t.Errorf("it is %+v", c)
	}
	s.State = "draining"
	if r := why.Of(s, nil); len(r.Causes) != 0 || r.Moves.Strands != 0 {
		t.Errorf("a worker that has given its strands back: %+v", r)
	}
}

// Every name in braces of a sentence has words of its own for docs/OPERATIONS.md.
func TestSentencesAreComplete(t *testing.T) {
	t.Parallel()
	braces := regexp.MustCompile(`[{}]|  |^ | $`)
	for _, set := range []why.Sentences{why.Lanes, why.Phases, why.Strands, why.Sources} {
		for state, sentence := range set {
			generic := set.Generic(state)
			if braces.MatchString(generic) || len(generic) < 15 || strings.Contains(sentence, "|") {
				t.Errorf("of %s is said %q", state, generic)
			}
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(sentence, -1) {
				if why.Generic(name[1]) == "" {
					t.Errorf("{%s} of %s has no words", name[1], state)
				}
			}
		}
	}
}
