package file

import (
	"errors"
	"fmt"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// piece is what one Flush appends to one file.
type piece struct {
	path   string
	data   []byte
	groups []int // indexes of the groups that are in it, wholly or in part
}

// splitter collects the pieces of one Flush.
type splitter struct {
	f      *Flusher
	batch  *flushers.Batch
	pieces []*piece
	byPath map[string]*piece
	last   *piece
}

// split encodes a batch for the files that it belongs into. failed are the
// groups that no file can take.
func (f *Flusher) split(b *flushers.Batch) (pieces []*piece, failed map[int]error) {
	s := &splitter{f: f, batch: b}
	failed = map[int]error{}
	for i, g := range b.Groups {
		var err error
		if f.layout.frames {
			err = s.frame(i, g)
		} else {
			err = s.lines(i, g)
		}
		if err != nil {
			failed[i] = err
		}
	}
	return s.pieces, failed
}

// lines appends the logs of a group, each to the file of its own date. A group
// with a log that has no place is refused as a whole, before any is appended.
func (s *splitter) lines(i int, g *protocol.LogGroup) error {
	if s.f.fixed != "" {
		p := s.piece(s.f.fixed, i)
		p.data = s.f.shape.AppendLines(p.data, g)
		return nil
	}
	paths := make([]string, len(g.Logs))
	perLog := s.f.Path.Uses("content") || s.f.Path.Uses("tag")
	last := -1 // the log before
	for n, l := range g.Logs {
		if l == nil {
			continue
		}
		if last >= 0 && l.Time == g.Logs[last].Time && !perLog {
			paths[n] = paths[last]
		} else {
			var err error
			if paths[n], err = s.f.render(g, l); err != nil {
				return err
			}
		}
		last = n
	}
	for n, l := range g.Logs {
		if l != nil {
			p := s.piece(paths[n], i)
			p.data = append(s.f.shape.AppendLog(p.data, g, l), '\n')
		}
	}
	return nil
}

// frame appends a group as it came, if its bytes came with it.
func (s *splitter) frame(i int, g *protocol.LogGroup) error {
	target := s.f.fixed
	if target == "" {
		var first *protocol.Log
		if len(g.Logs) > 0 {
			first = g.Logs[0]
		}
		var err error
		if target, err = s.f.render(g, first); err != nil {
			return err
		}
	}
	var raw []byte
	if i < len(s.batch.Raw) {
		raw = s.batch.Raw[i]
	} else {
		raw = g.AppendMarshal(nil)
	}
	var id protocol.ID
	if i < len(s.batch.IDs) {
		id = s.batch.IDs[i]
	}
	p := s.piece(target, i)
	p.data = protocol.AppendFrame(p.data, id, s.f.key, raw)
	return nil
}

func (s *splitter) piece(path string, group int) *piece {
	p := s.last
	if p == nil || p.path != path {
		if p = s.byPath[path]; p == nil {
			p = &piece{path: path}
			if s.byPath == nil {
				s.byPath = map[string]*piece{}
			}
			s.byPath[path] = p
			s.pieces = append(s.pieces, p)
		}
		s.last = p
	}
	if n := len(p.groups); n == 0 || p.groups[n-1] != group {
		p.groups = append(p.groups, group)
	}
	return p
}

// render fills the template for a log; g and l may be nil.
func (f *Flusher) render(g *protocol.LogGroup, l *protocol.Log) (string, error) {
	v := protocol.TemplateVars{Key: f.key, Host: f.Host, Group: g, Log: l}
	if l != nil {
		v.Time = l.Time
	}
	p, err := f.Path.AppendSafe(nil, &v, appendSafe)
	if err != nil {
		return "", flushers.Permanent(fmt.Errorf("couldn't name the file: %w", err))
	}
	return safePath(string(p)), nil
}

// verdict is nil, one error that all groups share, or which of them failed.
func verdict(failed map[int]error, groups int) error {
	if len(failed) == 0 {
		return nil
	}
	if len(failed) == groups {
		first := failed[0]
		for _, err := range failed {
			if !errors.Is(err, first) {
				return &flushers.PartialError{Failed: failed}
			}
		}
		return first
	}
	return &flushers.PartialError{Failed: failed}
}
