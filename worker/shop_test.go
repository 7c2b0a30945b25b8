package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// shop is a destination whose customers join one write. Every third write fails as a
// whole, every fourth in part; nothing of what failed is stored.
type shop struct {
	opens, closes, writes atomic.Int64

	mu     sync.Mutex
	stored map[string]int // groups by logstore
}

type till struct {
	*flushers.GroupCommit[[]string]
	shop *shop
}

func (t *till) Close() error {
	t.shop.closes.Add(1)
	return t.GroupCommit.Close()
}

func (s *shop) open() (io.Closer, error) {
	s.opens.Add(1)
	return &till{flushers.NewGroupCommit(flushers.CommitLimits{Linger: 900 * time.Millisecond}, s.write), s}, nil
}

func (s *shop) write(_ context.Context, items [][]string) error {
	n := s.writes.Add(1)
	if n%3 == 0 {
		return errDown
	}
	failed := map[int]error{}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, groups := range items {
		if n%4 == 0 && i%5 == 0 {
			failed[i] = errDown
			continue
		}
		if s.stored == nil {
			s.stored = map[string]int{}
		}
		for _, logstore := range groups {
			s.stored[logstore]++
		}
	}
	if len(failed) > 0 {
		return &flushers.PartialError{Failed: failed}
	}
	return nil
}

// customer is one instance.
type customer struct {
	shop    *shop
	till    *till
	release func()
	urgent  atomic.Bool
}

func (c *customer) Init(ctx flushers.Context) error {
	v, release, err := ctx.Shared("shop", c.shop.open)
	if err != nil {
		return err
	}
	t, ok := v.(*till)
	if !ok {
		return fmt.Errorf("a %T is shared", v)
	}
	c.till, c.release = t, release
	return nil
}

func (*customer) Description() string                { return "joins writes" }
func (*customer) IsReady(string, string, int64) bool { return true }
func (c *customer) SetUrgent(flag bool)              { c.urgent.Store(flag) }
func (c *customer) Stop() error                      { c.release(); return nil }

func (*customer) Flush(string, string, string, []*protocol.LogGroup) error {
	return errors.New("FlushBatch is called instead")
}

func (c *customer) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	var item []string
	for range b.Groups {
		item = append(item, b.Logstore)
	}
	return c.till.Join(ctx, item, int64(len(item)), c.urgent.Load())
}
