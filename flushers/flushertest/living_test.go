package flushertest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/flushline/flushline/flushers"
)

// livingCheats are those that live or die in the wrong way.
func livingCheats() []cheat {
	const ready = "it is ready again by itself"
	const inTime = "calls end in time while the destination hangs"
	const urgent = "SetUrgent holds nothing up, both ways"
	const atATime = "Flush runs as often at a time as Concurrent says"
	const two = "two instances of one key live side by side"
	const successor = "a hanging instance does not stop its successor"
	const flushes = "Stop flushes what it still holds"
	const releases = "Stop releases what is shared"
	const leaves = "Stop leaves no goroutine, descriptor or connection"
	return []cheat{
		{"is ready again after a Flush only", bend(func(f *bent) { f.flush, f.ready = noteFailure, readyUnlessFailed }), ready, "after the destination was healed: IsReady is still false", nil},
		{"dials in IsReady", bend(func(f *bent) { f.ready = dialSlowly }), ready, "it must neither dial nor wait", nil},
		{"hangs in IsReady", bend(func(f *bent) { f.ready = func(*bent) bool { select {} } }), ready, "IsReady has not returned after", nil},
		{"gives data up after a failure", bend(func(f *bent) { f.flush = refuseAfterFailure }), ready, "is refused for good although the destination is well", nil},

		{"does not listen to the context", bend(func(f *bent) { f.flush = deaf }), inTime, "Flush has not returned after", nil},
		{"listens to the deadline only", bend(func(f *bent) { f.flush = deafToCancel }), inTime, "after its runtime context ended", nil},
		{"does not listen to the runtime context", kindOf(func() flushers.Flusher { return &plain{f: bent{flush: deaf}} }), inTime, "Flush has not returned after", nil},
		{"refuses data for good when it takes long", bend(func(f *bent) { f.flush = timeoutIsPermanent }), inTime, "while the destination hung, and Flush returned an error of class permanent", nil},
		{"takes the end of its context for stored", bend(func(f *bent) { f.flush = swallowTimeout }), inTime, "Flush returned nil while the destination hung", nil},
		{"waits in Stop for an answer", bend(func(f *bent) { f.stop = askBeforeStop }), inTime, "Stop has not returned after", nil},
		{"waits in SetUrgent for an answer", bend(func(f *bent) { f.urgent = func(f *bent, _ bool) { f.ask() } }), inTime, "SetUrgent(false) has not returned after", nil},

		{"refuses to flush when urgent", bend(func(f *bent) { f.urgent, f.flush = noteUrgent, refuseWhenUrgent }), urgent, "Flush failed although the destination is well", nil},
		{"drops when urgent", bend(func(f *bent) { f.urgent, f.flush = noteUrgent, dropWhenUrgent }), urgent, "Flush returned nil after SetUrgent: the log", nil},
		{"waits when urgent", bend(func(f *bent) { f.urgent, f.flush = noteUrgent, waitWhenUrgent }), urgent, "want it to wait for nothing", nil},
		{"takes SetUrgent(false) for the end", bend(func(f *bent) { f.urgent, f.flush = noteCalm, refuseWhenUrgent }), urgent, "Flush failed although the destination is well", nil},
		{"is unready when urgent", bend(func(f *bent) { f.urgent, f.ready = noteUrgent, readyUnlessUrgent }), urgent, "after SetUrgent: IsReady is still false", nil},
		{"hangs in SetUrgent", bend(func(f *bent) { f.urgent = func(*bent, bool) { select {} } }), urgent, "SetUrgent(true) has not returned after", nil},
		{"panics in SetUrgent", bend(func(f *bent) { f.urgent = func(*bent, bool) { panic("boom") } }), urgent, "SetUrgent(true) panicked: boom", nil},

		{"runs calls at a time in one buffer", kindOf(func() flushers.Flusher { return &several{n: 4, bent: bent{flush: inOneBuffer}} }), atATime, "4 calls of one lane at a time", nil},
		{"has one buffer for all lanes", bend(func(f *bent) { f.flush = inTheBuffer }), atATime, "8 lanes of a process at a time", nil},

		{"closes what others use", bend(func(f *bent) { f.stop, f.flush = stopClosing, flushClosing }), two, "Flush failed although the destination is well", nil},
		{"lives once a key", bend(func(f *bent) { f.init = onceAKey }), two, "Init failed: another instance", nil},

		{"cannot begin while another flushes", bend(func(f *bent) { f.flush, f.init = flushAlone, initAlone }), successor, "Init failed: another instance is flushing", nil},

		{"enqueues and drops at Stop", with(bend(func(f *bent) { f.flush, f.stop = enqueue, (*bent).end }), func(k *flushers.Kind) { k.Durability = flushers.Enqueued }), flushes, "after Stop: the log", nil},
		{"fails in Stop", bend(func(f *bent) { f.stop = func(f *bent) error { return errors.Join(f.end(), errors.New("boom")) } }), flushes, "Stop failed: boom", nil},
		{"panics in Stop", bend(func(f *bent) { f.stop = func(*bent) error { panic("boom") } }), flushes, "Stop panicked: boom", nil},
		{"hangs in Stop", bend(func(f *bent) { f.stop = func(*bent) error { select {} } }), flushes, "Stop has not returned after", nil},
		{"takes long in Stop", bend(func(f *bent) { f.stop = func(f *bent) error { time.Sleep(5500 * time.Millisecond); return f.end() } }), flushes, "want at most 5s", nil},

		{"releases nothing", bend(func(f *bent) { f.stop = func(*bent) error { return nil } }), releases, "1 shared values are open", nil},

		{"leaves a goroutine", bend(func(f *bent) { f.init = initWith(leaveGoroutine) }), leaves, "after Stop there is still a goroutine", nil},
		{"leaves a file", bend(func(f *bent) { f.init = initWith(leaveFile) }), leaves, "after Stop there is still an open file", nil},
		{"leaves connections", bend(func(f *bent) { f.stop = func(*bent) error { return nil } }), leaves, "after Stop there is still a connection", nil},
	}
}

