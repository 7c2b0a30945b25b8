package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/queue/nats"
	"github.com/flushline/flushline/queue/queuetest"
)

const budget = 64 << 20

var everything = queue.Room{Messages: 1 << 20, Bytes: 1 << 30}

// pod is a running source whose strand is fetched by the test.
type pod struct {
	*testQueue
	host   *queuetest.Host
	strand *queuetest.Serving
	end    context.CancelCauseFunc
	done   chan error
	source *nats.Source
}

func (q *testQueue) startPod() *pod {
	q.Helper()
	if os.Getenv("FLUSHLINE_TEST_LOG") != "" {
		q.with.Log = zaptest.NewLogger(q, zaptest.WrapOptions(zap.AddCaller()))
	}
	src, err := q.open()
	if err != nil {
		q.Fatal(err)
	}
	ctx, end := context.WithCancelCause(context.Background())
	p := &pod{testQueue: q, host: queuetest.NewHost(budget), end: end, done: make(chan error, 1), source: src}
	go func() { p.done <- src.Run(ctx, p.host) }()
	q.Cleanup(func() { end(stopping()) })
	p.next()
	return p
}

func stopping() *queue.End {
	return &queue.End{Reason: queue.Stopping, Deadline: time.Now().Add(5 * time.Second)}
}

func (q *testQueue) patience() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	q.Cleanup(cancel)
	return ctx
}

func (p *pod) next() {
	p.Helper()
	s, err := p.host.Next(p.patience())
	if err != nil {
		p.Fatal(err)
	}
	p.strand = s
	p.Cleanup(func() { s.Finish(nil) })
}

// fetch collects n deliveries.
func (p *pod) fetch(n int) (ds []*queue.Delivery) {
	p.Helper()
	ctx := p.patience()
	for len(ds) < n {
		more, err := p.strand.Fetch(ctx, queue.Room{Messages: n - len(ds), Bytes: 1 << 30})
		if err != nil {
			p.Fatalf("after %d of %d deliveries: %v; %+v", len(ds), n, err, p.strand.Status())
		}
		ds = append(ds, more...)
	}
	return ds
}

// drain fetches with all the room there is, and acknowledges, until n have come.
func (p *pod) drain(n int) {
	p.Helper()
	ctx := p.patience()
	for n > 0 {
		ds, err := p.strand.Fetch(ctx, everything)
		if err != nil {
			p.Fatalf("with %d deliveries to come: %v; %+v", n, err, p.strand.Status())
		}
		ack(ds...)
		n -= len(ds)
	}
	if n < 0 {
		p.Errorf("%d deliveries too many", -n)
	}
}

// none says that nothing is delivered for a while.
func (p *pod) none(d time.Duration) {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	ds, err := p.strand.Fetch(ctx, everything)
	if !errors.Is(err, context.DeadlineExceeded) {
		p.Fatalf("fetched %d deliveries starting at %d, error %v; want none", len(ds), ds[0].Message().Position, err)
	}
}

func ack(ds ...*queue.Delivery) {
	for _, d := range ds {
		d.Ack()
		d.Free()
	}
}

func release(ds ...*queue.Delivery) {
	for _, d := range ds {
		d.Release()
		d.Free()
	}
}

// stop ends the run as a worker does and checks that every byte came back.
func (p *pod) stop(rest ...*queue.Delivery) {
	p.Helper()
	p.end(stopping())
	if _, err := p.strand.End(p.patience()); err != nil {
		p.Fatal(err)
	}
	release(rest...)
	p.strand.Finish(nil)
	select {
	case err := <-p.done:
		if err != nil {
			p.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		p.Fatal("run did not return")
	}
	p.balanced(0)
	if err := p.host.Err(); err != nil {
		p.Errorf("budget: %v", err)
	}
}

// balanced waits until the host's budget is used to n bytes.
func (p *pod) balanced(n int64) {
	p.Helper()
	p.eventually(func() error {
		if u := p.host.Usage(); u.Used != n {
			return fmt.Errorf("%d bytes of the budget are in use, want %d", u.Used, n)
		}
		return nil
	})
}

func (b *broker) eventually(try func() error) {
	b.Helper()
	var err error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	b.Fatal(err)
}

func (q *testQueue) publish(n, size int) {
	q.Helper()
	ms := make([]queue.Message, n)
	for i := range ms {
		ms[i].Value = make([]byte, size)
		copy(ms[i].Value, fmt.Sprintf("m%d", i))
	}
	if err := q.Publish(q.Context(), ms...); err != nil {
		q.Fatal(err)
	}
}

func (q *testQueue) info() (info *jetstream.ConsumerInfo) {
	q.Helper()
	q.eventually(func() error { // the test's own connection may be reconnecting, too
		c, err := q.js(q.conn).Consumer(q.patience(), q.cfg.Stream, q.cfg.Durable)
		if err == nil {
			info = c.CachedInfo()
		}
		return err
	})
	return info
}

// pending waits for what the broker counts as unacknowledged and undelivered.
func (q *testQueue) pending(unacknowledged, undelivered int) {
	q.Helper()
	q.eventually(func() error {
		i := q.info()
		if i.NumAckPending != unacknowledged || i.NumPending != uint64(undelivered) {
			return fmt.Errorf("%d unacknowledged and %d undelivered, want %d and %d",
				i.NumAckPending, i.NumPending, unacknowledged, undelivered)
		}
		return nil
	})
}

// state waits until the strand is in a state and returns the cause.
func (p *pod) state(want string) (cause string) {
	p.Helper()
	p.eventually(func() error {
		st := p.strand.Status()
		cause = st.Cause
		if st.State != want {
			return fmt.Errorf("state is %q (%s), want %q", st.State, st.Cause, want)
		}
		return nil
	})
	return cause
}

// answer speaks to the server about a delivery as an old or confused client
// would.
func (q *testQueue) answer(seq, cseq int, body string) {
	q.Helper()
	subject := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.1.0", q.cfg.Stream, q.cfg.Durable, seq, cseq)
	if err := q.conn.NATS().Publish(subject, []byte(body)); err != nil {
		q.Fatal(err)
	}
	if err := q.conn.NATS().Flush(); err != nil {
		q.Fatal(err)
	}
}

// requests is the pull requests that the server receives.
func (q *testQueue) requests() <-chan request {
	q.Helper()
	out := make(chan request, 1000)
	sub, err := q.conn.NATS().Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", decodeRequests(out))
	if err != nil {
		q.Fatal(err)
	}
	q.Cleanup(func() { _ = sub.Unsubscribe() })
	if err := q.conn.NATS().Flush(); err != nil {
		q.Fatal(err)
	}
	return out
}

func positions(ds []*queue.Delivery) (seqs []int64) {
	for _, d := range ds {
		seqs = append(seqs, d.Message().Position)
	}
	return seqs
}

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// recreateStream makes the stream and its consumer anew, as a restore script
// would.
func (q *testQueue) recreateStream() {
	q.Helper()
	js := q.js(q.conn)
	s, err := js.Stream(q.patience(), "LOGS")
	if err != nil {
		q.Fatal(err)
	}
	consumer := q.info().Config
	if err := js.DeleteStream(q.patience(), "LOGS"); err != nil {
		q.Fatal(err)
	}
	if _, err := js.CreateStream(q.patience(), s.CachedInfo().Config); err != nil {
		q.Fatal(err)
	}
	if _, err := js.CreateConsumer(q.patience(), "LOGS", consumer); err != nil {
		q.Fatal(err)
	}
}
