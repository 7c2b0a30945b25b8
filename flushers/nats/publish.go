package nats

import (
	"context"
	"errors"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
	queue "github.com/flushline/flushline/queue/nats"
)

const (
	burstMessages = 256     // published before the answers are awaited
	burstBytes    = 4 << 20 // of the groups' protobuf
	keptBody      = 1 << 20 // a larger buffer is not used again
)

// FlushBatch publishes a message for each group, or for each log, a burst at a time, and
// awaits what the stream answers to each. After a failure that is not a group's own the
// groups behind the burst are not published, so that they do not overtake it.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	if why := f.to.refused.Load(); why != nil {
		return flushers.Misconfigured(*why)
	}
	r := &run{f: f, ctx: ctx, b: b, n: max(len(b.Groups), len(b.Raw)), until: time.Now().Add(f.Timeout)}
	r.vars = protocol.TemplateVars{Key: f.key, Host: f.host}
	for i := range r.n {
		if r.add(i); len(r.burst) >= burstMessages || r.bytes >= burstBytes {
			r.send()
		}
	}
	r.send()
	return r.result()
}

// run is one FlushBatch.
type run struct {
	f     *Flusher
	ctx   context.Context
	b     *flushers.Batch
	n     int // groups
	until time.Time
	vars  protocol.TemplateVars

	burst []piece
	bytes int
	names []string // of a group's logs, used again

	failed  map[int]error
	stopped error // what keeps the rest from being published
	nobody  error // what is the matter with subjects that no stream answers for
	body    []byte
	packed  []byte
}

// piece is one message to be.
type piece struct {
	group   int
	log     int                // -1: the group, or what of it has this subject
	part    *protocol.LogGroup // of a group that is split among subjects; nil: the whole
	subject string
	size    int // of its body
}

// fail notes the first failure of a group.
func (r *run) fail(group int, err error) {
	if r.failed == nil {
		r.failed = map[int]error{}
	}
	if r.failed[group] == nil {
		r.failed[group] = err
	}
}

// add turns a group into messages of the next burst.
func (r *run) add(i int) {
	if r.stopped != nil {
		r.fail(i, r.stopped)
		return
	}
	f := r.f
	if f.writer.Raw() && !f.needsLogs() {
		name, err := f.namer.Name(&r.vars)
		if err != nil {
			r.fail(i, err)
			return
		}
		r.queue(piece{group: i, log: -1, subject: name}, r.size(i))
		return
	}
	g := r.b.Groups[i]
	if len(g.Logs) == 0 {
		return // nothing to store
	}
	r.vars.Group = g
	var one bool
	var err error
	if r.names, one, err = f.namer.Logs(r.names[:0], &r.vars); err == nil {
		err = r.writable(g)
	}
	switch {
	case err != nil:
		r.fail(i, err)
	case f.writer.PerLog():
		for n, l := range g.Logs {
			if l == nil {
				continue
			}
			if r.queue(piece{group: i, log: n, subject: r.names[n]}, 0); len(r.burst) >= burstMessages {
				r.send()
			}
		}
	case one || f.writer.Raw():
		r.queue(piece{group: i, log: -1, subject: first(r.names)}, r.size(i))
	default:
		r.split(i, g)
	}
}

// writable says why a log of a group cannot be written: none of its logs is then, as a
// group that becomes a dead letter goes there whole.
func (r *run) writable(g *protocol.LogGroup) error {
	w := r.f.writer
	if !w.PerLog() {
		return nil
	}
	for _, l := range g.Logs {
		if l == nil {
			continue
		}
		var err error
		if r.body, err = w.AppendLog(r.body[:0], g, l); err != nil {
			return err
		}
	}
	return nil
}

func first(names []string) string {
	for _, name := range names {
		if name != "" {
			return name
		}
	}
	return ""
}

// split makes a message of those logs of a group that have one subject, in the order in
// which the subjects come.
func (r *run) split(i int, g *protocol.LogGroup) {
	parts := map[string]*protocol.LogGroup{}
	for n, l := range g.Logs {
		if l == nil {
			continue
		}
		part := parts[r.names[n]]
		if part == nil {
			part = &protocol.LogGroup{Category: g.Category, Topic: g.Topic, Source: g.Source, MachineUUID: g.MachineUUID, LogTags: g.LogTags}
			parts[r.names[n]] = part
			r.queue(piece{group: i, log: -1, part: part, subject: r.names[n]}, 0)
		}
		part.Logs = append(part.Logs, l)
	}
}

func (r *run) size(i int) int {
	if i < len(r.b.Raw) {
		return len(r.b.Raw[i])
	}
	return 0
}

