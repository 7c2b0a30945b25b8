package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

var laneA = queue.Lane{Route: "all", Flusher: "es", Project: "p", Logstore: "l", Config: "c"}

// box is a companion that tells what was asked of it.
type box struct {
	*memory.Parked
	prepared int
	entries  []queue.Lane // that it was prepared for last
	looks    int
	refuses  error
	ran      chan struct{}
}

func newBox(name string) *box { return &box{Parked: memory.NewParked(name), ran: make(chan struct{})} }

func (b *box) Prepare(_ context.Context, entries []queue.Lane) error {
	b.prepared++
	b.entries = entries
	return b.refuses
}

func (b *box) Look(queue.Lane) { b.looks++ }

func (b *box) Run(ctx context.Context, _ queue.ParkedHost) error {
	close(b.ran)
	<-ctx.Done()
	return nil
}

func parkedFrom(strand, value string) queue.Message {
	return queue.Message{Value: []byte(value), Subject: laneA.String(), Headers: []queue.Header{{Key: queue.HeaderSource, Value: "nats " + strand + " 7"}}}
}

// Each record is kept beside the consumer it came from; all companions are one.
func TestEachConsumersRecordsAreParkedBesideIt(t *testing.T) {
	t.Parallel()
	a, b := newBox("a"), newBox("b")
	if one := oneParked([]string{"A/x"}, []queue.Parked{a}); one != queue.Parked(a) {
		t.Errorf("of one consumer: %T", one)
	}
	all := oneParked([]string{"A/x", "B/x"}, []queue.Parked{a, b})
	if errs := all.Put(t.Context(), []queue.Message{parkedFrom("A/x", "1"), parkedFrom("B/x", "2"), parkedFrom("B/x", "3"), parkedFrom("gone", "4")}); errs != nil {
		t.Fatal(errs)
	}
	lanes, err := all.Lanes(t.Context())
	if err != nil || len(lanes) != 2 || lanes[0].Messages != 2 || lanes[1].Messages != 2 || a.Waiting() != 2 || b.Waiting() != 2 {
		t.Errorf("%v, %+v", err, lanes)
	}
	if err := all.Prepare(t.Context(), []queue.Lane{laneA}); err != nil || a.prepared != 1 || b.prepared != 1 {
		t.Errorf("%v, prepared %d and %d", err, a.prepared, b.prepared)
	}
	b.refuses = errors.New("full")
	if err := all.Prepare(t.Context(), nil); !errors.Is(err, b.refuses) {
		t.Errorf("a companion that cannot be made: %v", err)
	}
	all.Look(laneA)
	if a.looks != 1 || b.looks != 1 {
		t.Errorf("looks %d and %d", a.looks, b.looks)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- all.Run(ctx, nil) }()
	<-a.ran
	<-b.ran
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Who does not park needs no right to; a reload that does is served from then on.
func TestACompanionIsOpenedWhenItIsNeeded(t *testing.T) {
	t.Parallel()
	inner, refuses, opened := newBox("a"), errors.New("no right"), 0
	l := newLateParked(func(context.Context) (queue.Parked, error) {
		opened++
		if opened == 1 {
			return nil, refuses
		}
		return inner, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx, nil) }()
	if err := l.Prepare(t.Context(), nil); err != nil || opened != 0 {
		t.Errorf("nothing parks: %v, opened %d times", err, opened)
	}
	if lanes, err := l.Lanes(t.Context()); err != nil || lanes != nil {
		t.Errorf("%v, %v", err, lanes)
	}
	l.Look(laneA)
	if errs := l.Put(t.Context(), []queue.Message{parkedFrom("A/x", "1")}); len(errs) != 1 || errs[0] == nil {
		t.Errorf("a record that nobody keeps: %v", errs)
	}
	if err := l.Prepare(t.Context(), []queue.Lane{laneA}); !errors.Is(err, refuses) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := l.Prepare(t.Context(), []queue.Lane{laneA}); err != nil || opened != 2 {
			t.Errorf("%v, opened %d times", err, opened)
		}
	}
	<-inner.ran
	if errs := l.Put(t.Context(), []queue.Message{parkedFrom("A/x", "1")}); errs != nil || inner.Waiting() != 1 || inner.prepared != 2 {
		t.Errorf("%v, %d records, prepared %d times", errs, inner.Waiting(), inner.prepared)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	never := newLateParked(nil)
	if err := never.Run(ctx, nil); err != nil {
		t.Error(err)
	}
}

// A status never waits for the broker, and a broker that is away is not forgotten.
func TestTheBacklogIsAskedAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		asked := 0
		b := newParkedBacklog("nats", func(ctx context.Context) ([]queue.Backlog, error) {
			asked++
			select {
			case err := <-answer:
				return []queue.Backlog{{Lane: laneA, Messages: 3}, {Lane: laneA, Messages: 4}}, err
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		for range 3 {
			if s := b.look(time.Now()); s != nil {
				t.Errorf("before an answer: %+v", s)
			}
		}
		answer <- nil
		synctest.Wait()
		s := b.look(time.Now())
		if s == nil || s.Messages != 7 || s.Places != 2 || s.Lanes[0].Messages != 4 || s.Error != "" || asked != 1 {
			t.Fatalf("%+v, asked %d times", s, asked)
		}
		time.Sleep(backlogFresh)
		b.look(time.Now())
		time.Sleep(backlogPatience) // the broker is away
		synctest.Wait()
		s = b.look(time.Now()) // which has it asked again
		synctest.Wait()
		if s.Messages != 7 || s.Error == "" || asked != 3 {
			t.Errorf("%+v, asked %d times", s, asked)
		}
		b.close()
		if b.look(time.Now().Add(time.Hour)); asked != 3 {
			t.Errorf("asked %d times after its end", asked)
		}
	})
}

// watching runs a drainWatch over a broker that has left, and a worker that ended.
func watching(t *testing.T, begun int64, step func(second int) (left, ended int64, err error)) *drainWatch {
	t.Helper()
	second := 0
	var left, ended int64
	var err error
	d := &drainWatch{begun: begun, giveUp: 30 * time.Second}
	d.left = func(context.Context) (int64, error) {
		second++
		left, ended, err = step(second)
		return left, err
	}
	d.status = func() *worker.Status {
		return &worker.Status{
			Sources: []worker.SourceStatus{{Counts: worker.Counts{Flushed: ended - 1, DeadLettered: map[string]int64{"permanent": 1}}}},
			Lanes: []worker.LaneStatus{
				{Route: "all", Flusher: "es", Project: "p", Logstore: "l", Config: "c", State: worker.LaneParking, Why: "401 wrong password"},
				{Route: "all", Flusher: "es", Project: "p", Logstore: "l", Config: "d", State: worker.LaneFlushing},
			},
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Minute)
	defer stop()
	if err := d.Run(ctx, nil); err != nil {
		t.Error(err)
	}
	return d
}

func TestADrainEndsWhenWhatWasThereIsGone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		step   func(second int) (left, ended int64, err error)
		after  time.Duration
		remain int64
		says   string
	}{
		"all is gone":                          {func(s int) (int64, int64, error) { return int64(10 - s), int64(s), nil }, 10 * time.Second, 0, ""},
		"others park as fast as it delivers":   {func(s int) (int64, int64, error) { return 10, int64(s), nil }, 10 * time.Second, 10, ""},
		"others deliver":                       {func(s int) (int64, int64, error) { return max(0, int64(10-s/20)), 1, nil }, 200 * time.Second, 0, ""},
		"the destination takes nothing":        {func(int) (int64, int64, error) { return 10, 1, nil }, 31 * time.Second, 10, "401 wrong password"},
		"and others park more":                 {func(s int) (int64, int64, error) { return int64(10 + s), 1, nil }, 31 * time.Second, 41, "401 wrong password"},
		"the broker does not say what is left": {func(int) (int64, int64, error) { return 0, 1, errors.New("no server") }, 31 * time.Second, 10, "no server"},
		"it is interrupted":                    {func(s int) (int64, int64, error) { return 1000, int64(s/20) + 1, nil }, 30 * time.Minute, 1000, "interrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, begun := time.Now(), int64(10)
				if tc.says == "interrupted" {
					begun = 1000
				}
				d := watching(t, begun, tc.step)
				why := ""
				if err := d.why(); err != nil {
					why = err.Error()
				}
				if took := time.Since(began); took != tc.after || d.remain != tc.remain || (why == "") != (tc.says == "") || !strings.Contains(why, tc.says) {
					t.Errorf("after %v %d remain: %s", took, d.remain, why)
				}
			})
		})
	}
}

