package wire

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/segmentio/kafka-go"
)

// Metadata asks for brokers, topics and leaders; nil asks for all topics, an empty
// list for none. No topic is created by asking. It asks the broker that answered
// last, then every other known one, then Config.Brokers, without waiting long for
// any; if none answers, the error joins what each of them said.
func (c *Client) Metadata(ctx context.Context, topics []string) (*Cluster, error) {
	cluster, err := askAny(ctx, c, func(ctx context.Context, addr string) (*Cluster, error) {
		return c.metadata(ctx, addr, topics)
	})
	if err == nil {
		c.learn(cluster)
	}
	return cluster, err
}

// metadata asks one broker, in the newest of our formats that it knows.
func (c *Client) metadata(ctx context.Context, addr string, topics []string) (*Cluster, error) {
	a := apiTopicIDs
	if l, err := c.link(addr); err == nil && l.speaks(a) != nil {
		a = apiMetadata
	}
	cluster, err := c.metadataAs(ctx, addr, a, topics)
	if a == apiTopicIDs && hasCode(err, kafka.UnsupportedVersion) { // the connection has just told
		return c.metadataAs(ctx, addr, apiMetadata, topics)
	}
	return cluster, err
}

// Coordinator finds the broker that coordinates a group. Any broker may be asked.
func (c *Client) Coordinator(ctx context.Context, group string) (Broker, error) {
	q := &call{api: apiCoordinator, op: "find the coordinator of group " + group, body: func(e *encoder) {
		e.str(group)
		e.int8(0) // of a group
	}}
	return askAny(ctx, c, func(ctx context.Context, addr string) (b Broker, err error) {
		err = c.do(ctx, addr, q, func(d *decoder) error {
			d.throttle()
			verdict := d.verdict()
			b = Broker{ID: d.int32(), Host: d.str(), Port: d.int32()}
			return verdict
		})
		return b, err
	})
}

// patience is how long a broker may think before the next one is asked too.
const patience = 2 * time.Second

// askAny asks one broker after the other until one answers. Each has its share of
// the time, then the next is asked as well; the slow ones may still answer first.
// An answer that no other broker would give differently ends it.
func askAny[T any](ctx context.Context, c *Client, ask func(context.Context, string) (T, error)) (T, error) {
	if _, given := ctx.Deadline(); !given {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx) // those that are still thinking are left
	defer cancel()
	type reply struct {
		v    T
		err  error
		addr string
	}
	addrs := c.candidates()
	replies := make(chan reply, len(addrs))
	share := time.NewTimer(0)
	defer share.Stop()
	var errs everyBroker
	for next := 0; len(errs) < len(addrs); {
		select {
		case <-share.C:
			if next == len(addrs) {
				continue
			}
			addr := addrs[next]
			go func() {
				v, err := ask(ctx, addr)
				replies <- reply{v, err, addr}
			}()
			next++
			share.Reset(shareOf(ctx, len(addrs)-next+1))
		case r := <-replies:
			if r.err == nil || final(r.err) {
				c.answered(r.addr)
				return r.v, r.err
			}
			errs = append(errs, r.err)
			if next < len(addrs) {
				share.Reset(0)
			}
		}
	}
	var none T
	return none, errs
}

// shareOf the time left for one of n brokers.
func shareOf(ctx context.Context, n int) time.Duration {
	deadline, _ := ctx.Deadline()
	return min(patience, time.Until(deadline)/time.Duration(n))
}

// final says that other brokers would answer the same.
func final(err error) bool {
	_, answered := Code(err)
	var s *stepError
	return answered && IsPermanent(err) && !errors.As(err, &s)
}

func (c *Client) learn(cluster *Cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = c.known[:0]
	for _, b := range cluster.Brokers {
		c.known = append(c.known, b.Addr())
	}
	slices.Sort(c.known)
}

func (c *Client) answered(addr string) {
	c.mu.Lock()
	c.last = addr
	c.mu.Unlock()
}

// candidates are all addresses that might answer, the likeliest first.
func (c *Client) candidates() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	add := func(addrs ...string) {
		for _, a := range addrs {
			if a != "" && !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	add(c.last)
	add(c.known...)
	add(c.cfg.Brokers...)
	return list
}
