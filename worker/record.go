package worker

import (
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// addressee is what the records of one lane have in common. What is put at once is
// mostly of one lane, or of a few in runs.
type addressee struct {
	deployment string
	lane       *lane
	subject    string // the lane, as in queue.Message.Subject; empty: none
	name       string // as in x-flushline-to
}

func (a *addressee) of(l *lane) {
	switch {
	case l == a.lane:
	case l == nil:
		a.lane, a.subject, a.name = nil, "", ""
	default:
		a.lane, a.subject, a.name = l, l.id().String(), a.deployment+"/"+l.entry.name()
	}
}

// record is a part as a message that can be put on any queue: its bytes untouched, the
// original headers, the key as resolved, and where it comes from.
func (w *Worker) record(p *part, to *addressee) queue.Message {
	to.of(p.lane)
	src := p.m.d.Message()
	m := queue.Message{Value: src.Value, Key: src.Key, Subject: to.subject, Headers: make([]queue.Header, 0, len(src.Headers)+12)}
	for _, h := range src.Headers {
		if !ownHeader(h.Key, p) {
			m.Headers = append(m.Headers, h)
		}
	}
	add := func(key, value string) {
		if value != "" {
			m.Headers = append(m.Headers, queue.Header{Key: key, Value: clean(value)})
		}
	}
	keep := func(key string) {
		v, _ := src.Header(key)
		add(key, v)
	}
	switch { // stored is what pass one made of it, whatever it was received as
	case p.group != nil:
		m.Value = p.group.Data
		add(protocol.HeaderContentType, protocol.TypeLogGroup)
	case p.m.readable():
		add(protocol.HeaderContentType, p.m.format.ContentType())
	}
	if p.m.readable() {
		add(protocol.HeaderContentEncoding, protocol.EncodingNone.String())
	}
	if p.lane != nil {
		add(protocol.HeaderProject, p.lane.key.Project)
		add(protocol.HeaderLogstore, p.lane.key.Logstore)
		add(protocol.HeaderConfig, p.lane.key.Config)
		add(queue.HeaderTo, to.name)
	} else {
		keep(queue.HeaderTo)
	}
	add(queue.HeaderVersion, "1")
	add(queue.HeaderOrigin, p.m.d.Origin().String())
	if p.group != nil {
		add(queue.HeaderGroups, strconv.FormatUint(uint64(p.index), 10))
	} else {
		keep(queue.HeaderGroups)
	}
	keep(queue.HeaderHops)
	keep(queue.HeaderMoves)
	add(queue.HeaderFirstSeen, p.m.firstSeen())
	return m
}

// place is the source, the strand and the position of a part's message.
func (p *part) place() string {
	s := p.m.strand
	return s.info.Source + " " + s.info.Name + " " + strconv.FormatInt(p.m.d.Message().Position, 10)
}

// firstSeen is when the message came to the first of our queues, in RFC 3339.
func (m *message) firstSeen() string {
	if s, ok := m.d.Message().Header(queue.HeaderFirstSeen); ok {
		return s
	}
	return m.received.UTC().Format(time.RFC3339Nano)
}

// clean keeps line breaks and other control characters out of headers.
func clean(s string) string {
	for i := range len(s) {
		if control(rune(s[i])) {
			return strings.Map(func(r rune) rune {
				if control(r) {
					return ' '
				}
				return r
			}, s)
		}
	}
	return s
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
