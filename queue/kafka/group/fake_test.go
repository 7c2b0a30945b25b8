package group

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/kafka/wire"
)

// cluster is a broker that members reach through a Client, inside a bubble of
// synctest.
type cluster struct {
	t          *testing.T
	mu         sync.Mutex
	b          *broker
	partitions map[string][]int32
	fault      func(call, member string) error // asked before each call; nil: none
	calls      map[string]int
	served     map[wire.TopicPartition]int // now
	twice      bool                        // may be served twice
}

func newCluster(t *testing.T, partitions int) *cluster {
	c := &cluster{t: t, b: newBroker(time.Now()), partitions: map[string][]int32{}, calls: map[string]int{}, served: map[wire.TopicPartition]int{}}
	for i := range partitions {
		c.partitions["logs"] = append(c.partitions["logs"], int32(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var clock sync.WaitGroup
	clock.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			c.with(func(b *broker) { b.pass(time.Now()) })
		}
	})
	t.Cleanup(func() { cancel(); clock.Wait() })
	return c
}

func (c *cluster) with(f func(b *broker)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.b)
}

func (c *cluster) setFault(f func(call, member string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fault = f
}

// call lets a request reach the broker after a millisecond; ctx ends it.
func call[T any](ctx context.Context, c *cluster, name, member string, ask func(b *broker, reply func(T, error))) (T, error) {
	time.Sleep(time.Millisecond)
	type answer struct {
		v   T
		err error
	}
	ch := make(chan answer, 1)
	c.mu.Lock()
	c.calls[name]++
	if fault := c.fault; fault != nil {
		if err := fault(name, member); err != nil {
			c.mu.Unlock()
			if errors.Is(err, errHangs) {
				<-ctx.Done()
				err = ctx.Err()
			}
			var none T
			return none, err
		}
	}
	c.b.pass(time.Now())
	ask(c.b, func(v T, err error) { ch <- answer{v, err} })
	c.mu.Unlock()
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

var errHangs = errors.New("no answer comes")

type none = struct{}

func (c *cluster) Coordinator(ctx context.Context, _ string) (wire.Broker, error) {
	return call(ctx, c, "seek", "", func(b *broker, reply func(wire.Broker, error)) {
		reply(wire.Broker{Host: "broker-" + strconv.Itoa(b.failover), Port: 9092}, nil)
	})
}

func (c *cluster) Join(ctx context.Context, addr string, q *wire.JoinRequest) (*wire.JoinResponse, error) {
	return call(ctx, c, "join", q.Member, func(b *broker, reply func(*wire.JoinResponse, error)) { b.join(addr, q, reply) })
}

func (c *cluster) Sync(ctx context.Context, addr string, q *wire.SyncRequest) ([]byte, error) {
	return call(ctx, c, "sync", q.Member, func(b *broker, reply func([]byte, error)) { b.sync(addr, q, reply) })
}

func (c *cluster) Heartbeat(ctx context.Context, addr string, m wire.Membership) error {
	_, err := call(ctx, c, "beat", m.Member, func(b *broker, reply func(none, error)) { reply(none{}, b.heartbeat(addr, m)) })
	return err
}

func (c *cluster) Leave(ctx context.Context, addr string, m wire.Membership) error {
	_, err := call(ctx, c, "leave", m.Member, func(b *broker, reply func(none, error)) { reply(none{}, b.leave(addr, m)) })
	return err
}

func (c *cluster) Commit(ctx context.Context, addr string, m wire.Membership, ps []wire.CommitPartition) (map[wire.TopicPartition]error, error) {
	_, err := call(ctx, c, "commit", m.Member, func(b *broker, reply func(none, error)) { reply(none{}, b.commit(addr, m, ps)) })
	if err == nil || judge(err) == away && !errors.Is(err, errRefused) {
		return nil, err
	}
	failed := map[wire.TopicPartition]error{}
	for _, p := range ps {
		failed[p.TopicPartition] = err // as Kafka does: one code for each partition
	}
	return failed, nil
}

var errRefused = errors.New("refused")

func (c *cluster) Committed(ctx context.Context, addr, _ string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	return call(ctx, c, "committed", "", func(b *broker, reply func(map[wire.TopicPartition]wire.Committed, error)) {
		reply(b.committed(addr, ps))
	})
}

// pod is a member in a bubble, and what it serves.
type pod struct {
	*Member
	c     *cluster
	drain time.Duration // how long a revoked lease takes
	stop  context.CancelCauseFunc
	ended chan struct{} // Run has returned err
	err   error

	mu     sync.Mutex
	leases map[*Lease]error // nil while it is served, else why it ended
}

func (c *cluster) config(instance string) Config {
	return Config{
		Client: c, Group: "g", Instance: instance,
		Session: 3 * time.Second, Rebalance: 10 * time.Second, Heartbeat: 250 * time.Millisecond, Drain: 20 * time.Second,
		Partitions: func(context.Context, []string) (map[string][]int32, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return map[string][]int32{"logs": slices.Clone(c.partitions["logs"])}, nil
		},
	}
}

func (c *cluster) start(cfg Config) *pod {
	p := &pod{c: c, ended: make(chan struct{}), leases: map[*Lease]error{}}
	if cfg.Serve == nil {
		cfg.Serve = p.serve
	}
	m, err := New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	p.Member = m
	ctx, stop := context.WithCancelCause(context.WithoutCancel(c.t.Context()))
	p.stop = stop
	m.Subscribe([]string{"logs"})
	go func() {
		p.err = m.Run(ctx)
		close(p.ended)
	}()
	c.t.Cleanup(func() {
		c.setFault(nil)
		p.mu.Lock()
		p.drain = 0
		p.mu.Unlock()
		_ = p.halt() // what it says is the test's business
	})
	return p
}

// serve keeps a lease until it ends, drains for a while and commits. It fails the
// test if another one holds the partition, except when that one was lost.
func (p *pod) serve(ctx context.Context, l *Lease) {
	p.mu.Lock()
	p.leases[l] = nil
	p.mu.Unlock()
	p.c.hold(l.TopicPartition, 1)
	<-ctx.Done()
	end := context.Cause(ctx)
	p.mu.Lock()
	drain := p.drain
	p.mu.Unlock()
	var e *queue.End
	if !errors.As(end, &e) {
		p.c.t.Errorf("a lease ended with %v", end)
		return
	}
	if e.Reason == queue.Lost {
		p.c.hold(l.TopicPartition, -1)
	} else {
		select {
		case <-time.After(drain):
			commitCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			if errs := p.Commit(commitCtx, []Mark{{Lease: l, Offset: 1 << 40}}); errs != nil && !errors.Is(errs[0], ErrNotOwned) {
				p.c.t.Errorf("the last commit of %s: %v", l, errs[0])
			}
			cancel()
		case <-l.Lost():
		}
		p.c.hold(l.TopicPartition, -1)
	}
	p.mu.Lock()
	p.leases[l] = end
	p.mu.Unlock()
}

func (c *cluster) hold(p wire.TopicPartition, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served[p] += n
	if c.served[p] > 1 && !c.twice {
		c.t.Errorf("%s is served twice at %v", p, time.Now())
	}
}

// serving lists what a pod serves and does not drain.
func (p *pod) serving() []wire.TopicPartition {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ps []wire.TopicPartition
	for l, end := range p.leases {
		if end == nil && !p.isDraining(l) {
			ps = append(ps, l.TopicPartition)
		}
	}
	return order(ps)
}

func (p *pod) isDraining(l *Lease) bool {
	p.Member.mu.Lock()
	defer p.Member.mu.Unlock()
	return l.state != leased
}

// ends counts leases that are over, by reason.
func (p *pod) ends() map[queue.Reason]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := map[queue.Reason]int{}
	for _, err := range p.leases {
		var end *queue.End
		if errors.As(err, &end) {
			n[end.Reason]++
		}
	}
	return n
}

// halt stops a pod in order and returns what Run said.
func (p *pod) halt() error {
	p.stop(&queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(20 * time.Second)})
	<-p.ended
	return p.err
}

// until waits for a condition in a bubble's time, which costs none of ours.
func until(t *testing.T, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	for !ok() {
		if time.Since(begin) > within {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

// settle waits until pods serve so many partitions each.
func settle(t *testing.T, within time.Duration, each int, pods ...*pod) time.Duration {
	t.Helper()
	return until(t, within, fmt.Sprintf("%d partitions for each of %d pods", each, len(pods)), func() bool {
		return !slices.ContainsFunc(pods, func(p *pod) bool { return len(p.serving()) != each })
	})
}

// bubble runs a test on fake time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Parallel()
	synctest.Test(t, f)
}
