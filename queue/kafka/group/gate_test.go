package group

import (
	"context"
	"sync"
	"time"

	"github.com/flushline/flushline/queue/kafka/wire"
)

// gate stands between a member and its client, and stops its world: frozen, calls
// wait and then go out as they were, however late; cut, none comes through.
type gate struct {
	Client
	mu    sync.Mutex
	state gateState
	turn  chan struct{} // closed at each change
}

type gateState int

const (
	open gateState = iota
	frozen
	cut
)

func newGate(c Client) *gate { return &gate{Client: c, turn: make(chan struct{})} }

// set changes the state; what is cut stays cut.
func (g *gate) set(s gateState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.state == cut {
		return
	}
	g.turned(s)
}

func (g *gate) revive() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.turned(open)
}

func (g *gate) turned(s gateState) {
	g.state = s
	close(g.turn)
	g.turn = make(chan struct{})
}

// wait returns when the world goes on.
func (g *gate) wait() gateState {
	for {
		g.mu.Lock()
		state, turn := g.state, g.turn
		g.mu.Unlock()
		if state != frozen {
			return state
		}
		<-turn
	}
}

// pass lets a call through, and its answer back.
func pass[T any](ctx context.Context, g *gate, call func(context.Context) (T, error)) (T, error) {
	g.mu.Lock()
	was := g.state
	g.mu.Unlock()
	var v T
	switch {
	case was == frozen:
		if g.wait() == cut {
			return v, errCutOff
		}
		// What had left the process before it froze arrives: the deadline that went
		// by meanwhile was the process's, not the network's.
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		ctx = late
	case was == cut:
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(20 * time.Millisecond):
			return v, errCutOff
		}
	}
	v, err := call(ctx)
	if g.wait() == cut {
		err = errCutOff
	}
	return v, err
}

func (g *gate) Coordinator(ctx context.Context, group string) (wire.Broker, error) {
	return pass(ctx, g, func(ctx context.Context) (wire.Broker, error) { return g.Client.Coordinator(ctx, group) })
}

func (g *gate) Join(ctx context.Context, addr string, q *wire.JoinRequest) (*wire.JoinResponse, error) {
	return pass(ctx, g, func(ctx context.Context) (*wire.JoinResponse, error) { return g.Client.Join(ctx, addr, q) })
}

func (g *gate) Sync(ctx context.Context, addr string, q *wire.SyncRequest) ([]byte, error) {
	return pass(ctx, g, func(ctx context.Context) ([]byte, error) { return g.Client.Sync(ctx, addr, q) })
}

func (g *gate) Heartbeat(ctx context.Context, addr string, m wire.Membership) error {
	_, err := pass(ctx, g, func(ctx context.Context) (none, error) { return none{}, g.Client.Heartbeat(ctx, addr, m) })
	return err
}

func (g *gate) Leave(ctx context.Context, addr string, m wire.Membership) error {
	_, err := pass(ctx, g, func(ctx context.Context) (none, error) { return none{}, g.Client.Leave(ctx, addr, m) })
	return err
}

func (g *gate) Commit(ctx context.Context, addr string, m wire.Membership, ps []wire.CommitPartition) (map[wire.TopicPartition]error, error) {
	return pass(ctx, g, func(ctx context.Context) (map[wire.TopicPartition]error, error) {
		return g.Client.Commit(ctx, addr, m, ps)
	})
}

func (g *gate) Committed(ctx context.Context, addr, group string, ps []wire.TopicPartition) (map[wire.TopicPartition]wire.Committed, error) {
	return pass(ctx, g, func(ctx context.Context) (map[wire.TopicPartition]wire.Committed, error) {
		return g.Client.Committed(ctx, addr, group, ps)
	})
}
