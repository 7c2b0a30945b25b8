package sim

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	kwire "github.com/flushline/flushline/queue/kafka/wire"
)

// ghosts ends members that a coordinator would have ended: the one in memory forgets
// the session of a member whose connection broke while its join was waiting. It would
// keep its partitions for ever, or be waited for in a round without end.
type ghosts struct {
	cluster *cluster

	mu    sync.Mutex
	heard map[string]time.Time // by member: when it last said something
}

func watchGhosts(c *cluster) *ghosts {
	g := &ghosts{cluster: c, heard: map[string]time.Time{}}
	for _, key := range []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit} {
		c.ControlKey(int16(key), func(q kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			switch q := q.(type) {
			case *kmsg.JoinGroupRequest:
				g.hear(q.MemberID)
			case *kmsg.SyncGroupRequest:
				g.hear(q.MemberID)
			case *kmsg.HeartbeatRequest:
				g.hear(q.MemberID)
			case *kmsg.OffsetCommitRequest:
				g.hear(q.MemberID)
			}
			return nil, nil, false
		})
	}
	return g
}

func (g *ghosts) hear(member string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard[member] = time.Now()
}

// lay looks every second, until ctx ends.
func (g *ghosts) lay(ctx context.Context) {
	for sleep(ctx, time.Second) == nil {
		i := g.cluster.GroupInfo(kafkaGroup)
		if i == nil {
			continue
		}
		patience := kafkaSession + time.Second
		if i.State != "Stable" { // who waits in a round says nothing, and asks again after three sessions
			patience = 3*kafkaSession + 2*time.Second
		}
		for _, m := range i.Members {
			if g.silent(m.MemberID, patience) {
				_ = g.cluster.expel(m) // else at the next look
			}
		}
	}
}

// silent says that a member has said nothing for so long.
func (g *ghosts) silent(member string, patience time.Duration) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	last, known := g.heard[member]
	if !known {
		g.heard[member] = time.Now()
	}
	return known && time.Since(last) > patience
}

// expel throws a member out of the group, as an administrator can.
func (c *cluster) expel(m kfake.GroupMember) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	who := kwire.Membership{Group: kafkaGroup, Member: m.MemberID}
	if m.InstanceID != nil {
		who.Instance = *m.InstanceID
	}
	return c.producer.Leave(ctx, c.addr(c.CoordinatorFor(kafkaGroup)), who)
}
