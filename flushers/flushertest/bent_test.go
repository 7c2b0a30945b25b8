package flushertest_test

import (
	"context"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// bent is honest but for what its hooks do instead. It is how a cheat is written
// in a line.
type bent struct {
	honest

	init   func(*bent, flushers.Context) error
	flush  func(*bent, context.Context, *flushers.Batch) error
	encode func(*bent, *flushers.Batch) *request
	ready  func(*bent) bool
	urgent func(*bent, bool)
	stop   func(*bent) error

	kept   []*flushers.Batch
	queue  []*request
	broken bool
	hurry  bool
}

// bend makes a kind whose instances have the hooks that set gives them.
func bend(set func(*bent)) flushers.Kind {
	return kindOf(func() flushers.Flusher {
		f := &bent{}
		set(f)
		return f
	})
}

func (f *bent) Init(c flushers.Context) error {
	if f.init != nil {
		return f.init(f, c)
	}
	return f.honest.Init(c)
}

func (f *bent) IsReady(project, logstore string, key int64) bool {
	if f.ready != nil {
		return f.ready(f)
	}
	return f.honest.IsReady(project, logstore, key)
}

func (f *bent) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{Project: project, Logstore: logstore, Config: config, Groups: groups})
}

func (f *bent) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	switch {
	case f.flush != nil:
		return f.flush(f, ctx, b)
	case f.encode != nil:
		return f.post(ctx, f.encode(f, b))
	}
	return f.honest.FlushBatch(ctx, b)
}

func (f *bent) SetUrgent(flag bool) {
	if f.urgent != nil {
		f.urgent(f, flag)
	}
}

func (f *bent) Stop() error {
	if f.stop != nil {
		return f.stop(f)
	}
	return f.honest.Stop()
}

// several is a bent kind that runs n calls at a time.
type several struct {
	bent
	n int
}

func (f *several) Concurrent() int { return f.n }

// wishing is a bent kind with a wish for its batches.
type wishing struct {
	bent
	hint flushers.Hint
}

func (f *wishing) BatchHint() flushers.Hint { return f.hint }

// plain has only the methods of the interface.
type plain struct {
	URL string `option:"url,required" help:"Where the store is." example:"http://127.0.0.1:80"`

	f bent
}

func (p *plain) Init(c flushers.Context) error {
	p.f.URL = p.URL
	return p.f.Init(c)
}

func (p *plain) Description() string { return summary }
func (p *plain) IsReady(project, logstore string, key int64) bool {
	return p.f.IsReady(project, logstore, key)
}

func (p *plain) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return p.f.Flush(project, logstore, config, groups)
}
func (p *plain) SetUrgent(flag bool) { p.f.SetUrgent(flag) }
func (p *plain) Stop() error         { return p.f.Stop() }
