package flushertest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// life is one instance from Init to Stop, called as the worker calls it.
type life struct {
	tb      testing.TB
	kind    *flushers.Kind
	f       flushers.Flusher
	batcher flushers.BatchFlusher // nil: Flush
	key     protocol.Key
	runtime context.Context
	cancel  context.CancelFunc
	label   string // of the goroutines that its calls start
	stopped bool

	after func(error) // called by the goroutine of Flush as soon as it returned; may be nil
}

// begin makes an instance; it is stopped at the end of the test if nobody did.
func (b *bench) begin() *life {
	b.Helper()
	return b.beginIn(new(Process), b.key)
}

func (b *bench) beginIn(p *Process, key protocol.Key) *life {
	b.Helper()
	l, err := newLife(b, &b.kind, b.options(nil), key)
	if err != nil {
		b.Fatal(err)
	}
	if err := l.init(p, p); err != nil {
		b.Fatalf("Init failed: %v", err)
	}
	b.Cleanup(func() {
		if !l.stopped && !b.Failed() { // after a failure a call may still be inside
			_ = l.stop() // what it returns is another property's
		}
		l.cancel()
	})
	return l
}

// as is the kind as options make it; those that are wrong are told by newLife.
func as(kind flushers.Kind, options *option.Node) flushers.Kind {
	f := kind.New()
	option.Decode(options, f)
	return kind.As(f)
}

// newLife decodes the options as the program does.
func newLife(tb testing.TB, kind *flushers.Kind, options *option.Node, key protocol.Key) (*life, error) {
	l := &life{tb: tb, key: key, f: kind.New(), label: newMaker().run}
	l.batcher, _ = l.f.(flushers.BatchFlusher)
	for _, p := range option.Decode(options, l.f) {
		if !p.Warning {
			return nil, fmt.Errorf("Target.Options are refused: %s: %s", p.Path, p.Text())
		}
	}
	declared := kind.As(l.f)
	l.kind = &declared
	l.runtime, l.cancel = context.WithCancel(context.Background())
	return l, nil
}

// init runs Init with the metrics of a process and the shared values of another,
// which may be one that fails.
func (l *life) init(p *Process, shared sharer) error {
	c := &lane{process: p, shared: shared, key: l.key, ctx: l.runtime, logger: testLogger(l.tb)}
	var err error
	if e := l.call("Init", initLimit, func() { err = l.f.Init(c) }); e != nil {
		return e
	}
	return err
}

// ready asks IsReady.
func (l *life) ready() bool {
	l.tb.Helper()
	var ready bool
	err := l.call("IsReady", otherLimit, func() {
		ready = l.f.IsReady(l.key.Project, l.key.Logstore, l.key.LogstoreKey())
	})
	if err != nil {
		l.tb.Fatal(err)
	}
	return ready
}

// becomesReady waits for IsReady without any Flush.
func (l *life) becomesReady(when string) {
	l.tb.Helper()
	for began := time.Now(); !l.ready(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > readyAgain+busyMachine {
			l.tb.Fatalf("%s: IsReady is still false after %s without a Flush", when, readyAgain)
		}
	}
}

func (l *life) setUrgent(flag bool) {
	l.tb.Helper()
	if err := l.call(fmt.Sprintf("SetUrgent(%t)", flag), otherLimit, func() { l.f.SetUrgent(flag) }); err != nil {
		l.tb.Fatal(err)
	}
}

// stop returns what Stop does. A Stop that panics or hangs fails the test.
func (l *life) stop() error {
	l.tb.Helper()
	broken, err := l.tryStop()
	if broken != nil {
		l.tb.Fatal(broken)
	}
	return err
}

func (l *life) tryStop() (broken, err error) {
	l.stopped = true
	var result error // not to be read before the call has returned
	if broken = l.call("Stop", otherLimit, func() { result = l.f.Stop() }); broken != nil {
		return broken, nil
	}
	return nil, result
}

// mustStop fails the test if Stop does.
func (l *life) mustStop() {
	l.tb.Helper()
	if err := l.stop(); err != nil {
		l.tb.Errorf("Stop failed: %v", err)
	}
}

