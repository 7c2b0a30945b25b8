package worker

import (
	"encoding/hex"
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

	headers []queue.Header // of the records that come
	text    []byte         // of one record
}

// ownHeaders is how many headers a record gets at most, beside those of a letter.
const ownHeaders = 14

// headersPerSlab is how many records have their headers in one piece of memory.
const headersPerSlab = 32

// room is for n headers of one record.
func (a *addressee) room(n int) []queue.Header {
	if len(a.headers) < n {
		a.headers = make([]queue.Header, headersPerSlab*n)
	}
	hs := a.headers[:0:n]
	a.headers = a.headers[n:]
	return hs
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
	m := queue.Message{Value: src.Value, Key: src.Key, Subject: to.subject, Headers: to.room(len(src.Headers) + ownHeaders)}
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
	origin, seen, place := to.words(p)
	add(queue.HeaderOrigin, origin)
	if p.group != nil {
		add(queue.HeaderGroups, strconv.FormatUint(uint64(p.index), 10))
	} else {
		keep(queue.HeaderGroups)
	}
	keep(queue.HeaderHops)
	keep(queue.HeaderMoves)
	add(queue.HeaderFirstSeen, seen)
	add(queue.HeaderSource, place)
	switch { // where a key may come from, and where a replay puts it
	case p.m.strand.info.Parked: // its own is the lane
		keep(queue.HeaderSubject)
	case len(src.Subject) <= subjectText:
		add(queue.HeaderSubject, src.Subject)
	}
	return m
}

// subjectText bounds HeaderSubject, so that our headers stay below 2 KiB: a longer one is
// left out.
const subjectText = 512

// words are the origin, the first sight and the place of a part's message: each text of
// its own for each record, and all of them in one string.
func (a *addressee) words(p *part) (origin, seen, place string) {
	o := p.m.d.Origin()
	b := hex.AppendEncode(a.text[:0], o[:])
	first := len(b)
	if s, ok := p.m.d.Message().Header(queue.HeaderFirstSeen); ok {
		b = append(b, s...)
	} else {
		b = p.m.received.UTC().AppendFormat(b, time.RFC3339Nano)
	}
	second := len(b)
	s := p.m.strand
	b = append(append(append(append(b, s.info.Source...), ' '), s.info.Name...), ' ')
	b = strconv.AppendInt(b, p.m.d.Message().Position, 10)
	a.text = b
	all := string(b)
	return all[:first], all[first:second], all[second:]
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
