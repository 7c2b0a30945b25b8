//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flushline/flushline/flushers"
	natsflusher "github.com/flushline/flushline/flushers/nats"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/worker"
)

// forwardCases compare a worker that passes LogGroups on from one stream into another
// with a bare loop of the same client: receive, publish with the headers and an id, and
// acknowledge what the stream confirmed.
func forwardCases(srv *benchServer, short bool) []benchCase {
	n, rounds := 1, 4
	if short {
		n, rounds = 4, 2
	}
	var cases []benchCase
	for _, c := range []speedCase{
		{"forward 50KB", load{"FORWARD50", 20_000 / n, 50_000, 50, 0}, rounds, 1.3, 0},
		{"forward 5KB", load{"FORWARD5", 150_000 / n, 5_000, 50, 0}, rounds, 1.3, 0},
	} {
		cases = append(cases, benchCase{c.name, func() (bool, error) { return c.run(forwarder{srv}) }})
	}
	return cases
}

// forwarder is the server with the roles that forward.
type forwarder struct{ *benchServer }

func (forwarder) roles() (raw, worker string) { return "forward-raw", "forward-worker" }

// forwardTo makes the stream of one round.
func (env benchEnv) forwardTo() (subject string, remove func(), err error) {
	nc, err := nats.Connect(env.url)
	if err != nil {
		return "", nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return "", nil, err
	}
	name, ctx := "TO-"+env.durable, context.Background()
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, Duplicates: 2 * time.Minute})
	return name, func() { _ = js.DeleteStream(ctx, name); nc.Close() }, err
}

// runForwardRaw is the rival. It has as many messages on their way as the worker may.
func runForwardRaw(env benchEnv) error {
	to, remove, err := env.forwardTo()
	if err != nil {
		return err
	}
	defer remove()
	if err := env.createConsumer(); err != nil {
		return err
	}
	nc, err := nats.Connect(env.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	l := &forwardLoop{env: env, nc: nc, subject: to + ".bench", acks: map[string]string{}}
	return l.run()
}

type forwardLoop struct {
	env     benchEnv
	nc      *nats.Conn
	subject string

	in      string // inbox of what is received
	out     string // prefix of the inboxes of answers
	got     int
	stored  int
	acks    map[string]string // how to acknowledge, by where the stream answers
	pending chan *nats.Msg
}

const forwardPull = 512

func (l *forwardLoop) pull() error {
	next := "$JS.API.CONSUMER.MSG.NEXT." + l.env.load.Stream + "." + l.env.durable
	return l.nc.PublishRequest(next, l.in, fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, forwardPull/2, 30*time.Second))
}

// run has one goroutine for both subscriptions, so that nothing needs a lock.
func (l *forwardLoop) run() error {
	l.in, l.out = nats.NewInbox(), nats.NewInbox()+"."
	l.pending = make(chan *nats.Msg, 2*l.env.load.Messages) // nothing may be dropped
	for _, subject := range []string{l.in, l.out + "*"} {
		if _, err := l.nc.ChanSubscribe(subject, l.pending); err != nil {
			return err
		}
	}
	for range 2 {
		if err := l.pull(); err != nil {
			return err
		}
	}
	for l.stored < l.env.load.Messages {
		select {
		case m := <-l.pending:
			if err := l.take(m); err != nil {
				return err
			}
		case <-time.After(30 * time.Second):
			return errors.New("nothing comes any more")
		}
	}
	return l.nc.Flush()
}

func (l *forwardLoop) take(m *nats.Msg) error {
	if !strings.HasPrefix(m.Subject, l.out) {
		if m.Reply == "" {
			return nil // the end of a pull
		}
		l.got++
		number := strconv.Itoa(l.got)
		out := &nats.Msg{Subject: l.subject, Reply: l.out + number, Data: m.Data, Header: m.Header}
		out.Header.Set(nats.MsgIdHdr, number)
		l.acks[out.Reply] = m.Reply
		if err := l.nc.PublishMsg(out); err != nil {
			return err
		}
		if l.got%(forwardPull/2) == 0 {
			return l.pull()
		}
		return nil
	}
	reply, known := l.acks[m.Subject]
	if !known || len(m.Data) < 10 || string(m.Data[:10]) != `{"stream":` {
		return fmt.Errorf("the stream answered %.200q", m.Data)
	}
	delete(l.acks, m.Subject)
	l.stored++
	return l.nc.Publish(reply, []byte("+ACK"))
}

// runForwardWorker is the product: source, lanes, the nats flusher.
func runForwardWorker(env benchEnv) error {
	to, remove, err := env.forwardTo()
	if err != nil {
		return err
	}
	defer remove()
	if err := env.createConsumer(); err != nil {
		return err
	}
	kind := natsflusher.Kind()
	options := option.FromAny(map[string]any{"url": env.url, "stream": to, "subject": to + ".{logstore}"})
	fresh := kind.New
	create := func() flushers.Flusher {
		f := fresh()
		option.Decode(options, f)
		return f
	}
	kind = kind.As(create())
	kind.New = create
	w, err := newWorker(kind, nil)
	if err != nil {
		return err
	}
	return env.consume(w, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}
