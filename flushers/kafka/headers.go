package kafka

import (
	"maps"
	"slices"
	"strings"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// templatedHeader is a header whose value is made of what the group or the log says.
type templatedHeader struct {
	name  string
	value protocol.Template
}

// prepareHeaders makes what all records of the instance share. Kafka keeps any bytes in
// a header, so the key stands there as it is.
func (f *Flusher) prepareHeaders() {
	f.headers = []queue.Header{
		{Key: protocol.HeaderProject, Value: f.key.Project},
		{Key: protocol.HeaderLogstore, Value: f.key.Logstore},
		{Key: protocol.HeaderConfig, Value: f.key.Config},
		{Key: protocol.HeaderContentType, Value: f.writer.ContentType()},
	}
	f.filled = nil
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		t := f.Headers[name]
		if differs(&t) {
			f.filled = append(f.filled, templatedHeader{name, t})
			continue
		}
		text, err := t.Append(nil, &protocol.TemplateVars{Key: f.key, Host: f.host})
		if err == nil { // nothing can be missing
			f.headers = append(f.headers, queue.Header{Key: name, Value: string(text)})
		}
	}
}

// differs says that a template needs more than the key and the host.
func differs(t *protocol.Template) bool {
	return t.Uses("tag") || t.Uses("content") || t.Uses("date")
}

// ofLog says that a template needs a log: groups have several.
func ofLog(t *protocol.Template) bool { return t.Uses("content") || t.Uses("date") }

// ourHeader says that nobody else may set a header.
func ourHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "x-log-") || strings.HasPrefix(name, queue.HeaderPrefix) ||
		name == protocol.HeaderContentType || name == protocol.HeaderContentEncoding
}

// appendHeaders appends the headers of one record.
func (f *Flusher) appendHeaders(dst []queue.Header, v *protocol.TemplateVars) []queue.Header {
	dst = append(dst, f.headers...)
	for i := range f.filled {
		if value, err := f.filled[i].value.Append(nil, v); err == nil {
			dst = append(dst, queue.Header{Key: f.filled[i].name, Value: string(value)})
		}
	}
	return dst
}
