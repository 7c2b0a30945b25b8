package elasticsearch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/clock"
)

// cluster is what lanes share that go to the same addresses in the same way. Safe for
// concurrent use.
type cluster struct {
	nodes   []*node
	header  nethttp.Header
	gzip    bool
	timeout time.Duration
	most    int64 // bytes of a request
	turn    atomic.Uint64
	lines   []*line

	found     atomic.Int64 // bytes that a server took, once one said that a request is too large; 0: none did
	foundTill atomic.Int64 // of package clock
}

// node is one address.
type node struct {
	dest *web.Destination
	url  *url.URL
}

// line is one of the requests that may run at a time, and what waits for it.
type line struct {
	commit  *flushers.GroupCommit[*job]
	waiting atomic.Int64 // bytes
}

// maxAnswer is more than an answer to maxDocs logs that all failed with long reasons.
const (
	maxDocs   = 20_000
	maxAnswer = 16 << 20
)

// where is what tells clusters apart in names.
func (f *Flusher) where() string { return strings.Join(f.Addresses, " ") }

// connect joins the addresses and the requests of all lanes with the same options.
func (f *Flusher) connect(c flushers.Context) error {
	nodes := make([]*node, len(f.Addresses))
	for i, a := range f.Addresses {
		u, err := url.Parse(trimmed(a) + "/_bulk")
		if err != nil {
			return flushers.Misconfigured(err)
		}
		u.RawQuery = f.query()
		d, release, err := web.Share(c, "elasticsearch", web.Options{
			BaseURL: a, TLS: f.trust(), MaxIdleConns: f.Bulks, MaxAnswer: maxAnswer, AnswerTime: f.Timeout,
		})
		if err != nil {
			return err
		}
		f.releases = append(f.releases, release)
		nodes[i] = &node{dest: d, url: u}
	}
	options, err := json.Marshal([]any{f.Addresses, f.header(), f.query(), f.trust(), f.Timeout, f.MaxBody, f.Bulks, f.JoinWait})
	if err != nil {
		return fmt.Errorf("couldn't name the connections: %w", err)
	}
	sum := sha256.Sum256(options)
	v, release, err := c.Shared("elasticsearch/bulk/"+hex.EncodeToString(sum[:]), func() (io.Closer, error) { return f.newCluster(nodes), nil })
	if err != nil {
		return err
	}
	f.releases = append(f.releases, release)
	shared, ok := v.(*cluster)
	if !ok {
		return fmt.Errorf("couldn't share bulk requests: another kind uses their key with a %T", v)
	}
	f.cluster = shared
	return nil
}

func (f *Flusher) newCluster(nodes []*node) *cluster {
	c := &cluster{
		nodes: nodes, header: f.header(), gzip: f.Compression == "gzip", timeout: f.Timeout, most: int64(f.MaxBody),
	}
	for range f.Bulks {
		c.lines = append(c.lines, &line{commit: flushers.NewGroupCommit(flushers.CommitLimits{
			Linger: f.JoinWait, Bytes: int64(f.MaxBody),
		}, c.write)})
	}
	return c
}

// Close ends the requests that run.
func (c *cluster) Close() error {
	var errs []error
	for _, l := range c.lines {
		errs = append(errs, l.commit.Close())
	}
	return errors.Join(errs...)
}

// join waits for the request that carries the job, in the line where least waits.
func (c *cluster) join(ctx context.Context, j *job, urgent bool) error {
	least := c.lines[0]
	for _, l := range c.lines[1:] {
		if l.waiting.Load() < least.waiting.Load() {
			least = l
		}
	}
	size := int64(len(j.body.b))
	least.waiting.Add(size)
	defer least.waiting.Add(-size)
	return least.commit.Join(ctx, j, size, urgent)
}

func (c *cluster) ready() bool {
	for _, n := range c.nodes {
		if n.dest.Ready() {
			return true
		}
	}
	return false
}

// inTurn are the nodes to try: each begins in turn, and those that are not ready are
// left out while there is one that is.
func (c *cluster) inTurn() []*node {
	if len(c.nodes) == 1 {
		return c.nodes
	}
	first := int(c.turn.Add(1) % uint64(len(c.nodes)))
	var ready []*node
	all := append(append([]*node(nil), c.nodes[first:]...), c.nodes[:first]...)
	for _, n := range all {
		if n.dest.Ready() {
			ready = append(ready, n)
		}
	}
	if len(ready) > 0 {
		return ready
	}
	return all
}

// unsent says that a request did not reach the server, so that another may have it.
func unsent(err error) bool {
	var op *net.OpError
	class, _ := flushers.Classify(err)
	return errors.As(err, &op) && op.Op == "dial" || class == flushers.ClassMisconfigured
}

// foundFor is how long a limit is kept that a server was found to have.
const foundFor = 10 * time.Minute

// limit is how large a request may be.
func (c *cluster) limit() int {
	if found := c.found.Load(); found > 0 && clock.Now() < c.foundTill.Load() {
		return int(min(found, c.most))
	}
	return int(c.most)
}

// tooLarge notes that a server found a request of that size too large.
func (c *cluster) tooLarge(size int) {
	c.found.Store(int64(max(size/2, 1)))
	c.foundTill.Store(clock.Now() + int64(foundFor))
}
