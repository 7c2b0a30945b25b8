package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
	"github.com/flushline/flushline/worker"
)

// lagging is a past of which only the lag is asked.
type lagging struct {
	rangePast
	n   int64
	err error
}

func (l *lagging) lag(context.Context) (int64, error) { return l.n, l.err }

func TestAJobYieldsToTheLiveWorkers(t *testing.T) {
	t.Parallel()
	j := &running{jobEnv: &jobEnv{opt: &jobOptions{pauseLag: 100}, log: zap.NewNop()}, gate: job.NewGate(0, 0, nil)}
	y := yielding{j: j}
	for _, step := range []struct {
		lag    int64
		err    error
		closed bool
	}{
		{100, nil, false},
		{101, nil, true},
		{0, errors.New("broker away"), true}, // as it was
		{500, nil, true},
		{100, nil, false},
		{0, errors.New("broker away"), false},
	} {
		y.look(t.Context(), &lagging{n: step.lag, err: step.err})
		if y.closed != step.closed {
			t.Errorf("lag %d, error %v: held back %v, want %v", step.lag, step.err, y.closed, step.closed)
		}
	}
}

// Who is behind when a job begins is not overrun before the first look.
func TestAJobYieldsBeforeItDelivers(t *testing.T) {
	t.Parallel()
	for lag, closed := range map[int64]bool{100: false, 101: true} {
		j := &running{jobEnv: &jobEnv{opt: &jobOptions{pauseLag: 100}, log: zap.NewNop()}, from: &lagging{n: lag}, gate: job.NewGate(0, 0, nil)}
		if y := j.yields(t.Context()); y.closed != closed {
			t.Errorf("lag %d: held back %v, want %v", lag, y.closed, closed)
		}
	}
	j := &running{jobEnv: &jobEnv{opt: &jobOptions{}, log: zap.NewNop()}, from: &lagging{n: 1000}}
	if y := j.yields(t.Context()); y.closed {
		t.Error("a job that was not asked to is held back")
	}
}

func TestAJobGivesUpOnADestinationThatTakesNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	lane := func(state string, age time.Duration) *worker.Status {
		return &worker.Status{Lanes: []worker.LaneStatus{{Route: "r", Flusher: "f", Project: "p", State: state, Why: "refused", Oldest: now.Add(-age)}}}
	}
	for _, c := range []struct {
		state string
		age   time.Duration
		want  bool
	}{
		{worker.LaneBackoff, 59 * time.Second, false},
		{worker.LaneBackoff, 61 * time.Second, true},
		{worker.LaneUnready, 61 * time.Second, true},
		{worker.LaneFlushing, time.Hour, false},
		{worker.LaneQueued, time.Hour, false},
	} {
		why := hopeless(now, lane(c.state, c.age), time.Minute)
		if (why != "") != c.want {
			t.Errorf("%s for %v: %q, want it given up: %v", c.state, c.age, why, c.want)
		}
		if c.want && !strings.Contains(why, "r/f p") {
			t.Errorf("the reason %q does not name the lane", why)
		}
	}
	if why := hopeless(now, lane(worker.LaneBackoff, time.Hour), 0); why != "" {
		t.Errorf("without --give-up: %q", why)
	}
}

func TestAReportWhoseSumIsWrongIsADefect(t *testing.T) {
	t.Parallel()
	whole := job.Report{Finished: true, Planned: job.ShardSize{Slices: 2, Positions: 10}, Totals: job.Totals{Slices: 2, Messages: 7, Passed: map[string]int64{job.PassedControl: 3}}}
	if err := adds(&whole); err != nil {
		t.Errorf("7 messages and 3 markers of 10 positions: %v", err)
	}
	short := whole
	short.Messages = 6
	if err := adds(&short); err == nil {
		t.Error("9 of 10 positions passed for all")
	}
	fewer := whole
	fewer.Slices = 1
	if err := adds(&fewer); err == nil {
		t.Error("one of two slices passed for all")
	}
	unfinished := short
	unfinished.Finished = false
	if err := adds(&unfinished); err != nil {
		t.Errorf("a job that goes on: %v", err)
	}
}

// refusing stores all but the messages with a text in them.
type refusing struct {
	keepSink
	bad string
}

func (r *refusing) Put(ctx context.Context, ms []queue.Message) []error {
	errs := make([]error, len(ms))
	for i := range ms {
		if strings.Contains(string(ms[i].Value), r.bad) {
			errs[i] = errors.New("refused")
		} else {
			r.keepSink.Put(ctx, ms[i:i+1])
		}
	}
	return errs
}

func TestToAQueueGoesTheSameDataWithItsID(t *testing.T) {
	t.Parallel()
	sink := &refusing{bad: "poison"}
	to := &publisher{sink: sink, maxPayload: 32 << 10, subject: func(k protocol.Key) string { return subjectOf("logs", k) }, keyed: true}
	routes := requeueRoutes(to, []worker.Route{{Name: "shop", Match: worker.Match{Project: "shop"}}})
	if len(routes) != 2 || routes[0].Name != "shop" || routes[0].Match.Project != "shop" || routes[1].Match != (worker.Match{}) {
		t.Fatalf("routes %+v", routes)
	}
	f := routes[0].Flushers[0].New().(*requeue)
	group := func(text string, logs int) []byte {
		g := protocol.LogGroup{}
		for range logs {
			g.Logs = append(g.Logs, &protocol.Log{Time: 7, Contents: []*protocol.Log_Content{{Key: "k", Value: text}}})
		}
		return g.AppendMarshal(nil)
	}
	id := protocol.ID{Origin: [16]byte{1, 2, 3}, Group: 4}
	small, large := group("small", 1), group(strings.Repeat("x", 10<<10), 6)
	err := f.FlushBatch(t.Context(), &flushers.Batch{
		Project: "shop", Logstore: "web", Config: "app",
		Raw: [][]byte{small, group("poison", 1), large}, IDs: []protocol.ID{id, id, id},
	})
	var partial *flushers.PartialError
	if !errors.As(err, &partial) || len(partial.Failed) != 1 || partial.Failed[1] == nil {
		t.Fatalf("error %v, want that of the second group alone", err)
	}
	first := sink.got[0]
	origin, _ := first.Header(queue.HeaderOrigin)
	index, _ := first.Header(queue.HeaderGroups)
	if string(first.Value) != string(small) || origin != queue.Origin(id.Origin).String() || index != "4" || string(first.Key) != "shop/web/app" {
		t.Errorf("stored %+v with origin %q and group %q", first, origin, index)
	}
	logs := 0
	for _, m := range sink.got[1:] {
		var g protocol.LogGroup
		if err := g.Unmarshal(m.Value); err != nil {
			t.Fatal(err)
		}
		logs += len(g.Logs)
		if _, has := m.Header(queue.HeaderOrigin); has {
			t.Error("a part of a group carries the id of the whole")
		}
	}
	if logs != 6 || len(sink.got) < 3 {
		t.Errorf("%d logs in %d messages, want the 6 of the large group in several", logs, len(sink.got)-1)
	}
}
