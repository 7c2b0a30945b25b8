package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// answers is where JetStream says what became of what was published: one subscription of
// a connection, and an entry for each burst that is under way. The publisher of nats.go
// costs a timer, two channels and a JSON decoder for each message; a burst needs one of
// each.
//
// Its methods may be called from any goroutine.
type answers struct {
	prefix string // of reply subjects, with its final dot

	mu   sync.Mutex
	last uint64
	open map[uint64]*awaited
}

// awaited is what was published together, and what the server said of each.
type awaited struct {
	owner  *answers
	number uint64
	prefix string // of its reply subjects, with its final dot
	stream string // that has to answer; empty: any

	// Guarded by the owner's lock until the burst is over.
	said     []bool   // of each message: there is an answer
	errs     []error  // what it was; nil: it is stored
	subjects []string // of what was sent: a refusal of the server names one
	had      int      // stored before, says the server
	left     int
	done     chan struct{} // nothing is left
}

// What became of a message of which the server said nothing.
var (
	// ErrNoAnswer says that it was sent; it may have been stored.
	ErrNoAnswer = errors.New("no answer, it may have been stored")

	// ErrAway says that it was not sent, or that the connection was lost before its
	// answer came; it may have been stored.
	ErrAway = errors.New("the server is away, or the connection was lost before it answered")
)

// answers subscribes at the first call.
func (c *Conn) answers() (*answers, error) {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	if c.answered != nil {
		return c.answered, nil
	}
	a := &answers{prefix: c.nc.NewInbox() + ".", open: map[uint64]*awaited{}}
	sub, err := c.nc.Subscribe(a.subject(), a.receive)
	if err != nil {
		return nil, fmt.Errorf("couldn't subscribe to the answers to what is published: %w", err)
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what is published
		return nil, fmt.Errorf("couldn't lift the limits of the answers: %w", err)
	}
	c.answered = a
	return a, nil
}

// subject is what is subscribed to.
func (a *answers) subject() string { return a.prefix + "*.*" }

// begin awaits answers for n messages to a stream; an empty one is any.
func (a *answers) begin(stream string, n int) *awaited {
	b := &awaited{
		owner: a, stream: stream,
		said: make([]bool, n), errs: make([]error, n), subjects: make([]string, n), left: n, done: make(chan struct{}),
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	b.number = a.last
	b.prefix = a.prefix + strconv.FormatUint(b.number, 36) + "."
	a.open[b.number] = b
	return b
}

// reply is where the server shall answer for the i-th message.
func (b *awaited) reply(i int) string { return b.prefix + strconv.Itoa(i) }

// receive takes in one answer. One that nobody awaits any more is dropped: its message
// was published again under the same id, or was given up.
func (a *answers) receive(m *nats.Msg) {
	number, index, ok := a.which(m.Subject)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.open[number]
	if b == nil || index >= len(b.said) || b.said[index] {
		return
	}
	had, err := b.verdict(m)
	if had {
		b.had++
	}
	b.said[index], b.errs[index] = true, err
	b.answeredLocked()
}

// sending notes under which subject a message goes out.
func (b *awaited) sending(i int, subject string) {
	b.owner.mu.Lock()
	defer b.owner.mu.Unlock()
	b.subjects[i] = subject
}

// refused says of messages that the server took the right to publish under their
// subject for missing, and of all if subject is that of the answers themselves: it
// answers neither, and says so beside.
func (a *answers) refused(subject string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.open {
		for i := range b.said {
			if !b.said[i] && (subject == a.subject() || b.subjects[i] != "" && b.subjects[i] == subject) {
				b.said[i], b.errs[i] = true, err
				b.answeredLocked()
			}
		}
	}
}

func (b *awaited) answeredLocked() {
	if b.left--; b.left == 0 {
		close(b.done)
	}
}

// unsent says of a message that it was not published: no answer will come.
func (b *awaited) unsent(i int, err error) {
	b.owner.mu.Lock()
	defer b.owner.mu.Unlock()
	if !b.said[i] {
		b.said[i], b.errs[i] = true, err
		b.answeredLocked()
	}
}

// which is the burst and the message that a reply subject names.
func (a *answers) which(subject string) (number uint64, index int, ok bool) {
	rest, ok := strings.CutPrefix(subject, a.prefix)
	if !ok {
		return 0, 0, false
	}
	of, at, ok := strings.Cut(rest, ".")
	if !ok {
		return 0, 0, false
	}
	number, err1 := strconv.ParseUint(of, 36, 64)
	n, err2 := strconv.ParseUint(at, 10, 31)
	return number, int(n), err1 == nil && err2 == nil
}

// verdict reads an answer; without an error the message is stored, and had says that
// it was before. The server writes {"stream":"NAME", "seq":N}, and an error before
// anything else.
func (b *awaited) verdict(m *nats.Msg) (had bool, err error) {
	if had, ok := b.stored(m.Data); ok {
		return had, nil
	}
	if len(m.Data) == 0 && m.Header.Get("Status") == statusNoResponders {
		return false, nats.ErrNoResponders
	}
	var answer struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return false, fmt.Errorf("the server's answer cannot be read, the message may have been stored: %w", err)
	case answer.Error != nil:
		return false, answer.Error
	case answer.Stream == "" || answer.Seq == 0:
		return false, fmt.Errorf("the server's answer %q says of no stream that it has the message", abridge(string(m.Data)))
	}
	return answer.Duplicate, nil
}

// stored reads the usual answer for a stored message without taking it apart.
func (b *awaited) stored(data []byte) (had, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	end := bytes.IndexByte(rest, '"')
	if !ok || end <= 0 || b.stream != "" && string(rest[:end]) != b.stream {
		return false, false
	}
	rest, ok = bytes.CutPrefix(rest[end+1:], []byte(","))
	digits, is := bytes.CutPrefix(bytes.TrimLeft(rest, " "), []byte(`"seq":`))
	if !ok || !is || len(digits) < 2 || digits[0] < '1' || digits[0] > '9' {
		return false, false
	}
	after := bytes.TrimLeft(digits, "0123456789")
	return bytes.HasPrefix(after, []byte(`,"duplicate": true`)), len(after) > 0
}

// await waits until all have answered, the connection is another one than line, some
// time has passed or ctx ends, and says what became of each.
func (b *awaited) await(ctx context.Context, c *Conn, line int64, patience time.Duration) []error {
	defer b.forget()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	for {
		changed := c.changed.wait()
		if c.line.number() != line {
			return b.over(ErrAway)
		}
		select {
		case <-b.done:
			return b.errs
		case <-changed:
		case <-enough.C:
			return b.over(fmt.Errorf("%w: the server did not answer within %s", ErrNoAnswer, patience))
		case <-ctx.Done():
			return b.over(fmt.Errorf("%w: %w", ErrNoAnswer, ctx.Err()))
		}
	}
}

// over ends the wait: of what has not answered this is said.
func (b *awaited) over(err error) []error {
	b.forget()
	for i := range b.errs {
		if !b.said[i] {
			b.errs[i] = err
		}
	}
	return b.errs
}

// forget drops what comes from now on.
func (b *awaited) forget() {
	b.owner.mu.Lock()
	defer b.owner.mu.Unlock()
	delete(b.owner.open, b.number)
}
