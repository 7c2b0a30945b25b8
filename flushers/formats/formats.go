// Package formats is how flushers write logs: as JSON in two shapes (one object, an
// array or lines), as text, or as the bytes of the LogGroup. A kind embeds [Options]
// or [JSON] in its own options, reports their problems in its Validate, and compiles
// them in Init:
//
//	type Flusher struct {
//		URL string `option:"url,required"`
//		formats.Options
//		writer *formats.Writer
//	}
package formats

import (
	"errors"
	"fmt"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/protocol"
)

// The values of the option format.
const (
	JSONL     = "jsonl"
	OneJSON   = "json"
	JSONArray = "jsonarray"
	Raw       = "raw"
	LogGroup  = "loggroup"
)

// Writer writes logs in one format. It does not change and is safe for concurrent
// use. What it appends to is the caller's; nothing of a group is kept.
type Writer struct {
	format string
	shape  *protocol.JSONShape
}

// Raw says that the bytes of a batch are all it needs: the format is loggroup.
func (w *Writer) Raw() bool { return w.format == LogGroup }

// PerLog says that a message, or the body of a request, holds one log: AppendLog
// writes it, and not AppendGroup.
func (w *Writer) PerLog() bool { return w.format == OneJSON || w.format == Raw }

// ContentType is that of what AppendLog or AppendGroup write.
func (w *Writer) ContentType() string {
	switch w.format {
	case LogGroup:
		return protocol.TypeLogGroup
	case Raw:
		return "text/plain"
	case JSONL:
		return "application/x-ndjson"
	}
	return "application/json"
}

// BatchContentType is that of what AppendGroups and AppendGroupList write.
func (w *Writer) BatchContentType() string {
	if w.format == LogGroup {
		return protocol.TypeLogGroupList
	}
	return w.ContentType()
}

// AppendGroup appends a group: its logs as lines or as an array, or itself. A group
// without logs appends nothing, except as the format loggroup.
func (w *Writer) AppendGroup(dst []byte, g *protocol.LogGroup) []byte {
	switch w.format {
	case LogGroup:
		return g.AppendMarshal(dst)
	case JSONArray:
		return w.array(dst, g)
	}
	return w.shape.AppendLines(dst, g)
}

// AppendGroups appends a batch: the logs of all groups as lines or as one array, or
// a LogGroupList. Groups without logs are not in it, except in the list.
func (w *Writer) AppendGroups(dst []byte, groups []*protocol.LogGroup) []byte {
	switch w.format {
	case LogGroup:
		list := protocol.LogGroupList{LogGroupList: groups}
		return list.AppendMarshal(dst)
	case JSONArray:
		return w.array(dst, groups...)
	}
	return w.shape.AppendLines(dst, groups...)
}

// array appends nothing for no logs.
func (w *Writer) array(dst []byte, groups ...*protocol.LogGroup) []byte {
	begin := len(dst)
	dst = w.shape.AppendElements(append(dst, '['), groups...)
	if len(dst) == begin+1 {
		return dst[:begin]
	}
	dst[len(dst)-1] = ']'
	return dst
}

// AppendLog appends one log of a group, for the formats json and raw. An error is
// Permanent, and then dst comes back as it was: the log has no field content.
func (w *Writer) AppendLog(dst []byte, g *protocol.LogGroup, l *protocol.Log) ([]byte, error) {
	if w.format != Raw {
		return w.shape.AppendLog(dst, g, l), nil
	}
	for i := len(l.Contents) - 1; i >= 0; i-- {
		if c := l.Contents[i]; c != nil && c.Key == rawField {
			return append(dst, c.Value...), nil
		}
	}
	return dst, errNoContent
}

// rawField is where plain text is read into, and what format raw writes.
const rawField = "content"

var errNoContent = flushers.Permanent(errors.New("the log has no field " + rawField + ", which is all that format raw writes: " +
	"use another format for logs with fields of their own"))

// AppendGroupList appends a LogGroupList of groups whose bytes are at hand. They are
// not changed.
func AppendGroupList(dst []byte, raw [][]byte) []byte {
	for _, group := range raw {
		dst = protocol.AppendListEntry(dst, group)
	}
	return dst
}

// Compile makes the writer, after Validate has found no error.
func (o *Options) Compile() (*Writer, error) {
	for _, p := range o.Problems() {
		if !p.Warning {
			return nil, flushers.Misconfigured(fmt.Errorf("couldn't make the format: %s: %s", p.Path, p.Text()))
		}
	}
	return &Writer{format: o.Format, shape: o.JSON.Compile(false)}, nil
}
