//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/elasticsearch"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/protocol"
)

// searchSuite compares a worker that stores logs in Elasticsearch with a loop that does
// no more than it has to: receive, decode, append, send, read the answer, acknowledge.
// The server is a stub in a process of its own, which answers as the real ones do.
func searchSuite(short bool) ([]benchCase, func(), error) {
	n, rounds := 1, 4
	if short {
		n, rounds = 4, 2
	}
	to := &searchTarget{benchServer: &benchServer{}}
	c := speedCase{"elasticsearch, 4KB, 50 lanes", load{"SEARCH50", 160_000 / n, 4000, 50, 0}, rounds, 1.3, 0}
	return []benchCase{{c.name, func() (bool, error) {
		if err := to.startStub(); err != nil {
			return false, err
		}
		return c.run(to)
	}}}, to.stop, nil
}

// searchTarget is a nats-server and a stub.
type searchTarget struct {
	*benchServer
	stub *exec.Cmd
}

func (t *searchTarget) roles() (raw, worker string) { return "search-raw", "search-worker" }

// stubURL is where the consumers post.
const stubURL = "BENCH_STUB"

func (t *searchTarget) startStub() error {
	t.stub = role("search-stub", nil)
	out, err := t.stub.StdoutPipe()
	if err != nil {
		return err
	}
	t.stub.Stderr = os.Stderr
	if err := t.stub.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the stub did not start: %w", err)
	}
	return os.Setenv(stubURL, strings.TrimSpace(line))
}

func (t *searchTarget) stop() {
	if t.stub != nil {
		_ = t.stub.Process.Kill() // it holds nothing
		_ = t.stub.Wait()
	}
	t.benchServer.stop()
}

// runSearchStub answers each bulk as if it had stored every log.
func runSearchStub() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut off
		}
		var answer bytes.Buffer
		answer.WriteString(`{"errors":false,"items":[`)
		for i := range bytes.Count(body, []byte{'\n'}) / 2 {
			if i > 0 {
				answer.WriteByte(',')
			}
			answer.WriteString(`{"create":{"status":201}}`)
		}
		answer.WriteString(`]}`)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(answer.Len()))
		_, _ = w.Write(answer.Bytes()) // a client that went away is its own loss
	})}
	return s.Serve(l)
}

// searchShape is how both write documents.
func searchShape() *protocol.JSONShape {
	j := formats.DefaultJSON()
	j.Shape, j.TimeFormat, j.FieldNames = formats.Flatten, formats.RFC3339, map[string]string{"time": "@timestamp"}
	j.TagNames = map[string]string{"host.ip": "host_ip", "log.topic": "log_topic"}
	return j.Compile(true)
}

func runSearchWorker(env benchEnv) error {
	index, err := protocol.CompileTemplate("logs-{logstore}")
	if err != nil {
		return err
	}
	k := elasticsearch.Kind()
	inner := k.New
	k.New = func() flushers.Flusher {
		f := inner()
		if e, ok := f.(*elasticsearch.Flusher); ok {
			e.Addresses, e.Index = []string{os.Getenv(stubURL)}, *index
		}
		return f
	}
	return env.runWorker(k)
}

// bulkSize is what the loop collects before it sends: as much as the worker's requests
// have when lanes share them.
const bulkSize = 1 << 20

// searchLoop is the rival.
type searchLoop struct {
	nc     *nats.Conn
	url    string
	shape  *protocol.JSONShape
	client http.Client

	groups []protocol.Group
	slabs  protocol.Slabs
	limits protocol.Limits
	body   []byte
	held   []string // replies of messages whose logs are in body
}

func runSearchRaw(env benchEnv) error {
	if err := env.createConsumer(); err != nil {
		return err
	}
	nc, err := nats.Connect(env.url)
	if err != nil {
		return err
	}
	defer nc.Close()
	l := &searchLoop{nc: nc, url: os.Getenv(stubURL) + "/_bulk", shape: searchShape()}
	const batch = 2048
	inbox, next := nats.NewInbox(), "$JS.API.CONSUMER.MSG.NEXT."+env.load.Stream+"."+env.durable
	request := fmt.Appendf(nil, `{"batch":%d,"expires":%d}`, batch/2, 30*time.Second)
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return err
	}
	for range 2 {
		if err := nc.PublishRequest(next, inbox, request); err != nil {
			return err
		}
	}
	for got := 0; got < env.load.Messages; {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			return err
		}
		if m.Reply == "" {
			continue
		}
		if err := l.take(m, got); err != nil {
			return err
		}
		if got++; got%(batch/2) == 0 {
			if err := nc.PublishRequest(next, inbox, request); err != nil {
				return err
			}
		}
		if len(l.body) >= bulkSize || got == env.load.Messages {
			if err := l.send(); err != nil {
				return err
			}
		}
	}
	return nc.Flush()
}

func (l *searchLoop) take(m *nats.Msg, n int) error {
	_, gs, err := protocol.Scan(m.Data, protocol.FormatLogGroup, protocol.EncodingNone, &l.limits, l.groups[:0])
	if err != nil {
		return err
	}
	l.groups = gs
	l.slabs.Reset()
	for i := range gs {
		id := protocol.ID{Group: uint32(n)}
		l.body = l.shape.AppendBehind(l.body, l.slabs.Decode(&gs[i]), func(dst []byte, log int) []byte {
			dst = append(append(dst, `{"create":{"_index":"logs-`...), m.Header.Get(protocol.HeaderLogstore)...)
			return append(id.AppendLog(append(dst, `","_id":"`...), log), "\"}}\n"...)
		}, '\n')
	}
	l.held = append(l.held, m.Reply)
	return nil
}

func (l *searchLoop) send() error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, []byte(`"errors":false`)) {
		return errors.New("the stub did not store")
	}
	for _, reply := range l.held {
		if err := l.nc.Publish(reply, []byte("+ACK")); err != nil {
			return err
		}
	}
	l.body, l.held = l.body[:0], l.held[:0]
	return nil
}
