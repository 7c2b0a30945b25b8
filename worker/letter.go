package worker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/flushline/flushline/internal/failpoint"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// The reason classes of dead letters.
const (
	ReasonUndecodable   = "undecodable"
	ReasonNoKey         = "no_key"
	ReasonNoRoute       = "no_route"
	ReasonPermanent     = "permanent"
	ReasonTooLarge      = "too_large"
	ReasonUnknownTarget = "unknown_target"
)

// doomed is a part that can never be flushed, and why.
type doomed struct {
	p        *part
	reason   string
	err      error
	attempts int
}

// letters puts doomed parts to the dead letter queue and then ends them. It never
// drops: while the queue fails or is full the parts stay open, which withholds
// the acknowledgement.
type letters struct {
	w    *Worker
	sink queue.Sink

	mu      sync.Mutex
	pending []doomed // in order
	held    []doomed // a guard has stopped them
	why     string   // the last failure of the sink; empty: it works
	since   time.Time
	wake    chan struct{}
	hurry   chan struct{} // closed when waits have to be short
}

// At most this much goes into one Put.
const (
	lettersPerPut = 64
	bytesPerPut   = 4 << 20
)

func newLetters(w *Worker, sink queue.Sink) *letters {
	return &letters{w: w, sink: sink, wake: make(chan struct{}, 1), hurry: make(chan struct{})}
}

// hasten shortens the waits between tries, once, because the process stops.
func (ls *letters) hasten() { close(ls.hurry) }

// add takes parts that their books already list as dying.
func (ls *letters) add(ds []doomed) {
	if len(ds) == 0 {
		return
	}
	if ls.sink == nil {
		for _, d := range ds {
			d.p.m.strand.halt(fmt.Sprintf("%s, and dead_letter is none: %v", d.reason, d.err), d.p)
		}
		return
	}
	ls.mu.Lock()
	for _, d := range ds {
		if !d.unguarded() && d.p.guardedBy(int(ls.w.stopAfter.Load()), d.reason+": "+d.err.Error()) {
			ls.held = append(ls.held, d)
		} else {
			ls.pending = append(ls.pending, d)
		}
	}
	ls.mu.Unlock()
	poke(ls.wake)
}

// resume moves what guards held back into the line again.
func (ls *letters) resume() {
	ls.mu.Lock()
	ls.pending = append(ls.pending, ls.held...)
	ls.held = nil
	ls.mu.Unlock()
	poke(ls.wake)
}

// run puts letters until ctx ends.
func (ls *letters) run(ctx context.Context) {
	wait := newBackoff(500*time.Millisecond, 30*time.Second)
	for {
		ds := ls.take()
		if len(ds) == 0 {
			select {
			case <-ls.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		failed, err := ls.put(ctx, ds)
		ls.note(err)
		if err == nil {
			wait.b.Reset()
			continue
		}
		ls.back(failed)
		if !ls.pause(ctx, wait.next()) {
			return
		}
	}
}

// pause waits for the next try. False: there will be none.
func (ls *letters) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ls.hurry:
	case <-ctx.Done():
		return false
	}
	select {
	case <-time.After(min(d, urgentRetry)):
		return true
	case <-ctx.Done():
		return false
	}
}

// take removes the next letters from the line, without parts that were released.
func (ls *letters) take() []doomed {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	var ds []doomed
	var bytes int64
	n := 0
	for ; n < len(ls.pending) && len(ds) < lettersPerPut && bytes < bytesPerPut; n++ {
		if d := ls.pending[n]; d.p.open() && d.p.m.hold() { // Put reads the message
			d.p.m.puts.Add(1)
			ds = append(ds, d)
			bytes += d.p.m.d.Message().Size()
		}
	}
	clear(ls.pending[:n])
	ls.pending = ls.pending[n:]
	return ds
}

func (ls *letters) back(ds []doomed) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.pending = append(append([]doomed{}, ds...), ls.pending...)
}

// put stores letters and ends those that were stored. It returns those that were
// not, and one of the errors.
func (ls *letters) put(ctx context.Context, ds []doomed) (failed []doomed, err error) {
	ms := make([]queue.Message, len(ds))
	for i := range ds {
		ms[i] = ls.w.letter(&ds[i])
	}
	errs := ls.sink.Put(ctx, ms)
	failpoint.Hit(failpoint.LetterPut)
	for i := range ds {
		d := &ds[i]
		if errs != nil && errs[i] != nil && !mutant.On(mutant.DropLetter) {
			failed, err = append(failed, *d), errs[i]
		} else {
			d.p.book().bury(d.p, d.reason)
		}
		d.p.m.drop(1)
		d.p.m.puts.Add(-1)
	}
	return failed, err
}

