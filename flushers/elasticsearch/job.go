package elasticsearch

import (
	"math"
	"sort"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// job is one batch on its way: its lines, and what became of its groups.
type job struct {
	body     *buffer // an action line and a document line for each log
	docs     []doc
	verdicts []verdict // by group
	create   bool      // what is there already is stored
	attempt  int
	meters   *meters
}

// doc is one log.
type doc struct {
	at    int // where its lines begin
	group int32
}

// encode writes the lines of a batch. A group without a name for each of its logs
// writes none.
func (f *Flusher) encode(b *flushers.Batch) *job {
	ids := f.IDs && len(b.IDs) == len(b.Groups)
	j := &job{
		body: newBuffer(), verdicts: make([]verdict, len(b.Groups)),
		create: ids && f.Operation == Create, attempt: b.Attempt, meters: f.meters,
	}
	logs := 0
	for _, g := range b.Groups {
		logs += len(g.Logs)
	}
	j.docs = make([]doc, 0, logs)
	w := writer{f: f, j: j, vars: protocol.TemplateVars{Key: f.key, Host: f.host}}
	for i, g := range b.Groups {
		if err := w.name(g); err != nil {
			j.verdicts[i].add(err)
			continue
		}
		w.group = int32(i)
		w.id = w.id[:0]
		if ids {
			w.id = append(b.IDs[i].AppendTo(append(w.id, `","_id":"`...)), '-')
		}
		j.body.b = f.shape.AppendBehind(j.body.b, g, w.before, '\n')
	}
	return j
}

// writer writes the action lines of a batch.
type writer struct {
	f     *Flusher
	j     *job
	vars  protocol.TemplateVars
	group int32
	names []string // of the group's logs, if they differ
	one   string   // otherwise
	id    []byte   // of the group, as it stands in an action line; empty: none
}

// name finds the indices of a group's logs.
func (w *writer) name(g *protocol.LogGroup) (err error) {
	w.vars.Group, w.vars.Log = g, nil
	if !w.f.namer.PerLog() {
		if w.one == "" {
			w.one, err = w.f.namer.Name(&w.vars)
		}
		return err
	}
	var same bool
	if w.names, same, err = w.f.namer.Logs(w.names[:0], &w.vars); err != nil || !same {
		w.one = ""
		return err
	}
	for _, name := range w.names {
		if name != "" {
			w.one = name
			break
		}
	}
	return nil
}

// before appends the action line of a log. Names have nothing that JSON would escape.
func (w *writer) before(dst []byte, log int) []byte {
	w.j.docs = append(w.j.docs, doc{at: len(dst), group: w.group})
	dst = append(dst, w.f.verb...)
	if w.one != "" {
		dst = append(dst, w.one...)
	} else {
		dst = append(dst, w.names[log]...)
	}
	if len(w.id) > 0 {
		dst = appendInt(append(dst, w.id...), log)
	}
	return append(dst, "\"}}\n"...)
}

// end is where the lines of a log end.
func (j *job) end(i int) int {
	if i+1 < len(j.docs) {
		return j.docs[i+1].at
	}
	return len(j.body.b)
}

// fit is the end of as many logs from one on as have room in that many bytes.
func (j *job) fit(from, logs, bytes int) int {
	start := j.docs[from].at
	if bytes > math.MaxInt-start {
		bytes = math.MaxInt - start
	}
	most := min(len(j.docs)-from, logs)
	return from + sort.Search(most, func(n int) bool { return j.end(from+n) > start+bytes })
}

// result is what FlushBatch returns.
func (j *job) result() error {
	failed := map[int]error{}
	for i := range j.verdicts {
		if err := j.verdicts[i].err; err != nil {
			failed[i] = err
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == len(j.verdicts) && j.together():
		return j.verdicts[0].err
	}
	return &flushers.PartialError{Failed: failed}
}

// together says that all groups failed with one error that is not about their data.
func (j *job) together() bool {
	for i := range j.verdicts {
		if j.verdicts[i] != j.verdicts[0] {
			return false
		}
	}
	return j.verdicts[0].worst > ofData
}
