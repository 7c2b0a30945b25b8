package worker_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flushline/flushline/flushers/checker"
	"github.com/flushline/flushline/queue/memory"
	"github.com/flushline/flushline/worker"
)

// What a lane with a dead destination holds, tries and waits for is in the snapshot, and
// its strand names the part that keeps its watermark.
func TestStatusSaysWhatADeadLaneHoldsAndTries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		mend := s.Fail(errDown, checker.Logstore("ls1"))
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, entryOf("x", s))}})
		r.publish(10, 2)
		r.acked(5)
		time.Sleep(20 * time.Second)
		synctest.Wait()

		st := r.w.Status()
		l := r.lane(worker.LaneBackoff)
		if !l.Stands(st.Now) || l.Name() != "all/x p/ls1/c" || l.LastError != errDown.Error() || l.Attempt < 5 || !l.NextTry.After(st.Now) {
			t.Errorf("the lane is %+v", l)
		}
		if l.Batch == nil || l.Batch.Groups < 1 || l.Batch.Bytes < 1 || l.Call != nil {
			t.Errorf("its batch is %+v, its call %+v", l.Batch, l.Call)
		}
		want := &worker.Unended{Strand: "memory[0]", Position: 2, Received: l.Oldest, Lane: l.Name(), State: worker.LaneBackoff}
		if diff := cmp.Diff(want, l.Unended); diff != "" {
			t.Errorf("its oldest part (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, st.Strands[0].Unended); diff != "" {
			t.Errorf("what holds the strand (-want +got):\n%s", diff)
		}
		if len(st.Standing) != 1 || st.Standing[0].Lanes != 1 || st.Standing[0].Parts != 5 || st.Standing[0].Why != errDown.Error() {
			t.Errorf("standing are %+v", st.Standing)
		}
		mend()
		r.acked(10)
		synctest.Wait()
		if st := r.w.Status(); len(st.Standing) != 0 || st.Strands[0].Unended != nil {
			t.Errorf("after the destination is back: %+v, %+v", st.Standing, st.Strands[0].Unended)
		}
		r.mustStop()
	})
}

// A call that lasts is shown with its end, and the lane stands after a while.
func TestStatusShowsACallThatLasts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		s.SetDelay(time.Minute)
		e := entryOf("x", s)
		e.FlushTimeout = 10 * time.Second
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
		began := time.Now()
		r.publish(1, 1)
		time.Sleep(time.Second)
		synctest.Wait()
		l := r.lane(worker.LaneFlushing)
		if l.Stands(time.Now()) {
			t.Errorf("a call of a second makes it stand: %+v", l)
		}
		time.Sleep(4 * time.Second)
		synctest.Wait()
		st := r.w.Status()
		l = r.lane(worker.LaneFlushing)
		if !l.Stands(st.Now) || l.Call == nil || l.Call.Method != "Flush" || len(st.Standing) != 1 {
			t.Fatalf("a call of 5s is %+v, standing %+v", l, st.Standing)
		}
		if since, lasts := l.Call.Since.Sub(began), l.Call.Until.Sub(l.Call.Since); since > time.Second || lasts != 11*time.Second {
			t.Errorf("it began %v after the message and may last %v, want 11s: flush_timeout and a second to return", since, lasts)
		}
		s.SetDelay(0)
		r.acked(1)
		r.mustStop()
	})
}

