package checker

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// instance checks the contract on the way from the worker to the script.
type instance struct {
	script *Script
	ctx    flushers.Context
	key    protocol.Key
	note   string

	busy     atomic.Int32 // calls other than Flush
	flushing atomic.Int32
	ready    atomic.Int32 // true answers of IsReady that no Flush has used; more than one only if Concurrent
	inited   atomic.Bool
	failed   atomic.Bool
	stopped  atomic.Bool
}

// Violations are the ways in which callers broke the contract, in order and
// without repetition: calls that overlap, Flush without a true IsReady before
// it, calls before Init or after Stop, Stop during a Flush, another key than the
// instance's own, empty lists and nil groups, ids that do not match the groups,
// a retry of what was never tried, groups that changed during or after a Flush.
func (s *Script) Violations() []string {
	s.mu.Lock()
	calls := slices.Clone(s.calls)
	s.mu.Unlock()
	if !s.NoRetain {
		for _, c := range calls {
			if checksum(c.Groups, c.Raw) != c.sum {
				s.violate(c.Key.String() + ": the groups of a Flush changed after it began")
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.broken)
}

func (s *Script) violate(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.broken, text) && len(s.broken) < 100 {
		s.broken = append(s.broken, text)
	}
}

func (i *instance) violate(format string, args ...any) {
	i.script.violate(i.key.String() + ": " + fmt.Sprintf(format, args...))
}

// enter begins a call that must be alone.
func (i *instance) enter(call string) (leave func()) {
	i.checkLife(call)
	if n := i.busy.Add(1); n > 1 {
		i.violate("%s came during another call", call)
	}
	if call != "Stop" && i.flushing.Load() > 0 && max(i.script.Concurrent, 1) == 1 {
		i.violate("%s came during a Flush", call)
	}
	return func() { i.busy.Add(-1) }
}

func (i *instance) checkLife(call string) {
	switch {
	case call == "Init" && (i.inited.Load() || i.failed.Load()):
		i.violate("Init came twice")
	case call != "Init" && i.failed.Load():
		i.violate("%s came after Init had failed", call)
	case call != "Init" && !i.inited.Load():
		i.violate("%s came before Init had returned", call)
	case i.stopped.Load():
		i.violate("%s came after Stop", call)
	}
}

func (i *instance) checkKey(call string, key protocol.Key) {
	if key != i.key {
		i.violate("%s came for %s", call, key)
	}
}

// answered notes an answer of IsReady. Concurrent flushes may begin in any order
// after their questions, so each true answer is good for one of them.
func (i *instance) answered(ready bool) {
	switch {
	case i.script.Concurrent > 1 && ready:
		i.ready.Add(1)
	case ready:
		i.ready.Store(1)
	case i.script.Concurrent <= 1:
		i.ready.Store(0)
	}
}

func (i *instance) flush(ctx context.Context, b *flushers.Batch) error {
	i.checkLife("Flush")
	if i.busy.Load() > 0 && max(i.script.Concurrent, 1) == 1 { // else the next IsReady may be asked meanwhile
		i.violate("Flush came during another call")
	}
	if n := i.flushing.Add(1); int(n) > max(i.script.Concurrent, 1) {
		i.violate("%d Flush calls at a time", n)
	}
	defer i.flushing.Add(-1)
	if i.ready.Add(-1) < 0 {
		i.ready.Store(0)
		i.violate("Flush came without a true IsReady before it")
	}
	i.checkBatch(b)
	return i.record(ctx, b)
}

func (i *instance) record(ctx context.Context, b *flushers.Batch) (err error) {
	c := i.newCall(b)
	i.script.began(c)
	panicked := true
	defer func() {
		if checksum(b.Groups, b.Raw) != c.sum {
			i.violate("the groups of a Flush changed while it was running")
		}
		i.script.returned(c, err, panicked)
	}()
	err = i.script.answer(ctx, c)
	panicked = false
	return err
}

func (i *instance) newCall(b *flushers.Batch) *Call {
	c := &Call{
		Key: i.key, Note: i.note, Attempt: b.Attempt, FirstSeen: b.FirstSeen, Start: time.Now(),
		sum: checksum(b.Groups, b.Raw),
		IDs: b.IDs, Groups: b.Groups, Raw: b.Raw,
	}
	if i.script.CountOnly {
		return c
	}
	c.IDs, c.Groups, c.Raw = slices.Clone(b.IDs), slices.Clone(b.Groups), slices.Clone(b.Raw)
	for n, raw := range c.Raw {
		c.Raw[n] = slices.Clone(raw)
	}
	if i.script.NoRetain {
		for n, g := range c.Groups {
			c.Groups[n] = cloneGroup(g)
		}
	}
	return c
}

func (i *instance) checkBatch(b *flushers.Batch) {
	i.checkKey("Flush", protocol.Key{Project: b.Project, Logstore: b.Logstore, Config: b.Config})
	n := len(b.Groups)
	if i.script.Raw {
		n = len(b.Raw)
		if b.Groups != nil {
			i.violate("Flush got decoded groups although the kind is Raw")
		}
	}
	if n == 0 {
		i.violate("Flush got an empty list")
	}
	if slices.Contains(b.Groups, nil) {
		i.violate("Flush got a nil group")
	}
	if b.Attempt < 1 {
		i.violate("Flush got attempt %d", b.Attempt)
	}
	if !i.script.Plain {
		i.checkIDs(b, n)
	}
}

func (i *instance) checkIDs(b *flushers.Batch, groups int) {
	if len(b.IDs) != groups {
		i.violate("Flush got %d ids for %d groups", len(b.IDs), groups)
	}
	if i.script.CountOnly {
		return
	}
	s := i.script
	s.mu.Lock()
	var unseen []protocol.ID
	for _, id := range b.IDs {
		if b.Attempt > 1 && !s.seen[id] {
			unseen = append(unseen, id)
		}
		s.seen[id] = true
	}
	s.mu.Unlock()
	for _, id := range unseen {
		i.violate("attempt %d of %s, which was never tried before", b.Attempt, id)
	}
}

type claim struct {
	key  protocol.Key
	note string
}

// claimKey finds a lane whose next instance begins before the one before it was
// stopped or given up, which the end of its runtime context shows.
func (s *Script) claimKey(i *instance) {
	if !s.OneInstance {
		return
	}
	c := claim{i.key, i.note}
	s.mu.Lock()
	other := s.live[c]
	s.live[c] = i
	s.mu.Unlock()
	if other != nil && other.ctx.GetRuntimeContext().Err() == nil {
		i.violate("Init came before the instance before it was stopped")
	}
}

func (s *Script) leaveKey(i *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := (claim{i.key, i.note}); s.live[c] == i {
		delete(s.live, c)
	}
}

var seed = maphash.MakeSeed()

func checksum(groups []*protocol.LogGroup, raws [][]byte) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, raw := range raws {
		h.Write(raw)
	}
	for _, g := range groups {
		if g != nil {
			hashGroup(&h, g)
		}
	}
	return h.Sum64()
}

func hashGroup(h *maphash.Hash, g *protocol.LogGroup) {
	write := func(texts ...string) {
		for _, s := range texts {
			h.WriteString(s)
			h.WriteByte(0)
		}
	}
	write(g.Category, g.Topic, g.Source, g.MachineUUID)
	for _, t := range g.LogTags {
		if t != nil {
			write(t.Key, t.Value)
		}
	}
	for _, l := range g.Logs {
		if l == nil {
			continue
		}
		maphash.WriteComparable(h, l.Time)
		for _, c := range l.Contents {
			if c != nil {
				write(c.Key, c.Value)
			}
		}
		write(l.Values...)
	}
}