// bury ends a part whose letter is stored.
func (b *books) bury(p *part, reason string) {
	b.mu.Lock()
	ok := b.endLocked(p, deadLettered, reason)
	b.forgetDyingLocked()
	b.mu.Unlock()
	if ok {
		p.m.partEnded(1)
	}
}

func (b *books) forgetDyingLocked() {
	n := 0
	for _, p := range b.dying {
		if p.open() {
			b.dying[n] = p
			n++
		}
	}
	clear(b.dying[n:])
	b.dying = b.dying[:n]
}

// note keeps the state of the sink and logs when it changes.
func (ls *letters) note(err error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	switch {
	case err == nil && ls.why != "":
		ls.w.cfg.Logger.Info("the dead letter queue works again", zap.String("queue", ls.sink.Describe()))
		ls.why = ""
	case err != nil:
		if ls.why == "" {
			ls.since = time.Now()
			ls.w.cfg.Logger.Error("the dead letter queue fails; what belongs there is kept and not acknowledged",
				zap.String("queue", ls.sink.Describe()), zap.Error(err))
		}
		ls.why = err.Error()
	}
}

// failure is why the sink fails; empty while it works.
func (ls *letters) failure() string {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.why
}

// errorText bounds HeaderError, so that our headers stay below 2 KiB.
const errorText = 1 << 10

// letter is the message that keeps a doomed part: its bytes untouched, the
// original headers, the key as resolved, and what happened.
func (w *Worker) letter(d *doomed) queue.Message {
	p, src := d.p, d.p.m.d.Message()
	m := queue.Message{Value: src.Value, Key: src.Key, Subject: letterSubject(p)}
	for _, h := range src.Headers {
		if !ownHeader(h.Key, p) {
			m.Headers = append(m.Headers, h)
		}
	}
	add := func(key, value string) {
		if value != "" {
			m.Headers = append(m.Headers, queue.Header{Key: key, Value: clean(value)})
		}
	}
	keep := func(key string) {
		v, _ := src.Header(key)
		add(key, v)
	}
	switch { // stored is what pass one made of it, whatever it was received as
	case p.group != nil:
		m.Value = p.group.Data
		add(protocol.HeaderContentType, protocol.TypeLogGroup)
	case p.m.readable():
		add(protocol.HeaderContentType, p.m.format.ContentType())
	}
	if p.m.readable() {
		add(protocol.HeaderContentEncoding, protocol.EncodingNone.String())
	}
	if p.lane != nil {
		add(protocol.HeaderProject, p.lane.key.Project)
		add(protocol.HeaderLogstore, p.lane.key.Logstore)
		add(protocol.HeaderConfig, p.lane.key.Config)
		add(queue.HeaderTo, w.cfg.Deployment+"/"+p.lane.entry.name())
	} else {
		keep(queue.HeaderTo)
	}
	add(queue.HeaderVersion, "1")
	add(queue.HeaderOrigin, p.m.d.Origin().String())
	if p.group != nil {
		add(queue.HeaderGroups, strconv.FormatUint(uint64(p.index), 10))
	} else {
		keep(queue.HeaderGroups)
	}
	keep(queue.HeaderHops)
	add(queue.HeaderFirstSeen, p.m.firstSeen())
	add(queue.HeaderReason, d.reason)
	add(queue.HeaderError, truncate(d.err.Error(), errorText))
	add(queue.HeaderAttempts, strconv.Itoa(d.attempts))
	add(queue.HeaderSource, p.m.strand.info.Source+" "+p.m.strand.info.Name+" "+strconv.FormatInt(src.Position, 10))
	add(queue.HeaderWorker, w.cfg.Version+" "+w.cfg.Host)
	return m
}

// ownHeader says which original headers a letter replaces.
func ownHeader(key string, p *part) bool {
	k := strings.ToLower(key)
	if strings.HasPrefix(k, queue.HeaderPrefix) && !strings.HasPrefix(k, queue.HeaderWas) {
		return true
	}
	switch k {
	case protocol.HeaderContentType, protocol.HeaderContentEncoding:
		return p.m.readable()
	case protocol.HeaderProject, protocol.HeaderLogstore, protocol.HeaderConfig:
		return p.lane != nil
	}
	return false
}

// letterSubject is the lane of a part; empty for what has none.
func letterSubject(p *part) string {
	if p.lane == nil {
		return ""
	}
	return p.lane.id().String()
}

// id names the lane to queues.
func (l *lane) id() queue.Lane {
	return queue.Lane{
		Route: l.entry.route, Flusher: l.entry.flusher,
		Project: l.key.Project, Logstore: l.key.Logstore, Config: l.key.Config,
	}
}

// clean keeps line breaks and other control characters out of headers.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}

func (m *message) firstSeen() string {
	if s, ok := m.d.Message().Header(queue.HeaderFirstSeen); ok {
		return s
	}
	return m.received.UTC().Format(time.RFC3339Nano)
}