// call runs one call into the flusher. The error says that it panicked or did not
// return; what the call itself returns is the caller's.
func (l *life) call(what string, limit time.Duration, f func()) error {
	done := make(chan error, 1)
	go pprof.Do(context.Background(), pprof.Labels(lifeLabel, l.label), func(context.Context) {
		err := fmt.Errorf("%s ended its goroutine instead of returning", what)
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("%s panicked: %v\n%s", what, v, debug.Stack())
			}
			done <- err
		}()
		f()
		err = nil
	})
	t := time.NewTimer(limit + busyMachine)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("%s has not returned after %s", what, limit)
	}
}

// lifeLabel marks goroutines by the instance whose call started them.
const lifeLabel = "flushertest"

// attempt is one Flush of a batch: when its context ends, and which try it is.
type attempt struct {
	n       int
	timeout time.Duration // 0: flushLimit
}

// flush flushes samples once, and overwrites what the flusher must not read any
// more. An error is the flusher's; a call that panics or hangs fails the test.
func (b *bench) flush(l *life, a attempt, samples ...*sample) error {
	b.Helper()
	b.know(samples)
	m, err := lay(samples)
	if err != nil {
		b.Fatal(err)
	}
	broken, err := l.flush(m, a)
	if broken != nil {
		b.Fatal(broken)
	}
	if what := m.changed(); what != "" {
		b.Errorf("Flush changed %s of its batch, which other flushers may be reading", what)
	}
	m.overwrite(b.kind.NoRetain)
	if what := malformed(err, len(samples)); what != "" {
		b.Errorf("Flush returned an error that the worker cannot use: %s", what)
	}
	return err
}

// flush runs Flush or FlushBatch. broken says that the call panicked or did not
// return soon after its context ended.
func (l *life) flush(m *memory, a attempt) (broken, err error) {
	if a.timeout == 0 {
		a.timeout = flushLimit
	}
	ctx, cancel := context.WithTimeout(l.runtime, a.timeout)
	defer cancel()
	var result error // not to be read before the call has returned
	broken = l.call("Flush", a.timeout+flushGrace, func() {
		if l.batcher == nil {
			defer context.AfterFunc(ctx, l.cancel)() // the worker abandons it
			result = l.f.Flush(l.key.Project, l.key.Logstore, l.key.Config, m.groups)
		} else {
			result = l.flushBatch(ctx, m, a)
		}
		if l.after != nil {
			l.after(result)
		}
	})
	if broken != nil {
		return broken, nil
	}
	return nil, result
}

func (l *life) flushBatch(ctx context.Context, m *memory, a attempt) error {
	groups := m.groups
	if l.kind.Raw {
		groups = nil
	}
	return l.batcher.FlushBatch(ctx, &flushers.Batch{
		Project: l.key.Project, Logstore: l.key.Logstore, Config: l.key.Config,
		Groups: groups, Raw: m.raw, IDs: m.ids, Attempt: max(a.n, 1), FirstSeen: time.Now(),
	})
}

// must flushes samples and fails the test if that does not succeed at once.
func (b *bench) must(l *life, samples ...*sample) {
	b.Helper()
	if err := b.flush(l, attempt{}, samples...); err != nil {
		b.Fatalf("Flush failed although the destination is well: %v", err)
	}
}

// malformed says what is wrong with the form of an error; empty: nothing.
func malformed(err error, groups int) string {
	if err == nil {
		return ""
	}
	if err.Error() == "" {
		return "it has no text"
	}
	var partial *flushers.PartialError
	if !errors.As(err, &partial) {
		return ""
	}
	if class, _ := flushers.Classify(err); class != flushers.ClassPartial {
		return fmt.Sprintf("a PartialError within an error of class %s: the class goes into Failed", class)
	}
	for i, e := range partial.Failed {
		switch inner := (*flushers.PartialError)(nil); {
		case i < 0 || i >= groups:
			return fmt.Sprintf("a PartialError names group %d of %d", i, groups)
		case e == nil:
			return fmt.Sprintf("a PartialError names group %d without an error", i)
		case errors.As(e, &inner):
			return fmt.Sprintf("a PartialError has a PartialError for group %d", i)
		}
	}
	return ""
}
