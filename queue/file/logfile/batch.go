package logfile

import (
	"strings"
	"time"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/job"
)

// batch is what a Read collects.
type batch struct {
	job.Batch
	held int64
}

// damageBytes is how much of what cannot be read goes into its message.
const damageBytes = 64 << 10

// epoch stands for the time of a message in its origin, as the file's may change when
// it is copied.
var epoch = time.Unix(0, 0)

// message hands out what begins at a position. origin is zero where the message
// brought none.
func (r *reader) message(b *batch, at int64, value []byte, headers []queue.Header, origin queue.Origin) {
	if origin == (queue.Origin{}) {
		origin = r.seed.At(0, at, epoch)
	}
	b.Messages = append(b.Messages, queue.Message{
		Value: value, Headers: headers, Subject: r.below, Position: at, Time: r.modified,
	})
	b.Origins = append(b.Origins, origin)
	b.held += b.Messages[len(b.Messages)-1].Held()
}

// damaged hands out bytes that cannot be read. They are copied.
func (r *reader) damaged(b *batch, at, length int64, bytes []byte, why string) {
	value := append([]byte(nil), bytes[:min(len(bytes), damageBytes)]...)
	r.message(b, at, value, []queue.Header{{Key: queue.HeaderDamage, Value: oneLine(why)}}, queue.Origin{})
	b.Damage = append(b.Damage, job.Damage{Offset: at, Length: length, Why: why})
}

// oneLine makes a text fit for a header.
func oneLine(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 1<<10)], "")
}

// stretch is bytes that cannot be read and whose end is being looked for.
type stretch struct {
	at   int64
	head []byte // the first of them
	why  string
}

func (r *reader) beginStretch(why string) {
	r.skipping = &stretch{at: r.win.at, why: why}
}

// pass uses up bytes of the stretch.
func (r *reader) pass(n int) {
	s := r.skipping
	s.head = append(s.head, r.win.have()[:min(n, damageBytes-len(s.head))]...)
	r.win.use(n)
}

// endStretch hands it out. Where a stream broke off it reaches to the end.
func (r *reader) endStretch(b *batch) {
	s := r.skipping
	r.skipping = nil
	length, why := r.win.at-s.at, s.why
	if r.win.ended && len(r.win.have()) == 0 && r.win.broken != "" {
		length, why = -1, r.win.broken
	}
	r.damaged(b, s.at, length, s.head, why)
	if r.next = r.win.at; length < 0 {
		r.next++ // as in end
	}
}
