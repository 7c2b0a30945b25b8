// Package put is the example of docs/WRITING-A-FLUSHER.md: a flusher that stores
// each LogGroup as one object, by an HTTP PUT to a URL that ends in the group's
// ID. It suits WebDAV servers and object stores that take such a request.
//
// # Stored
//
// An object is stored when the server answers 200, 201 or 204. What the server
// does before it answers so is its side of the promise: a server that keeps
// uploads in memory loses with its machine what flushline has acknowledged.
package put

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

const summary = "Stores each LogGroup as an object of JSON lines, by HTTP PUT under its ID."

// Kind is the kind "put".
func Kind() flushers.Kind {
	return flushers.Kind{
		Name:    "put",
		Summary: summary,
		New: func() flushers.Flusher {
			return &Flusher{Timeout: 10 * time.Second, Concurrency: 1}
		},
		Durability:    flushers.Durable,
		Idempotence:   flushers.PerGroup, // the same group is the same URL, whatever the batch
		Atomic:        false,             // a failed Flush may have stored some groups
		NoRetain:      true,              // the request carries a copy
		TestedAgainst: "net/http servers on loopback",
		Docs:          docs(),
	}
}

// Flusher is one instance; its exported fields are the options.
type Flusher struct {
	URL         protocol.Template `option:"url,required" help:"Where the objects go; the ID of the group and .jsonl are appended. Placeholders below the host: project, logstore, config, date (of the first log), tag." example:"https://dav.example.com/logs/{project}/{logstore}"`
	Token       option.Secret     `option:"token" help:"Token of bearer authentication."`
	Timeout     time.Duration     `option:"timeout" min:"10ms" help:"How long one request may take."`
	Concurrency int               `option:"concurrency" min:"1" max:"64" help:"Flush calls of one lane at a time. More than 1 gives up the order of a lane."`

	key     protocol.Key
	runtime context.Context
	server  *server
	release func()
	stored  flushers.Counter
}

var (
	_ flushers.BatchFlusher = (*Flusher)(nil)
	_ flushers.Concurrent   = (*Flusher)(nil)
	_ flushers.Hinter       = (*Flusher)(nil)
	_ flushers.Bounded      = (*Flusher)(nil)
	_ option.Validator      = (*Flusher)(nil)
)

// Init joins the connections to the host. It does not dial: a server that is down
// is told by Flush, and the lane is there when it comes back.
func (f *Flusher) Init(c flushers.Context) (err error) {
	f.key = protocol.Key{Project: c.GetProject(), Logstore: c.GetLogstore(), Config: c.GetConfigName()}
	f.runtime = c.GetRuntimeContext()
	f.stored = c.Metrics().Counter("objects_total", "Objects that the server said it stored.")
	f.server, f.release, err = f.connect(c)
	return err
}

// Description says what the kind does.
func (f *Flusher) Description() string { return summary }

// IsReady is false for a second after the host could not be reached.
func (f *Flusher) IsReady(string, string, int64) bool {
	return time.Now().UnixNano() >= f.server.awayUntil.Load()
}

// Flush is for callers without IDs. The worker is none: it calls FlushBatch, where a
// repetition finds the same names.
func (f *Flusher) Flush(project, logstore, config string, groups []*protocol.LogGroup) error {
	b := &flushers.Batch{
		Project: project, Logstore: logstore, Config: config,
		Groups: groups, IDs: make([]protocol.ID, len(groups)), Attempt: 1,
	}
	for i := range b.IDs {
		_, _ = rand.Read(b.IDs[i].Origin[:]) // it never fails
	}
	return f.FlushBatch(f.runtime, b)
}

// FlushBatch stores the groups one after the other.
func (f *Flusher) FlushBatch(ctx context.Context, b *flushers.Batch) error {
	failed := map[int]error{}
	for i, g := range b.Groups {
		err := f.store(ctx, b.IDs[i], g)
		if err == nil {
			continue
		}
		failed[i] = err
		if class, _ := flushers.Classify(err); class == flushers.ClassPermanent || class == flushers.ClassTooLarge {
			continue // this group is to blame, the next may go
		}
		for j := i + 1; j < len(b.Groups); j++ {
			failed[j] = err // not tried: the same would happen
		}
		break
	}
	if len(failed) == 0 {
		return nil
	}
	return &flushers.PartialError{Failed: failed}
}

// BatchHint keeps a Flush of one request a group well below flush_timeout.
func (f *Flusher) BatchHint() flushers.Hint { return flushers.Hint{Groups: 64} }

// Bound has a timeout warned about that flush_timeout would cut.
func (f *Flusher) Bound() (name string, limit time.Duration) { return "timeout", f.Timeout }

// Concurrent is asked once, after Init.
func (f *Flusher) Concurrent() int { return f.Concurrency }

// SetUrgent changes nothing: nothing is ever held back.
func (f *Flusher) SetUrgent(bool) {}

// Stop leaves the shared connections.
func (f *Flusher) Stop() error {
	f.release()
	return nil
}

// connect joins what all lanes of the process toward one host share.
func (f *Flusher) connect(c flushers.Context) (*server, func(), error) {
	host, err := f.host()
	if err != nil {
		return nil, nil, flushers.Misconfigured(err)
	}
	v, release, err := c.Shared(host, newServer)
	if err != nil {
		return nil, nil, err
	}
	return v.(*server), release, nil
}

// store puts one group. Its error says whether this group or all data is meant.
func (f *Flusher) store(ctx context.Context, id protocol.ID, g *protocol.LogGroup) error {
	if len(g.Logs) == 0 {
		return nil // nothing to store
	}
	target, err := f.target(id, g)
	if err != nil {
		return flushers.Permanent(err) // a tag is missing: no retry adds it
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	a, err := f.server.put(ctx, target, f.Token, protocol.AppendJSONLines(nil, g))
	if err != nil {
		return err
	}
	if err := judge(target, a); err != nil {
		return err
	}
	f.stored.Add(1)
	return nil
}

// judge turns an answer into what the worker does next.
func judge(target string, a *answer) error {
	err := fmt.Errorf("couldn't store %s: the server answered %s %q", target, a.status, a.said)
	switch {
	case a.code == http.StatusOK, a.code == http.StatusCreated, a.code == http.StatusNoContent:
		return nil
	case a.code == http.StatusTooManyRequests, a.code == http.StatusServiceUnavailable:
		if a.retryAfter > 0 {
			return flushers.RetryAfter(err, a.retryAfter)
		}
		return err
	case a.code == http.StatusRequestTimeout, a.code >= 500:
		return err
	case a.code == http.StatusRequestEntityTooLarge:
		return flushers.TooLarge(err)
	case a.code == http.StatusBadRequest, a.code == http.StatusUnprocessableEntity:
		return flushers.Permanent(err)
	}
	// 401, 403, 404, 409 (no such directory), redirects, and 202, which is a
	// promise but no stored object: somebody has to mend the entry or the server.
	return flushers.Misconfigured(err)
}
