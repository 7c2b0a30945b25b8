//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/http"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// httpCases compare the http flusher with 64 requests in flight with a loop that does
// nothing but the same receiving, decoding, appending, sending and reading of answers.
func httpCases(srv *benchServer, short bool) []benchCase {
	n, rounds := 40_000, 4
	if short {
		n, rounds = 10_000, 2
	}
	c := speedCase{"http, 64 in flight", load{"HTTP", n, 20_000, 1, 0}, rounds, 1.3, 0}
	return []benchCase{{c.name, func() (bool, error) {
		url, stop, err := sink()
		if err != nil {
			return false, err
		}
		defer stop()
		return c.run(httpTarget{srv, url})
	}}}
}

const (
	httpInFlight = 64
	httpBatch    = 8 // groups of a request, of the worker as of the loop
)

// httpTarget is the NATS server, with an HTTP server behind the consumers.
type httpTarget struct {
	*benchServer
	sink string
}

func (t httpTarget) address() string             { return t.url + " " + t.sink }
func (t httpTarget) roles() (raw, worker string) { return "http-raw", "http-worker" }

// sink answers 200 to whatever it has read, in this process: what it costs is nobody's.
func sink() (url string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s := &nethttp.Server{ReadHeaderTimeout: time.Minute, Handler: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"stored":true}`)
	})}
	go func() { _ = s.Serve(l) }()
	return "http://" + l.Addr().String() + "/in", func() { _ = s.Close() }, nil
}

// parted takes the address of httpTarget apart.
func (env benchEnv) parted() (own benchEnv, sink string, err error) {
	_, err = fmt.Sscan(env.url, &env.url, &sink)
	return env, sink, err
}

func runHTTPWorker(env benchEnv) error {
	env, sink, err := env.parted()
	if err != nil {
		return err
	}
	if err := env.createConsumer(); err != nil {
		return err
	}
	k := http.Kind()
	w, err := newWorker(k, func(c *worker.Config) {
		e := &c.Routes[0].Flushers[0]
		e.Batch.Groups = httpBatch
		e.New = func() flushers.Flusher {
			f := k.New().(*http.Flusher)
			f.URL, f.InFlight = sink, httpInFlight
			return f
		}
	})
	if err != nil {
		return err
	}
	return env.consume(w, func(st *worker.Status) bool {
		return len(st.Sources) > 0 && st.Sources[0].Acknowledged >= int64(env.load.Messages)
	})
}

// runHTTPRaw is the rival: as many goroutines as requests in flight, each of which decodes
// a few messages into memory of its own, writes them as lines, posts and acknowledges them.
func runHTTPRaw(env benchEnv) error {
	env, sink, err := env.parted()
	if err != nil {
		return err
	}
	if err := env.createConsumer(); err != nil {
		return err
	}
	nc, err := nats.Connect(env.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	const batch = 2 * httpInFlight * httpBatch
	inbox, next := nats.NewInbox(), "$JS.API.CONSUMER.MSG.NEXT."+env.load.Stream+"."+env.durable
	request := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, batch/2, 30*time.Second)
	messages := make(chan *nats.Msg, 2*batch)
	var got int
	sub, err := nc.Subscribe(inbox, func(m *nats.Msg) {
		if m.Reply == "" {
			return
		}
		messages <- m
		if got++; got == env.load.Messages {
			close(messages)
		} else if got%(batch/2) == 0 {
			_ = nc.PublishRequest(next, inbox, request)
		}
	})
	if err != nil {
		return err
	}
	if err := errors.Join(sub.SetPendingLimits(-1, -1), nc.PublishRequest(next, inbox, request), nc.PublishRequest(next, inbox, request)); err != nil {
		return err
	}
	client := &nethttp.Client{Transport: &nethttp.Transport{MaxIdleConnsPerHost: httpInFlight}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var failed atomic.Pointer[error]
	var posters sync.WaitGroup
	for range httpInFlight {
		posters.Go(func() {
			p := poster{client: client, url: sink, nc: nc}
			if err := p.run(messages); err != nil {
				failed.Store(&err)
			}
		})
	}
	posters.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nc.Flush()
}

type poster struct {
	client *nethttp.Client
	url    string
	nc     *nats.Conn
	groups []protocol.Group
	slabs  protocol.Slabs
	lim    protocol.Limits
	body   []byte
	held   []*nats.Msg
}

func (p *poster) run(messages <-chan *nats.Msg) error {
	for m := range messages {
		p.held, p.body = append(p.held[:0], m), p.body[:0]
		for len(p.held) < httpBatch {
			m, more := <-messages
			if !more {
				break
			}
			p.held = append(p.held, m)
		}
		for _, m := range p.held {
			if err := p.add(m.Data); err != nil {
				return err
			}
		}
		if err := p.post(); err != nil {
			return err
		}
		for _, m := range p.held {
			if err := p.nc.Publish(m.Reply, []byte("+ACK")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *poster) add(value []byte) error {
	_, gs, err := protocol.Scan(value, protocol.FormatLogGroup, protocol.EncodingNone, &p.lim, p.groups[:0])
	if err != nil {
		return err
	}
	p.groups = gs
	p.slabs.Reset()
	for i := range gs {
		p.body = protocol.AppendJSONLines(p.body, p.slabs.Decode(&gs[i]))
	}
	return nil
}

func (p *poster) post() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := nethttp.NewRequestWithContext(ctx, nethttp.MethodPost, p.url, bytes.NewReader(p.body))
	if err != nil {
		return err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != nethttp.StatusOK {
		return fmt.Errorf("the sink answered %s", resp.Status)
	}
	return nil
}
