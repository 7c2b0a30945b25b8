package wire

import (
	"context"
	"errors"
	"maps"
	"slices"
)

// Join takes part in the next generation of a group and returns when the
// coordinator has heard of all members, at the latest after q.Rebalance. With
// kafka.MemberIDRequired the answer comes with the error: it holds the id to join
// with.
func (c *Client) Join(ctx context.Context, addr string, q *JoinRequest) (*JoinResponse, error) {
	var r *JoinResponse
	err := c.do(ctx, addr, &call{
		api: apiJoin, free: true, op: "join group " + q.Group, wait: q.Rebalance + q.Session,
		body: func(e *encoder) {
			e.str(q.Group)
			e.int32(millis(q.Session))
			e.int32(millis(q.Rebalance))
			e.str(q.Member)
			e.nullable(q.Instance)
			e.str("consumer")
			e.count(len(q.Protocols))
			for _, p := range q.Protocols {
				e.str(p.Name)
				e.bytes(p.Metadata)
			}
		},
	}, func(d *decoder) (err error) {
		r, err = parseJoin(d)
		return err
	})
	return r, err
}

func parseJoin(d *decoder) (*JoinResponse, error) {
	d.throttle()
	verdict := d.code()
	r := &JoinResponse{Generation: d.int32(), Protocol: d.str(), Leader: d.str(), Member: d.str()}
	if n := d.count(8); n > 0 {
		r.Members = make([]JoinMember, n)
	}
	for i := range r.Members {
		r.Members[i] = JoinMember{Member: d.str(), Instance: d.str(), Metadata: d.copied()}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return r, verdict
}

// Sync brings the assignments, as leader, and returns our own, in the format of
// the consumer protocol. It returns when the leader has brought them.
func (c *Client) Sync(ctx context.Context, addr string, q *SyncRequest) ([]byte, error) {
	var assignment []byte
	err := c.do(ctx, addr, &call{
		api: apiSync, free: true, op: "sync group " + q.Group,
		body: func(e *encoder) {
			e.str(q.Group)
			e.int32(q.Generation)
			e.str(q.Member)
			e.nullable(q.Instance)
			e.count(len(q.Assignments))
			for _, member := range slices.Sorted(maps.Keys(q.Assignments)) {
				e.str(member)
				e.bytes(q.Assignments[member])
			}
		},
	}, func(d *decoder) error {
		d.throttle()
		verdict := d.code()
		assignment = d.copied()
		return verdict
	})
	return assignment, err
}

// Heartbeat is a sign of life. An error is the coordinator's: a rebalance has begun,
// the generation is over, the member is unknown or fenced.
func (c *Client) Heartbeat(ctx context.Context, addr string, m Membership) error {
	return c.do(ctx, addr, &call{
		api: apiHeartbeat, free: true, op: "beat for group " + m.Group,
		body: func(e *encoder) {
			e.str(m.Group)
			e.int32(m.Generation)
			e.str(m.Member)
			e.nullable(m.Instance)
		},
	}, func(d *decoder) error {
		d.throttle()
		return d.code()
	})
}

// Leave gives up a membership. The coordinator's verdict about the group and about
// the member are both errors.
func (c *Client) Leave(ctx context.Context, addr string, m Membership) error {
	return c.do(ctx, addr, &call{
		api: apiLeave, free: true, op: "leave group " + m.Group,
		body: func(e *encoder) {
			e.str(m.Group)
			e.count(1)
			e.str(m.Member)
			e.nullable(m.Instance)
		},
	}, parseLeave)
}

func parseLeave(d *decoder) error {
	d.throttle()
	errs := []error{d.code()}
	for range d.count(6) {
		d.str()
		d.str()
		errs = append(errs, d.code())
	}
	return errors.Join(errs...)
}

// GroupDescription is what the coordinator knows about a group.
type GroupDescription struct {
	State    string // Empty, PreparingRebalance, CompletingRebalance, Stable, Dead
	Type     string // "consumer"
	Protocol string // the assignment protocol that won
	Members  []GroupMember
}

// GroupMember is one member of a group as the coordinator sees it.
type GroupMember struct {
	Member, Instance string
	Client, Host     string
	Metadata         []byte // its subscription
	Assignment       []byte
}

// DescribeGroup asks the coordinator about a group. A group that does not exist has
// the state Dead and no error.
func (c *Client) DescribeGroup(ctx context.Context, addr, group string) (*GroupDescription, error) {
	var g *GroupDescription
	err := c.do(ctx, addr, &call{
		api: apiDescribeGroups, op: "describe group " + group,
		body: func(e *encoder) {
			e.strs([]string{group})
			e.bool(false)
		},
	}, func(d *decoder) (err error) {
		g, err = parseGroup(d, group)
		return err
	})
	return g, err
}

func parseGroup(d *decoder, group string) (*GroupDescription, error) {
	d.throttle()
	var found *GroupDescription
	var verdict error
	for range d.count(18) {
		code := d.code()
		name := d.str()
		g := &GroupDescription{State: d.str(), Type: d.str(), Protocol: d.str()}
		for range d.count(16) {
			g.Members = append(g.Members, GroupMember{
				Member: d.str(), Instance: d.str(), Client: d.str(), Host: d.str(),
				Metadata: d.copied(), Assignment: d.copied(),
			})
		}
		d.int32() // what we may do to the group, not asked for
		if name == group {
			found, verdict = g, code
		}
	}
	if found == nil && d.err == nil {
		return nil, errors.New("the answer does not name the group")
	}
	return found, verdict
}
