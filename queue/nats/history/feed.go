package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/queue/nats"
)

// silence is how long a request may bring nothing before it is given up; the server
// answers at once, be it that there is nothing.
const silence = 5 * time.Second

// feed is a consumer that lives for one slice, and the inbox that its messages
// come to. One request is under way at a time. A feed that lost anything is not
// mended: the reader makes another one where it is.
type feed struct {
	conn   *nats.Conn
	stream string
	name   string
	line   int64 // the connection it was made on
	most   int   // messages of one request; 0: no limit
	widest int64 // bytes of one request; 0: no limit

	delivered uint64 // number of the last delivery that was taken

	sub    *natsgo.Subscription
	prefix string // of its inbox, with the final dot
	done   chan struct{}

	mu    sync.Mutex
	in    []*natsgo.Msg
	ask   request
	heard int
	spare []*natsgo.Msg
}

// request is the one under way, or what became of the last one.
type request struct {
	number uint64
	live   bool
	msgs   int   // that are still to come
	bytes  int64 // that are still to come
	bound  bool  // bytes counts
	end    ending
	why    string // of broken
}

// ending is how a request ended.
type ending int

const (
	whole     ending = iota + 1 // it brought what it asked for
	exhausted                   // the consumer has nothing more
	tooLarge                    // the next message is larger than what was left
	broken                      // the feed is not to be trusted any more
)

// newFeed creates the consumer.
func newFeed(ctx context.Context, conn *nats.Conn, stream string, config jetstream.ConsumerConfig) (*feed, error) {
	f := &feed{conn: conn, stream: stream, name: config.Name, line: conn.Line(), done: make(chan struct{}, 1)}
	nc := conn.NATS()
	f.prefix = nc.NewInbox() + "."
	sub, err := nc.Subscribe(f.prefix+"*", f.receive)
	if err != nil {
		return nil, fmt.Errorf("couldn't subscribe to the inbox of pull requests: %w", err)
	}
	f.sub = sub
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what was asked
		f.unsubscribe()
		return nil, fmt.Errorf("couldn't lift the limits of the inbox: %w", err)
	}
	info, err := createConsumer(ctx, conn, stream, config)
	if err != nil {
		f.unsubscribe()
		return nil, err
	}
	f.most, f.widest = info.Config.MaxRequestBatch, int64(info.Config.MaxRequestMaxBytes)
	return f, nil
}

// unsubscribe fails only if the connection is closed.
func (f *feed) unsubscribe() { _ = f.sub.Unsubscribe() }

// close deletes the consumer; without a connection that fails at once.
func (f *feed) close() {
	f.unsubscribe()
	deleteConsumer(f.conn, f.stream, f.name)
}

// pull asks for messages and waits until the request has ended. bytes 0 is no
// limit. What it returns is the caller's to clear, and valid until the next call;
// there may be messages also when the feed is broken. An error is ctx's.
func (f *feed) pull(ctx context.Context, msgs int, bytes int64) ([]*natsgo.Msg, ending, string, error) {
	if f.most > 0 {
		msgs = min(msgs, f.most)
	}
	if f.widest > 0 && bytes > 0 {
		bytes = min(bytes, f.widest)
	}
	changed := f.conn.Changed()
	number := f.begin(msgs, bytes)
	if err := f.send(number, msgs, bytes); err != nil {
		f.giveUp(err.Error())
	}
	t := time.NewTimer(silence)
	defer t.Stop()
	for last := 0; ; {
		select {
		case <-f.done:
			ms, end, why := f.take()
			return ms, end, why, nil
		case <-ctx.Done():
			return nil, broken, "", context.Cause(ctx)
		case <-changed:
			changed = f.conn.Changed()
			if f.conn.Line() != f.line {
				f.giveUp("the connection was lost")
			}
		case <-t.C:
			heard := f.progress()
			if heard == last {
				f.giveUp("the server did not answer a pull request")
				continue
			}
			last = heard
			t.Reset(silence)
		}
	}
}

func (f *feed) begin(msgs int, bytes int64) (number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	number = f.ask.number + 1
	f.ask = request{number: number, live: true, msgs: msgs, bytes: bytes, bound: bytes > 0}
	return number
}

// send asks for what is there now: a range that was planned is there.
func (f *feed) send(number uint64, msgs int, bytes int64) error {
	b := make([]byte, 0, 64)
	b = append(b, `{"batch":`...)
	b = strconv.AppendInt(b, int64(msgs), 10)
	if bytes > 0 {
		b = append(b, `,"max_bytes":`...)
		b = strconv.AppendInt(b, bytes, 10)
	}
	b = append(b, `,"no_wait":true}`...)
	reply := f.prefix + strconv.FormatUint(number, 10)
	return f.conn.NATS().PublishRequest(f.conn.APIPrefix()+"CONSUMER.MSG.NEXT."+f.stream+"."+f.name, reply, b)
}

// take hands over what a request brought.
func (f *feed) take() ([]*natsgo.Msg, ending, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.spare = f.spare[:0], f.in
	return f.spare, f.ask.end, f.ask.why
}

func (f *feed) progress() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}

func (f *feed) giveUp(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finish(broken, why)
}

// finish ends the request; the lock is held.
func (f *feed) finish(end ending, why string) {
	if f.ask.live {
		f.ask.live, f.ask.end, f.ask.why = false, end, why
		f.done <- struct{}{}
	}
}

// receive takes what the server sends, on nats.go's goroutine. What comes when no
// request is under way is missing later, which the numbers of deliveries show.
func (f *feed) receive(m *natsgo.Msg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard++
	switch {
	case !f.ask.live:
	case m.Reply == "":
		f.status(m)
	default:
		f.in = append(f.in, m)
		f.ask.msgs--
		f.ask.bytes -= int64(m.Size())
		// A request that is used up to the byte ends without a word.
		if f.ask.msgs == 0 || f.ask.bound && f.ask.bytes <= 0 {
			f.finish(whole, "")
		}
	}
}

// status takes the end of a request; the lock is held.
func (f *feed) status(m *natsgo.Msg) {
	if digits, ok := strings.CutPrefix(m.Subject, f.prefix); !ok || digits != strconv.FormatUint(f.ask.number, 10) {
		return
	}
	code, text := m.Header.Get("Status"), m.Header.Get("Description")
	switch {
	case code == "404":
		f.finish(exhausted, "")
	case text == "Message Size Exceeds MaxBytes":
		f.finish(tooLarge, "")
	case text == "Batch Completed":
		f.finish(whole, "")
	case code == "503":
		f.finish(broken, "the consumer is gone: no server answers for it")
	default:
		f.finish(broken, strings.TrimSpace(code+" "+text))
	}
}
