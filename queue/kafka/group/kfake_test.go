package group

import (
	"errors"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// onKfake is a group on an in-process broker, for errors that a real one gives
// only by chance.
func onKfake(t *testing.T) (*kfake.Cluster, work, *watch) {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(12, "logs"), kfake.GroupMinSessionTimeout(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	return k, work{brokers: k.ListenAddrs(), topic: "logs", config: Config{
		Session: 3 * time.Second, Rebalance: 6 * time.Second, Heartbeat: 100 * time.Millisecond, Drain: 5 * time.Second,
	}}, &watch{}
}

// Two members share and hand over, over real connections.
func TestMembersOnKfake(t *testing.T) {
	t.Parallel()
	_, o, w := onKfake(t)
	a := o.start(t, w, "a", 0)
	shared(t, 12, a)
	b := o.start(t, w, "b", 50*time.Millisecond)
	shared(t, 6, a, b)
	w.ticking(t, 12)
	b.halt()
	shared(t, 12, a)
	w.ticking(t, 12)
	a.halt()
	if w.verify(t) == 0 {
		t.Error("nothing was committed")
	}
}

// What a coordinator may answer to a beat, once, and what is lost by it.
func TestBeatsThatAreAnsweredBadly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code *kerr.Error
		lost bool
	}{
		{kerr.CoordinatorLoadInProgress, false},
		{kerr.CoordinatorNotAvailable, false},
		{kerr.NotCoordinator, false},
		{kerr.RebalanceInProgress, false},
		{kerr.IllegalGeneration, true},
		{kerr.UnknownMemberID, true},
	} {
		t.Run(tt.code.Message, func(t *testing.T) {
			t.Parallel()
			k, o, w := onKfake(t)
			a := o.start(t, w, "a", 0)
			shared(t, 12, a)
			w.ticking(t, 12)
			leases := w.count()
			answered := make(chan struct{})
			k.ControlKey(int16(kmsg.Heartbeat), func(q kmsg.Request) (kmsg.Response, error, bool) {
				r := q.ResponseKind().(*kmsg.HeartbeatResponse)
				r.ErrorCode = tt.code.Code
				close(answered)
				return r, nil, true
			})
			<-answered
			if tt.lost {
				for limit := time.Now().Add(20 * time.Second); w.count() != leases+12; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(limit) {
						t.Fatalf("%d leases, want all granted again: %+v", w.count(), a.Status())
					}
				}
			}
			w.ticking(t, 12)
			for limit := time.Now().Add(20 * time.Second); a.Status().Err != nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(limit) {
					t.Fatalf("%+v", a.Status())
				}
			}
			if n := w.count() - leases; !tt.lost && n != 0 {
				t.Errorf("%d leases are new", n)
			}
			w.verify(t)
		})
	}
}

// count is how many leases have been served.
func (w *watch) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.spans)
}

// A fenced instance ends its process.
func TestAFencedBeatEndsTheMember(t *testing.T) {
	t.Parallel()
	k, o, w := onKfake(t)
	o.config.Instance = "pod-1"
	a := o.start(t, w, "a", 0)
	shared(t, 12, a)
	k.ControlKey(int16(kmsg.Heartbeat), func(q kmsg.Request) (kmsg.Response, error, bool) {
		r := q.ResponseKind().(*kmsg.HeartbeatResponse)
		r.ErrorCode = kerr.FencedInstanceID.Code
		return r, nil, true
	})
	select {
	case <-a.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("%+v", a.Status())
	}
	if !errors.Is(a.err, kafka.FencedInstanceID) {
		t.Errorf("it ended with %v", a.err)
	}
}
