package worker

import (
	"fmt"
	"strconv"
	"strings"

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
	ReasonPoison        = "poison" // failed again and again, at last alone, while others of its lane came through
	ReasonHangs         = "hangs"  // its Flush never returned, at last alone, while others of its lane came through
	ReasonTooLarge      = "too_large"
	ReasonUnknownTarget = "unknown_target"
)

// doomed is a part that can never be flushed, and why.
type doomed struct {
	p        *part
	reason   string
	err      error
	attempts int
	again    bool // a parked record that is to be put behind the others
}

// letters puts doomed parts to the dead letter queue and then ends them. Those that a
// guard has stopped wait until somebody says that the cause is mended.
type letters struct {
	*outbox
	held []doomed // under mu
}

func newLetters(w *Worker, sink queue.Sink) *letters {
	ls := &letters{outbox: newOutbox(w, sink, "dead letter queue")}
	ls.needs = func(*doomed) bool { return true }
	ls.loses = func() bool { return mutant.On(mutant.DropLetter) }
	ls.crash = func() { failpoint.Hit(failpoint.LetterPut) }
	ls.compose, ls.bury = w.letter, buryLetters
	return ls
}

// buryLetters ends parts whose letters are stored.
func buryLetters(ds []doomed) {
	buryAll(ds, func(d *doomed) (outcome, string) { return deadLettered, d.reason })
}

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

// purge forgets letters whose parts were released.
func (ls *letters) purge() {
	ls.outbox.purge()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.held = stillOpen(ls.held)
}

// errorText bounds HeaderError, so that our headers stay below 2 KiB.
const errorText = 1 << 10

// letter is the message that keeps a doomed part, and what happened.
func (w *Worker) letter(d *doomed, to *addressee) queue.Message {
	m := w.record(d.p, to)
	add := func(key, value string) {
		if value != "" {
			m.Headers = append(m.Headers, queue.Header{Key: key, Value: clean(value)})
		}
	}
	add(queue.HeaderReason, d.reason)
	add(queue.HeaderError, truncate(d.err.Error(), errorText))
	add(queue.HeaderAttempts, strconv.Itoa(d.attempts))
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

// id names the lane to queues.
func (l *lane) id() queue.Lane {
	return queue.Lane{
		Route: l.entry.route, Flusher: l.entry.flusher,
		Project: l.key.Project, Logstore: l.key.Logstore, Config: l.key.Config,
	}
}

func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
