package group

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// Client is what a member asks of the brokers; *wire.Client is one. Every call
// goes to the broker at addr and ends by its context's deadline. A code that the
// broker sent is found in the error by errors.As with a kafka.Error; an error
// without one means that the broker was not reached or did not answer.
type Client interface {
	Coordinator(ctx context.Context, group string) (wire.Broker, error)
	Join(ctx context.Context, addr string, q *wire.JoinRequest) (*wire.JoinResponse, error)
	Sync(ctx context.Context, addr string, q *wire.SyncRequest) ([]byte, error)
	Heartbeat(ctx context.Context, addr string, m wire.Membership) error
	Leave(ctx context.Context, addr string, m wire.Membership) error
	Commit(ctx context.Context, addr string, m wire.Membership, ps []wire.CommitPartition) (map[wire.TopicPartition]error, error)
	Committed(ctx context.Context, addr, group string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error)
}

// Config says which group is joined and what is done with its partitions.
type Config struct {
	Client Client
	Group  string

	// Instance makes the member static: a process that comes back with the same
	// name within the session time finds its partitions again, and nobody else
	// notices. Empty: dynamic.
	Instance string

	// LeaveOnStop lets a static member leave at a stop, so that others take its
	// partitions over at once. Dynamic members always leave.
	LeaveOnStop bool

	// Session is how long the coordinator waits for a sign of life, Rebalance how
	// long for members to join a round, Heartbeat how often we beat between
	// rounds.
	Session, Rebalance, Heartbeat time.Duration

	// Drain is the most that a revoked lease may take until Serve returns.
	Drain time.Duration

	// Partitions lists the partitions of topics from fresh metadata. It is asked
	// by the leader of a round and after PartitionsChanged. A topic that is
	// missing from the answer keeps its owners; of one that is there, partitions
	// that are not listed lose theirs.
	Partitions func(ctx context.Context, topics []string) (map[string][]int32, error)

	// Serve owns a lease until it returns; each lease has a goroutine of its own.
	// ctx ends with a *queue.End as its cause. Revoked and Stopping: finish what
	// can finish before Deadline, Commit, return; what has not returned 5 s after
	// the Deadline is fenced off and counts as ended. Lost: commit nothing and
	// return. A lease may be lost while it drains: see Lease.Lost.
	Serve func(ctx context.Context, l *Lease)

	Log *zap.Logger // nil: none
}

func (c *Config) check() error {
	switch {
	case c.Client == nil, c.Partitions == nil, c.Serve == nil:
		return errors.New("couldn't make a group member: Client, Partitions and Serve are needed")
	case c.Group == "":
		return errors.New("couldn't make a group member: the group has no name")
	case c.Session <= 0, c.Rebalance <= 0, c.Heartbeat <= 0, c.Drain < 0:
		return fmt.Errorf("couldn't join group %q: session %v, rebalance %v and heartbeat %v must be positive and drain %v not negative", c.Group, c.Session, c.Rebalance, c.Heartbeat, c.Drain)
	case c.Heartbeat > c.Session/2:
		return fmt.Errorf("couldn't join group %q: a heartbeat every %v cannot keep a session of %v: at most half of it", c.Group, c.Heartbeat, c.Session)
	}
	return nil
}