// end is an honest Stop.
func (f *bent) end() error { return f.honest.Stop() }

func noteFailure(f *bent, ctx context.Context, b *flushers.Batch) error {
	err := f.honest.FlushBatch(ctx, b)
	f.broken = err != nil
	return err
}

func readyUnlessFailed(f *bent) bool { return !f.broken }

func dialSlowly(*bent) bool {
	time.Sleep(1500 * time.Millisecond)
	return true
}

func refuseAfterFailure(f *bent, ctx context.Context, b *flushers.Batch) error {
	if f.broken {
		return flushers.Permanent(errors.New("it failed before"))
	}
	return noteFailure(f, ctx, b)
}

func deaf(f *bent, _ context.Context, b *flushers.Batch) error {
	return f.honest.FlushBatch(context.Background(), b)
}

func deafToCancel(f *bent, ctx context.Context, b *flushers.Batch) error {
	end, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	return f.honest.FlushBatch(ctx, b)
}

func timeoutIsPermanent(f *bent, ctx context.Context, b *flushers.Batch) error {
	err := f.honest.FlushBatch(ctx, b)
	if ctx.Err() != nil {
		return flushers.Permanent(err)
	}
	return err
}

// ask waits for an answer of the store for as long as it takes.
func (f *bent) ask() {
	resp, err := http.Get(f.URL)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func askBeforeStop(f *bent) error {
	f.ask()
	return f.end()
}

func noteUrgent(f *bent, flag bool) { f.hurry = flag }

func noteCalm(f *bent, flag bool) { f.hurry = !flag }

func refuseWhenUrgent(f *bent, ctx context.Context, b *flushers.Batch) error {
	if f.hurry {
		return errors.New("it is too late")
	}
	return f.honest.FlushBatch(ctx, b)
}

func dropWhenUrgent(f *bent, ctx context.Context, b *flushers.Batch) error {
	if f.hurry {
		return nil
	}
	return f.honest.FlushBatch(ctx, b)
}

func waitWhenUrgent(f *bent, ctx context.Context, b *flushers.Batch) error {
	if f.hurry {
		time.Sleep(5500 * time.Millisecond)
	}
	return f.honest.FlushBatch(ctx, b)
}

func readyUnlessUrgent(f *bent) bool { return !f.hurry }

// buffer is where a batch waits a moment before it is posted.
type buffer struct {
	mu sync.Mutex
	r  *request
}

func (w *buffer) post(ctx context.Context, f *bent, b *flushers.Batch) error {
	w.set(f.copied(b))
	time.Sleep(5 * time.Millisecond)
	return f.post(ctx, w.get())
}

func (w *buffer) set(r *request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.r = r
}

func (w *buffer) get() *request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.r
}

var (
	shared  buffer
	buffers sync.Map // of the instances
)

func inOneBuffer(f *bent, ctx context.Context, b *flushers.Batch) error {
	mine, _ := buffers.LoadOrStore(f, &buffer{})
	return mine.(*buffer).post(ctx, f, b)
}

func inTheBuffer(f *bent, ctx context.Context, b *flushers.Batch) error {
	return shared.post(ctx, f, b)
}

// closed are the shared connections that an instance closed.
var closed sync.Map

func stopClosing(f *bent) error {
	closed.Store(f.conns, true)
	return f.end()
}

func flushClosing(f *bent, ctx context.Context, b *flushers.Batch) error {
	if _, is := closed.Load(f.conns); is {
		return errors.New("the connections are closed")
	}
	return f.honest.FlushBatch(ctx, b)
}

var keys sync.Map

func onceAKey(f *bent, c flushers.Context) error {
	if _, there := keys.LoadOrStore(c.GetLogstore(), true); there {
		return errors.New("another instance of the key is there")
	}
	return f.honest.Init(c)
}

// alone is held by who flushes.
var alone sync.Mutex

func flushAlone(f *bent, ctx context.Context, b *flushers.Batch) error {
	alone.Lock()
	defer alone.Unlock()
	return f.honest.FlushBatch(ctx, b)
}

func initAlone(f *bent, c flushers.Context) error {
	if !alone.TryLock() {
		return errors.New("another instance is flushing")
	}
	defer alone.Unlock()
	return f.honest.Init(c)
}

func enqueue(*bent, context.Context, *flushers.Batch) error { return nil }
