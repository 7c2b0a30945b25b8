package group

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/segmentio/kafka-go"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// alone is a coordinator with one member. The first commit is never answered.
type alone struct {
	commits chan time.Time
	n       int
}

func (*alone) Coordinator(context.Context, string) (wire.Broker, error) {
	return wire.Broker{ID: 1, Host: "b", Port: 1}, nil
}

func (*alone) Join(_ context.Context, _ string, q *wire.JoinRequest) (*wire.JoinResponse, error) {
	return &wire.JoinResponse{Generation: 1, Leader: "m", Member: "m", Members: []wire.JoinMember{{Member: "m", Metadata: q.Protocols[0].Metadata}}}, nil
}

func (*alone) Sync(_ context.Context, _ string, q *wire.SyncRequest) ([]byte, error) {
	return q.Assignments["m"], nil
}
func (*alone) Heartbeat(context.Context, string, wire.Membership) error { return nil }
func (*alone) Leave(context.Context, string, wire.Membership) error     { return nil }
func (a *alone) Commit(ctx context.Context, _ string, _ wire.Membership, _ []wire.CommitPartition) (map[wire.TopicPartition]error, error) {
	a.n++
	a.commits <- time.Now()
	if a.n == 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return nil, nil
}

func (*alone) Committed(_ context.Context, _, _ string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	m := map[wire.TopicPartition]wire.Committed{}
	for _, p := range ps {
		m[p] = wire.Committed{Offset: 0}
	}
	return m, nil
}

// A periodic commit that makes way for a last one must not hold that one up.
func TestALastCommitDoesNotWaitForOneThatMadeWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &alone{commits: make(chan time.Time, 10)}
		leases := make(chan *Lease, 1)
		m, err := New(Config{
			Client: c, Group: "g", Session: 30 * time.Second, Rebalance: time.Minute, Heartbeat: 3 * time.Second, Drain: time.Second,
			Partitions: func(context.Context, []string) (map[string][]int32, error) {
				return map[string][]int32{"a": {0}}, nil
			},
			Serve: func(ctx context.Context, l *Lease) { leases <- l; <-ctx.Done() },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		m.Subscribe([]string{"a"})
		l := <-leases
		time.Sleep(time.Second) // somewhere between two beats
		periodic, cut := context.WithCancel(ctx)
		go m.Commit(periodic, []Mark{{Lease: l, Offset: 1}})
		<-c.commits
		cut()
		begun := time.Now()
		last, cancel := context.WithTimeout(ctx, 1500*time.Millisecond)
		defer cancel()
		if errs := m.Commit(last, []Mark{{Lease: l, Offset: 2}}); errs != nil {
			t.Errorf("the last commit was given up after %v: %v", time.Since(begun), errs)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// An answer of a lookup that comes after the end ends the machine again: Member
// closes done twice.
func TestALookupAnsweredAfterTheEndEndsNothing(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	m := newMachine(rules{session: time.Second, heartbeat: time.Second / 4, drain: time.Second, leaves: true})
	m.subscribe(now, []string{"a"}) // asks for the coordinator
	m.stop(now, &queue.End{Reason: queue.Stopping})
	m.found(now, now, "", kafka.GroupAuthorizationFailed)
	ends := 0
	for _, a := range m.actions() {
		if _, is := a.(finished); is {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("the machine ended %d times: close of a closed channel", ends)
	}
}