type gates struct {
	queue.ParkedHost
	gate queue.Gate
}

func (g gates) Gate(queue.Lane) queue.Gate { return g.gate }

func TestADrainServesOnlyWhatWasChosen(t *testing.T) {
	t.Parallel()
	o := &parkedOptions{flusher: "all/es", match: worker.Match{Project: "p*"}}
	h := &choosingHost{gates{gate: queue.GateOpen}, o.takes}
	other, foreign := laneA, laneA
	other.Project, foreign.Flusher = "q", "web"
	got := []queue.Gate{h.Gate(laneA), h.Gate(other), h.Gate(foreign)}
	if diff := cmp.Diff([]queue.Gate{queue.GateOpen, queue.GateShut, queue.GateShut}, got); diff != "" {
		t.Error(diff)
	}
	for _, o := range []parkedOptions{{}, {route: "all"}, {flusher: "es"}, {match: worker.Match{Logstore: "l", Config: "?"}}} {
		if !o.takes(laneA) {
			t.Errorf("%+v leaves it out", o)
		}
	}
	for _, o := range []parkedOptions{{route: "al"}, {flusher: "other/es"}, {match: worker.Match{Config: "x"}}} {
		if o.takes(laneA) {
			t.Errorf("%+v takes it", o)
		}
	}
}
