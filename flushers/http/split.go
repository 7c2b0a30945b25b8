package http

import (
	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/formats"
	"github.com/flushline/flushline/protocol"
)

// request is what is sent at once. Groups stand in it in the order of the batch.
type request struct {
	place  *place
	groups []*protocol.LogGroup // with those of their logs that are sent; nil if raw is all there is
	raw    [][]byte             // as many, if the batch had them
	pieces []piece              // as many
}

// piece says what of the batch an element of a request is.
type piece struct {
	group int
	logs  []int // nil: all
}

// splitter makes requests of a batch.
type splitter struct {
	f       *Flusher
	b       *flushers.Batch
	places  map[string]*place
	open    map[string]*request // that more can be added to
	all     []*request
	refused map[int]error
	buf     []byte
}

// count is of the groups of a batch.
func count(b *flushers.Batch) int { return max(len(b.Groups), len(b.Raw)) }

// split makes the requests of a batch, and says which groups cannot be sent at all.
func (f *Flusher) split(b *flushers.Batch) (all []*request, refused map[int]error) {
	if f.fixed != nil && f.Request == perBatch && !f.writer.PerLog() {
		r := &request{place: f.fixed, groups: b.Groups, raw: b.Raw, pieces: make([]piece, count(b))}
		for i := range r.pieces {
			r.pieces[i].group = i
		}
		return []*request{r}, nil
	}
	s := &splitter{f: f, b: b, places: map[string]*place{}, open: map[string]*request{}, refused: map[int]error{}}
	for i := range count(b) {
		if f.Request == perGroup {
			clear(s.open)
		}
		if err := s.group(i); err != nil {
			s.refused[i] = err
			s.withdraw(i)
		}
	}
	return s.all, s.refused
}

// group adds one. An error says that it cannot be sent as a whole.
func (s *splitter) group(i int) error {
	var g *protocol.LogGroup
	if i < len(s.b.Groups) {
		g = s.b.Groups[i]
	}
	v := &protocol.TemplateVars{Group: g}
	if !s.f.writer.PerLog() && !s.f.templates.logs {
		p, err := s.place(v)
		if err == nil {
			s.whole(i, g, p)
			return nil
		}
		if s.f.Format == formats.LogGroup {
			return err // perhaps its logs have the tag, but it is sent as it is
		}
	}
	for n, l := range g.Logs {
		if l == nil {
			continue
		}
		v.Log, v.Time = l, l.Time
		p, err := s.place(v)
		if err != nil {
			return err
		}
		s.log(i, n, g, l, p)
	}
	return nil
}

// place is that of a log; logs that make the placeholders the same have the same.
func (s *splitter) place(v *protocol.TemplateVars) (*place, error) {
	if s.f.fixed != nil {
		return s.f.fixed, nil
	}
	v.Key, v.Host = s.f.key, s.f.hostname
	var err error
	if s.buf, err = s.f.templates.tell(s.buf[:0], v, s.f.Missing); err == nil {
		if p := s.places[string(s.buf)]; p != nil {
			return p, nil
		}
	}
	p, err := s.f.place(v) // whose error says which option it is
	if err == nil {
		p.id = string(s.buf)
		s.places[p.id] = p
	}
	return p, err
}

func (s *splitter) whole(i int, g *protocol.LogGroup, p *place) {
	if g != nil && len(g.Logs) == 0 && s.f.Format != formats.LogGroup {
		return // it has no lines: nothing to store
	}
	r := s.at(p)
	r.pieces = append(r.pieces, piece{group: i})
	if g != nil {
		r.groups = append(r.groups, g)
	}
	if i < len(s.b.Raw) {
		r.raw = append(r.raw, s.b.Raw[i])
	}
}

func (s *splitter) log(i, n int, g *protocol.LogGroup, l *protocol.Log, p *place) {
	if s.f.writer.PerLog() {
		delete(s.open, p.id)
	}
	r := s.at(p)
	last := len(r.pieces) - 1
	if last < 0 || r.pieces[last].group != i {
		r.pieces = append(r.pieces, piece{group: i})
		r.groups = append(r.groups, &protocol.LogGroup{
			Category: g.Category, Topic: g.Topic, Source: g.Source, MachineUUID: g.MachineUUID, LogTags: g.LogTags,
		})
		last++
	}
	r.pieces[last].logs = append(r.pieces[last].logs, n)
	r.groups[last].Logs = append(r.groups[last].Logs, l)
}

func (s *splitter) at(p *place) *request {
	r := s.open[p.id]
	if r == nil {
		r = &request{place: p}
		s.open[p.id] = r
		s.all = append(s.all, r)
	}
	return r
}

// withdraw takes a group out of the requests that it is in already.
func (s *splitter) withdraw(i int) {
	for _, r := range s.all {
		if last := len(r.pieces) - 1; last >= 0 && r.pieces[last].group == i {
			r.pieces, r.groups = r.pieces[:last], r.groups[:last]
		}
	}
}
