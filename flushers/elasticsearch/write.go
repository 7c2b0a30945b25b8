package elasticsearch

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/web"
	"github.com/flushline/flushline/internal/mutant"
	"github.com/flushline/flushline/protocol"
)

// piece is logs of one job that go into one request.
type piece struct {
	job      *job
	from, to int
}

func (p *piece) bytes() []byte { return p.job.body.b[p.job.docs[p.from].at:p.job.end(p.to-1)] }

// request is the pieces of one bulk request.
type request struct {
	pieces []piece
	docs   int
	size   int
}

func (r *request) add(p piece) {
	r.pieces = append(r.pieces, p)
	r.docs += p.to - p.from
	r.size += len(p.bytes())
}

// write sends jobs, in as many requests as it takes, and gives each its result.
func (c *cluster) write(ctx context.Context, jobs []*job) error {
	var r request
	for _, j := range jobs {
		for from := 0; from < len(j.docs); {
			to := j.fit(from, maxDocs-r.docs, c.limit()-r.size)
			if to == from && r.docs > 0 {
				c.send(ctx, &r)
				r = request{}
				continue
			}
			to = max(to, from+1)
			r.add(piece{j, from, to})
			from = to
		}
	}
	if r.docs > 0 {
		c.send(ctx, &r)
	}
	failed := map[int]error{}
	for i, j := range jobs {
		if err := j.result(); err != nil {
			failed[i] = err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &flushers.PartialError{Failed: failed}
}

// send sends a request, in halves if the server finds it too large, and notes what
// became of each log.
func (c *cluster) send(ctx context.Context, r *request) {
	a, from, err := c.post(ctx, r)
	if err != nil {
		r.fail(err)
		return
	}
	if a.Status >= 200 && a.Status < 300 {
		c.judge(r, a, from)
		return
	}
	if !tooMuch(a, r.size) {
		r.fail(refusal(a, from, r.attempt()))
		return
	}
	c.tooLarge(r.size)
	if r.docs == 1 {
		r.fail(flushers.TooLarge(said(a, from)))
		return
	}
	r.pieces[0].job.meters.split.Add(1)
	one, other := r.halves()
	c.send(ctx, one)
	c.send(ctx, other)
}

// judge reads the answer to a request that was taken.
func (c *cluster) judge(r *request, a *web.Answer, from string) {
	if mutant.On(mutant.ElasticItems) {
		return
	}
	sum, err := sumUp(a.Body, r.docs)
	if err == nil && !a.Whole {
		err = errCut
	}
	if err != nil {
		r.fail(fmt.Errorf("couldn't believe what %s answered to a bulk of %d logs: %w", from, r.docs, err))
		return
	}
	if sum.fine {
		r.stored()
		return
	}
	items := reader{in: a.Body}
	for i := range r.pieces {
		r.pieces[i].judge(&items, from)
	}
}

// post sends a request to the first node that takes connections.
func (c *cluster) post(ctx context.Context, r *request) (a *web.Answer, from string, err error) {
	b, part, err := c.packed(r)
	if err != nil {
		return nil, "", err
	}
	defer b.drop()
	m := r.pieces[0].job.meters
	for _, n := range c.inTurn() {
		m.requests.Add(1)
		m.bytes.Add(int64(r.size))
		if a, err = c.postTo(ctx, n, b, part); err == nil || !unsent(err) {
			return a, web.Shown(n.url), err
		}
	}
	return nil, "", err
}

// packed is the bytes of a request, in a buffer that the caller has to drop.
func (c *cluster) packed(r *request) (b *buffer, part []byte, err error) {
	p := &r.pieces[0]
	if len(r.pieces) == 1 && !c.gzip {
		p.job.body.hold()
		return p.job.body, p.bytes(), nil
	}
	if b = newBuffer(); len(r.pieces) == 1 {
		b.b, err = protocol.Compress(b.b, p.bytes(), protocol.EncodingGzip)
		return b, b.b, err
	}
	for i := range r.pieces {
		b.b = append(b.b, r.pieces[i].bytes()...)
	}
	if !c.gzip {
		return b, b.b, nil
	}
	defer b.drop()
	zipped := newBuffer()
	zipped.b, err = protocol.Compress(zipped.b, b.b, protocol.EncodingGzip)
	return zipped, zipped.b, err
}

func (c *cluster) postTo(ctx context.Context, n *node, b *buffer, part []byte) (*web.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req := (&nethttp.Request{
		Method: nethttp.MethodPost, URL: n.url, Host: n.url.Host, Header: c.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: b.body(part), ContentLength: int64(len(part)),
		GetBody: func() (io.ReadCloser, error) { return b.body(part), nil },
	})
	a, err := n.dest.Do(ctx, req)
	if err == nil {
		n.heed(a)
	}
	return a, err
}

// fail notes that no log of the request was stored, as far as we know.
func (r *request) fail(err error) {
	for i := range r.pieces {
		p := &r.pieces[i]
		count(p.job.meters, err, p.to-p.from)
		for d := p.from; d < p.to; d++ {
			p.job.verdicts[p.job.docs[d].group].add(err)
		}
	}
}

// stored notes that all logs of the request are.
func (r *request) stored() {
	for i := range r.pieces {
		p := &r.pieces[i]
		p.job.meters.stored.Add(int64(p.to - p.from))
	}
}

// attempt is the highest of the jobs.
func (r *request) attempt() int {
	n := 1
	for i := range r.pieces {
		n = max(n, r.pieces[i].job.attempt)
	}
	return n
}

// halves are the request in two, each with half of the logs.
func (r *request) halves() (one, other *request) {
	one, other = new(request), new(request)
	half := r.docs / 2
	for _, p := range r.pieces {
		first := min(p.to-p.from, half-one.docs)
		if first > 0 {
			one.add(piece{p.job, p.from, p.from + first})
		}
		if p.from+max(first, 0) < p.to {
			other.add(piece{p.job, p.from + max(first, 0), p.to})
		}
	}
	return one, other
}