// Ten thousand lanes with a reason each are a hundred lines.
func TestStandingIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const lanes = 300
		s := checker.New()
		s.SetReady(false)
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{
			routeOf("unready", worker.Match{Logstore: "a*"}, entryOf("x", s)), routeOf("paused", worker.Match{}, entryOf("x", s)),
		}})
		for i := range lanes {
			r.q.Publish(keyed("p", fmt.Sprintf("b%d", i), encode(t, group("x"))))
		}
		r.q.Publish(keyed("p", "a", encode(t, group("x"))))
		synctest.Wait()
		for i := range lanes { // a reason of its own for each
			r.pause(worker.Target{Route: "paused", Flusher: "x", Project: "p", Logstore: fmt.Sprintf("b%d", i), Config: "c"})
		}
		time.Sleep(time.Second)
		synctest.Wait()
		st := r.w.Status()
		if len(st.Standing) != worker.MaxStanding || len(st.Lanes) != worker.MaxLanes {
			t.Fatalf("%d reasons and %d lanes are listed", len(st.Standing), len(st.Lanes))
		}
		var sum int64
		for _, one := range st.Standing {
			sum += one.Lanes
		}
		if last := st.Standing[worker.MaxStanding-1]; sum != lanes+1 || last.Why != "" || last.Lanes != lanes+1-(worker.MaxStanding-1) {
			t.Errorf("%d lanes are counted, want %d; the last line is %+v", sum, lanes+1, last)
		}
		for i := range lanes {
			r.unpause(worker.Target{Route: "paused", Flusher: "x", Project: "p", Logstore: fmt.Sprintf("b%d", i), Config: "c"})
		}
		s.SetReady(true)
		r.acked(lanes + 1)
		r.mustStop()
	})
}

// A lane that its rate holds back says until when.
func TestStatusSaysWhenARateAllowsMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := checker.New()
		e := entryOf("x", s)
		e.Rate, e.Batch.Groups = worker.Rate{Groups: 1}, 1
		r := start(t, memory.Config{}, worker.Config{Routes: []worker.Route{routeOf("all", worker.Match{}, e)}})
		r.publish(20, 1)
		time.Sleep(5500 * time.Millisecond) // between two groups
		synctest.Wait()
		now := time.Now()
		l := r.lane(worker.LaneRateLimited)
		if wait := l.NextTry.Sub(now); !l.Stands(now) || wait <= 0 || wait > 2*time.Second {
			t.Errorf("the lane goes on in %v: %+v", wait, l)
		}
		r.acked(20)
		r.mustStop()
	})
}

// A try is no progress, and a port of ours no reason of its own.
func TestALaneThatTriesAgainStands(t *testing.T) {
	t.Parallel()
	now := time.Now()
	call := &worker.CallStatus{Method: "Flush", Since: now.Add(-time.Second)}
	for _, tc := range []struct {
		lane   worker.LaneStatus
		stands bool
	}{
		{worker.LaneStatus{State: worker.LaneIdle}, false},
		{worker.LaneStatus{State: worker.LaneBatching}, false},
		{worker.LaneStatus{State: worker.LaneFlushing, Call: call, Why: "IsReady is false"}, false},
		{worker.LaneStatus{State: worker.LaneFlushing, Call: call, LastError: "503"}, true},
		{worker.LaneStatus{State: worker.LaneStarting, Call: call, Why: "Init: no"}, true},
		{worker.LaneStatus{State: worker.LaneQueued, Since: now.Add(-time.Second)}, false},
		{worker.LaneStatus{State: worker.LaneQueued, Since: now.Add(-time.Minute)}, true},
		{worker.LaneStatus{State: worker.LaneQueued, Since: now, LastError: "503"}, true},
		{worker.LaneStatus{State: worker.LaneRateLimited}, true},
	} {
		if got := tc.lane.Stands(now); got != tc.stands {
			t.Errorf("%+v stands: %t", tc.lane, got)
		}
	}
	l := worker.LaneStatus{Why: "503", LastError: "read tcp 127.0.0.1:40404->127.0.0.1:80: reset"}
	if got := l.Reason(); got != "read tcp 127.0.0.1:*->127.0.0.1:80: reset" {
		t.Errorf("the reason is %q", got)
	}
	l = worker.LaneStatus{State: worker.LanePaused, Why: "route a was paused; the last Flush failed: 503", LastError: "503"}
	if got := l.Reason(); got != "route a was paused" {
		t.Errorf("the reason of a pause is %q", got)
	}
}
