package kafka

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"go.uber.org/zap"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/group"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// solo is a coordinator with one member, whose commits do what a test says.
type solo struct {
	group.Client
	commit func(ps []wire.CommitPartition) map[wire.TopicPartition]error
}

func (*solo) Coordinator(context.Context, string) (wire.Broker, error) {
	return wire.Broker{ID: 1, Host: "b", Port: 1}, nil
}

func (*solo) Join(_ context.Context, _ string, q *wire.JoinRequest) (*wire.JoinResponse, error) {
	return &wire.JoinResponse{Generation: 1, Leader: "m", Member: "m", Members: []wire.JoinMember{{Member: "m", Metadata: q.Protocols[0].Metadata}}}, nil
}

func (*solo) Sync(_ context.Context, _ string, q *wire.SyncRequest) ([]byte, error) {
	return q.Assignments["m"], nil
}
func (*solo) Heartbeat(context.Context, string, wire.Membership) error { return nil }
func (*solo) Leave(context.Context, string, wire.Membership) error     { return nil }
func (c *solo) Commit(_ context.Context, _ string, _ wire.Membership, ps []wire.CommitPartition) (map[wire.TopicPartition]error, error) {
	return c.commit(ps), nil
}

func (*solo) Committed(_ context.Context, _, _ string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	m := map[wire.TopicPartition]wire.Committed{}
	for _, p := range ps {
		m[p] = wire.Committed{Offset: 5}
	}
	return m, nil
}

// The strand of a mark may be over when the answer of its commit comes.
func TestAnswerForAStrandThatIsOver(t *testing.T) {
	t.Parallel()
	s, at := newStand(t).strand.src, wire.TopicPartition{Topic: "logs"}
	c := newCursor(inheritance{Partition: at, Committed: 5}, 5, 10, time.Now())
	client := &solo{commit: func(ps []wire.CommitPartition) map[wire.TopicPartition]error {
		s.mu.Lock() // finish of a lease that was lost meanwhile
		delete(s.cursors, c)
		s.mu.Unlock()
		return map[wire.TopicPartition]error{ps[0].TopicPartition: kafkago.UnknownTopicOrPartition}
	}}
	leases := make(chan *group.Lease, 1)
	m, err := group.New(group.Config{
		Client: client, Group: "g", Session: 30 * time.Second, Rebalance: time.Minute, Heartbeat: 3 * time.Second, Drain: time.Second,
		Partitions: func(context.Context, []string) (map[string][]int32, error) {
			return map[string][]int32{"logs": {0}}, nil
		},
		Serve: func(ctx context.Context, l *group.Lease) { leases <- l; <-ctx.Done() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	defer func() { stop(); <-done }()
	m.Subscribe([]string{"logs"})
	s.member = m
	s.cursors[c] = &strand{TopicPartition: at, src: s, lease: <-leases, cursor: c, log: zap.NewNop()}
	if errs := s.store(ctx, []mark{{cursor: c, offset: 6}}); !errors.Is(errs[0], kafkago.UnknownTopicOrPartition) {
		t.Error(errs)
	}
}

// finishing is a strand with something to commit, whose lease ends.
func finishing(t *testing.T, answer func(context.Context, mark) error) (*strand, *coordinator) {
	t.Helper()
	s := newStand(t).strand.src
	s.cfg.Commit.Every = time.Hour // what is stored is the last commit
	store := &coordinator{answer: answer}
	s.commits = newCommitter(s.cfg.Commit, store.commit)
	go s.commits.run(t.Context())
	c := newCursor(inheritance{Committed: 5}, 5, 10, time.Now())
	c.mark.End(c.mark.Add(5))
	s.commits.add(c)
	return &strand{src: s, cursor: c, log: zap.NewNop()}, store
}

// ended is a context that ended so.
func ended(t *testing.T, end *queue.End) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(end)
	return ctx
}

// The group waits until 5 s behind the deadline, so that the last commit has as long.
func TestLastCommitShortlyBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, store := finishing(t, func(ctx context.Context, _ mark) error {
			select {
			case <-time.After(2 * time.Second): // looks for another coordinator
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		st.src.finish(ended(t, &queue.End{Reason: queue.Revoked, Deadline: time.Now().Add(1100 * time.Millisecond)}), st)
		if got := store.offset(st.cursor); got != 6 {
			t.Errorf("stored %d, want 6", got)
		}
	})
}

// A lease that was lost while it drained commits nothing.
func TestNoLastCommitOfALostLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		st, store := finishing(t, nil)
		lost := make(chan struct{})
		close(lost)
		st.src.finish(ended(t, &queue.End{Reason: queue.Revoked, Deadline: time.Now().Add(20 * time.Second), Lost: lost}), st)
		if n := store.asked(); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

// A doubt that is open when a lease ends is looked into before the last commit is
// given up.
func TestDoubtAtTheEndOfALease(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"cleared": false, "the topic is gone": true} {
		synctest.Test(t, func(t *testing.T) {
			st, store := finishing(t, nil)
			st.closed, st.suspect = true, "topic logs does not exist"
			src, began := st.src, time.Now()
			if away {
				src.atlas.learn(world(map[string]int{}), began)
			} else {
				time.AfterFunc(time.Second, func() {
					st.mu.Lock()
					defer st.mu.Unlock()
					st.suspect = ""
				})
			}
			st.Topic = "logs"
			src.finish(ended(t, &queue.End{Reason: queue.Revoked, Deadline: began.Add(20 * time.Second)}), st)
			if n := store.asked(); (n == 0) != away {
				t.Errorf("%s: %d commits", name, n)
			}
			if took := time.Since(began); took > goneAfter+2*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		})
	}
}
