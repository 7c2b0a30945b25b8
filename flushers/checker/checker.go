// Package checker is a flusher for tests. Its behaviour is a [Script] that the
// test holds: readiness, delays, errors, panics and hangs. The script records
// what arrived, and whether the caller kept the contract of package flushers.
//
//	c := checker.New()
//	registry, err := flushers.NewRegistry(c.Kind())
//	c.FailNext(2, errors.New("refused"))
//	... start a worker, publish 10 groups ...
//	err = c.WaitGroups(ctx, 10)
//	c.Violations() // must be empty
//
// A script may serve many instances, routes and workers at once.
package checker

import (
	"context"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

const summary = "Does what a test told it to and records what it got."

// Kind is the kind bound to this script, named "checker". Set the script's
// fields first. A test with several scripts gives each kind its own Name.
func (s *Script) Kind() flushers.Kind {
	k := flushers.Kind{
		Name:          "checker",
		Summary:       summary,
		New:           func() flushers.Flusher { return &Flusher{instance: instance{script: s}} },
		Raw:           s.Raw,
		NoRetain:      s.NoRetain,
		TestedAgainst: "itself",
	}
	if s.Plain {
		k.New = func() flushers.Flusher { return &plain{instance: instance{script: s}} }
	}
	return k
}

// Flusher is one instance: the kind's only option, and the way into the script.
type Flusher struct {
	Note string `option:"note" help:"Any text; it is recorded with each call, so that a test can tell entries and reloads apart."`

	instance
}

var (
	_ flushers.BatchFlusher = (*Flusher)(nil)
	_ flushers.Concurrent   = (*Flusher)(nil)
	_ flushers.Hinter       = (*Flusher)(nil)
)

// Init follows the script's OnInit.
func (f *Flusher) Init(c flushers.Context) error { return f.init(c, f.Note) }

// FlushBatch follows the first rule of the script that applies.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error { return f.flush(ctx, b) }

// Concurrent is the script's.
func (f *Flusher) Concurrent() int { return max(f.script.Concurrent, 1) }

// BatchHint is the script's.
func (f *Flusher) BatchHint() flushers.Hint { return f.script.Hint }

// plain has no optional interface.
type plain struct {
	Note string `option:"note" help:"Any text; it is recorded with each call."`

	instance
}

func (f *plain) Init(c flushers.Context) error { return f.init(c, f.Note) }

// Description says what the kind does.
func (i *instance) Description() string { return summary }

// Flush is what kinds without FlushBatch get: it carries no ids.
func (i *instance) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	b := &flushers.Batch{Project: project, Logstore: logstore, Config: config, Groups: groups, Attempt: 1}
	return i.flush(i.ctx.GetRuntimeContext(), b)
}

// IsReady asks the script.
func (i *instance) IsReady(project, logstore string, logstoreKey int64) bool {
	defer i.enter("IsReady")()
	key := protocol.Key{Project: project, Logstore: logstore, Config: i.key.Config}
	i.checkKey("IsReady", key)
	if want := i.key.LogstoreKey(); logstoreKey != want {
		i.violate("IsReady got logstoreKey %d, want %d", logstoreKey, want)
	}
	ready := i.script.askReady(key)
	i.answered(ready)
	return ready
}

// SetUrgent is recorded.
func (i *instance) SetUrgent(flag bool) {
	defer i.enter("SetUrgent")()
	i.script.update(func(st *Stats) {
		if flag {
			st.Urgent++
		} else {
			st.Calm++
		}
	})
}

// Stop follows the script's OnStop.
func (i *instance) Stop() error {
	done := i.enter("Stop")
	defer done()
	if n := i.flushing.Load(); n > 0 {
		i.violate("Stop came while %d Flush calls were running", n)
	}
	i.stopped.Store(true)
	i.script.leaveKey(i)
	i.script.update(func(st *Stats) { st.Stops++ })
	return i.script.runStop(i.key)
}

func (i *instance) init(c flushers.Context, note string) error {
	done := i.enter("Init")
	defer done()
	i.ctx, i.note = c, note
	i.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	i.script.update(func(st *Stats) { st.Inits++ })
	i.script.claimKey(i)
	ok := false
	defer func() {
		i.inited.Store(ok)
		i.failed.Store(!ok)
		if !ok { // an error or a panic
			i.script.leaveKey(i)
		}
	}()
	if err := i.script.runInit(c); err != nil {
		return err
	}
	ok = true
	i.script.update(func(st *Stats) { st.Live++ })
	return nil
}
