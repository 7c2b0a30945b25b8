package flushertest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

const summary = "Posts groups to the store of a test."

// honest keeps the contract. The cheats are this, but for one thing.
type honest struct {
	URL string `option:"url,required" help:"Where the store is." example:"http://127.0.0.1:80"`

	runtime context.Context
	conns   *conns
	release func()
}

// conns are shared by the lanes of a process.
type conns struct {
	client http.Client
	away   atomic.Int64 // until when not to ask, in Unix nanoseconds
}

func (c *conns) Close() error {
	c.client.CloseIdleConnections()
	return nil
}

func kindOf(f func() flushers.Flusher) flushers.Kind {
	return flushers.Kind{Name: "posts", Summary: summary, New: f, NoRetain: true, TestedAgainst: "the store of a test"}
}

func newHonest() flushers.Flusher { return &honest{} }

func (f *honest) Init(c flushers.Context) error {
	if u, err := url.Parse(f.URL); err != nil || u.Host == "" {
		return flushers.Misconfigured(fmt.Errorf("%q is no URL with a host", f.URL))
	}
	f.runtime = c.GetRuntimeContext()
	v, release, err := c.Shared(f.URL, func() (io.Closer, error) {
		return &conns{client: http.Client{Transport: &http.Transport{}}}, nil
	})
	if err != nil {
		return err
	}
	f.conns, f.release = v.(*conns), release
	return nil
}

func (f *honest) Description() string { return summary }

func (f *honest) IsReady(string, string, int64) bool {
	return time.Now().UnixNano() >= f.conns.away.Load()
}

func (f *honest) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	return f.FlushBatch(f.runtime, &flushers.Batch{Project: project, Logstore: logstore, Config: config, Groups: groups})
}

func (f *honest) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	return f.post(ctx, f.encode(b))
}

func (f *honest) SetUrgent(bool) {}

func (f *honest) Stop() error {
	f.release()
	return nil
}

// encode copies what is stored of a batch.
func (f *honest) encode(b *flushers.Batch) *request {
	r := &request{}
	for i, g := range b.Groups {
		out := group{}
		if i < len(b.IDs) {
			out.ID = b.IDs[i].String()
		} else {
			out.ID = fmt.Sprintf("none-%p-%d", b, i)
		}
		for _, l := range g.Logs {
			if l != nil {
				out.Logs = append(out.Logs, encodeLog(l))
			}
		}
		r.Groups = append(r.Groups, out)
	}
	return r
}

func encodeLog(l *protocol.Log) log {
	out := log{Time: int64(l.Time), Fields: map[string]string{}}
	if l.TimeNs != nil {
		out.Ns = int64(*l.TimeNs)
	}
	for _, c := range l.Contents {
		if c != nil {
			out.Fields[strings.Clone(c.Key)] = strings.Clone(c.Value)
		}
	}
	return out
}

func (f *honest) post(ctx context.Context, r *request) error {
	body, err := json.Marshal(r)
	if err != nil {
		return flushers.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL, bytes.NewReader(body))
	if err != nil {
		return flushers.Misconfigured(err)
	}
	resp, err := f.conns.client.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" && ctx.Err() == nil {
			f.conns.away.Store(time.Now().Add(time.Second).UnixNano())
		}
		return fmt.Errorf("couldn't post to the store: %w", err)
	}
	defer resp.Body.Close()
	return judge(resp)
}

func judge(resp *http.Response) error {
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("couldn't read the store's answer: %w", err)
	}
	answer := fmt.Errorf("the store answered %s: %s", resp.Status, bytes.TrimSpace(said))
	switch resp.StatusCode {
	case http.StatusOK:
		return refusals(said)
	case http.StatusUnauthorized:
		return flushers.Misconfigured(answer)
	case http.StatusRequestEntityTooLarge:
		return flushers.TooLarge(answer)
	case http.StatusUnprocessableEntity:
		return flushers.Permanent(answer)
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return flushers.RetryAfter(answer, time.Duration(seconds)*time.Second)
	}
	return answer
}

// refusals reads which groups the store did not take.
func refusals(said []byte) error {
	var refused map[int]string
	if err := json.Unmarshal(said, &refused); err != nil {
		return fmt.Errorf("couldn't read the store's answer: %w", err)
	}
	if len(refused) == 0 {
		return nil
	}
	failed := map[int]error{}
	for i, why := range refused {
		failed[i] = flushers.Permanent(errors.New(why))
	}
	return &flushers.PartialError{Failed: failed}
}

// spoil makes a group that the store refuses.
func spoil(g *protocol.LogGroup) {
	g.Logs[0].Contents = append(g.Logs[0].Contents, &protocol.Log_Content{Key: poison, Value: "yes"})
}