func (r *run) queue(p piece, size int) {
	r.burst = append(r.burst, p)
	r.bytes += size
}

// send publishes the burst and awaits its answers.
func (r *run) send() {
	burst := r.burst
	r.burst, r.bytes = r.burst[:0], 0
	if len(burst) == 0 {
		return
	}
	if r.stopped != nil { // by the burst before, in the middle of a group
		r.give(burst, r.stopped)
		return
	}
	f := r.f
	left := time.Until(r.until)
	if left <= 0 {
		r.stop(r.late())
		r.give(burst, r.stopped)
		return
	}
	early := mutant.On(mutant.NATSEarly)
	if early {
		left = 0
	}
	out, err := f.to.conn.Burst(f.Stream, len(burst))
	if err != nil {
		r.stop(r.judge(err, &burst[0]))
		r.give(burst, r.stopped)
		return
	}
	made := make([]error, len(burst)) // why a message could not be made
	for n := range burst {
		if made[n] = r.dress(&burst[n]); made[n] != nil {
			out.Skip(n)
			continue
		}
		out.Publish(n, &f.shape.msg)
	}
	var messages, bytes int64
	errs := out.Await(r.ctx, left)
	if early {
		clear(errs)
	}
	for n, err := range errs {
		p := &burst[n]
		switch {
		case made[n] != nil:
			r.fail(p.group, made[n])
		case err != nil:
			r.answered(p, err)
		default:
			messages++
			bytes += int64(p.size)
		}
	}
	f.counts.messages.Add(messages)
	f.counts.bytes.Add(bytes)
	f.counts.had.Add(int64(out.Had()))
	if cap(r.body) > keptBody {
		r.body = nil
	}
}

func (r *run) give(burst []piece, err error) {
	for n := range burst {
		r.fail(burst[n].group, err)
	}
}

// answered judges a message that is not stored.
func (r *run) answered(p *piece, err error) {
	err = r.judge(err, p)
	r.fail(p.group, err)
	if class, _ := flushers.Classify(err); class != flushers.ClassPermanent && class != flushers.ClassTooLarge {
		r.stop(err)
	}
}

func (r *run) stop(err error) {
	if r.stopped == nil {
		r.stopped = err
	}
}

// dress makes the next message.
func (r *run) dress(p *piece) error {
	f, b := r.f, r.b
	r.body = r.body[:0]
	var body []byte
	var g *protocol.LogGroup
	if p.group < len(b.Groups) {
		g = b.Groups[p.group]
	}
	switch {
	case f.writer.Raw() && p.group < len(b.Raw):
		body = b.Raw[p.group] // is read, and neither changed nor kept
	case p.part != nil:
		r.body = f.writer.AppendGroup(r.body, p.part)
		body, g = r.body, p.part
	case p.log >= 0:
		var err error
		if r.body, err = f.writer.AppendLog(r.body, g, g.Logs[p.log]); err != nil {
			return err
		}
		body = r.body
	default:
		r.body = f.writer.AppendGroup(r.body, g)
		body = r.body
	}
	if f.encoding != protocol.EncodingNone {
		var err error
		if r.packed, err = protocol.Compress(r.packed[:0], body, f.encoding); err != nil {
			return flushers.Permanent(err)
		}
		body = r.packed
	}
	r.vars.Group, r.vars.Log = g, logOf(g, p.log)
	if r.vars.Log != nil {
		r.vars.Time = r.vars.Log.Time
	}
	p.size = len(body)
	f.shape.msg.Subject, f.shape.msg.Data = p.subject, body
	return f.dress(b, p.group, p.log, p.part == nil, &r.vars)
}

// logOf is the log that stands for a message: its own, or the first of its group.
func logOf(g *protocol.LogGroup, n int) *protocol.Log {
	switch {
	case g == nil:
		return nil
	case n >= 0:
		return g.Logs[n]
	}
	for _, l := range g.Logs {
		if l != nil {
			return l
		}
	}
	return nil
}

// result is nil if all is stored. A failure of all groups that is not their own is told
// as one.
func (r *run) result() error {
	if len(r.failed) == 0 {
		return nil
	}
	if len(r.failed) == r.n && r.stopped != nil {
		own := false
		for _, err := range r.failed {
			class, _ := flushers.Classify(err)
			own = own || class == flushers.ClassPermanent || class == flushers.ClassTooLarge
		}
		if !own {
			return r.stopped
		}
	}
	if r.n == 1 {
		return r.failed[0]
	}
	return &flushers.PartialError{Failed: r.failed}
}

func (r *run) late() error {
	return errors.Join(queue.ErrNoAnswer, context.DeadlineExceeded)
}
