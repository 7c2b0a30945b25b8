package protocol

import (
	"slices"
	"strconv"
	"time"
)

// jsonWriter writes logs of one group in one shape.
type jsonWriter struct {
	s        *JSONShape
	g        *LogGroup
	begun    bool
	ns       bool // time_ns is written
	from, to int  // the tags in dst, once they are written

	twins *twins // nil until one is needed: where names may stand twice
	clean *Log   // the log before, if none of its names stands twice
}

// next goes on with another group, which mostly has the tags of the one before.
func (w *jsonWriter) next(g *LogGroup) {
	w.begun = w.begun && sameTags(w.g, g)
	w.g = g
}

func sameTags(a, b *LogGroup) bool {
	if a.Topic != b.Topic || a.Source != b.Source || len(a.LogTags) != len(b.LogTags) {
		return false
	}
	for i, t := range a.LogTags {
		u := b.LogTags[i]
		if t == nil || u == nil || *t != *u {
			return false
		}
	}
	return true
}

// log appends a log.
func (w *jsonWriter) log(dst []byte, l *Log) []byte {
	if ns := w.s.ns && l.TimeNs != nil; !w.begun || ns != w.ns {
		w.begin(ns)
	}
	dst = append(dst, w.s.open...)
	dst = w.contents(dst, l)
	dst = w.tags(dst)
	if w.s.time {
		dst = append(comma(dst), w.s.openTime...)
		dst = w.s.format.append(dst, l)
	}
	if w.ns {
		dst = append(dst, w.s.openNs...)
		dst = strconv.AppendUint(dst, uint64(*l.TimeNs), 10)
	}
	return append(dst, '}')
}

// begin finds the names that hold for all logs which have a nanosecond part, or
// for all which have none.
func (w *jsonWriter) begin(ns bool) {
	w.begun, w.ns, w.from, w.to, w.clean = true, ns, 0, 0, nil
	s := w.s
	if !s.oneTag && !s.oneContent {
		return
	}
	if w.twins == nil {
		w.twins = borrowTwins()
	}
	t := w.twins
	t.restart()
	if s.flatten && s.time {
		t.add(s.timeName)
	}
	if s.flatten && ns {
		t.add(s.nsName)
	}
	if !s.tags {
		t.keep()
		return
	}
	if s.hasTopic && w.g.Topic != "" {
		t.add(s.topic)
	}
	if s.hasHostIP && w.g.Source != "" {
		t.add(s.hostIP)
	}
	for i := len(w.g.LogTags) - 1; i >= 0; i-- {
		if tag := w.g.LogTags[i]; tag != nil {
			if name, written := s.tagName(tag.Key); written {
				t.add(name)
			}
		}
	}
	t.keep()
}

func (w *jsonWriter) end() {
	if w.twins != nil {
		w.twins.giveBack()
	}
}

// contents appends the contents of a log that no later member takes the place of.
func (w *jsonWriter) contents(dst []byte, l *Log) []byte {
	if !w.s.oneContent || w.distinct(l) {
		for _, c := range l.Contents {
			if c != nil {
				dst = appendMember(dst, c.Key, c.Value)
			}
		}
		return dst
	}
	k := len(w.twins.names)
	for _, c := range l.Contents {
		if c == nil {
			continue
		}
		if k--; !w.twins.drop[k] {
			dst = appendMember(dst, c.Key, c.Value)
		}
	}
	return dst
}

// distinct says that all contents of a log are written, and otherwise leaves in
// twins which are not. Logs of a group mostly have the names of the one before.
func (w *jsonWriter) distinct(l *Log) bool {
	if w.clean != nil && sameKeys(w.clean, l) {
		return true
	}
	t := w.twins
	t.forget()
	for i := len(l.Contents) - 1; i >= 0; i-- {
		if c := l.Contents[i]; c != nil {
			t.add(c.Key)
		}
	}
	w.clean = nil
	if t.find(w.s.flatten) {
		return false
	}
	w.clean = l
	return true
}

func sameKeys(a, b *Log) bool {
	if len(a.Contents) != len(b.Contents) {
		return false
	}
	for i, c := range a.Contents {
		d := b.Contents[i]
		if c == nil || d == nil || c.Key != d.Key {
			return false
		}
	}
	return true
}

// tags appends the tags: anew, or as they are in dst from the log before.
func (w *jsonWriter) tags(dst []byte) []byte {
	s := w.s
	if !s.flatten {
		dst = append(dst, '}')
	}
	switch {
	case !s.tags:
		return dst
	case w.to == 0:
		return w.newTags(dst)
	case w.to > w.from:
		dst = append(comma(dst), dst[w.from:w.to]...)
	}
	return dst
}

func (w *jsonWriter) newTags(dst []byte) []byte {
	s, begin := w.s, len(dst)
	if !s.flatten {
		dst = append(comma(dst), s.openTags...)
	}
	k := 0
	if w.twins != nil {
		k = w.twins.kept
	}
	for _, t := range w.g.LogTags {
		if t != nil {
			if name, written := s.tagName(t.Key); written {
				k--
				dst = w.tag(dst, k, name, t.Value)
			}
		}
	}
	if s.hasHostIP && w.g.Source != "" {
		k--
		dst = w.tag(dst, k, s.hostIP, w.g.Source)
	}
	if s.hasTopic && w.g.Topic != "" {
		dst = w.tag(dst, k-1, s.topic, w.g.Topic)
	}
	if !s.flatten {
		dst = append(dst, '}')
	}
	if w.from, w.to = begin, len(dst); w.to > begin && dst[begin] == ',' {
		w.from++
	}
	return dst
}

// tag appends a tag, unless a later member takes its place. k is its place in twins.
func (w *jsonWriter) tag(dst []byte, k int, name, value string) []byte {
	if w.twins != nil && w.twins.drop[k] {
		return dst
	}
	return appendMember(dst, name, value)
}

// comma appends a comma, unless an object has only been opened.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// appendMember appends a member. Mostly there is room and nothing to escape.
func appendMember(dst []byte, key, value string) []byte {
	size, end := len(key)+len(value)+len(`,"":""`), len(dst)
	k, v := nextSpecial(key, 0), nextSpecial(value, 0)
	if cap(dst)-end < size || k < len(key) || v < len(value) {
		dst = appendFrom(append(comma(dst), '"'), key, k)
		dst = appendFrom(append(dst, `":"`...), value, v)
		return append(dst, '"')
	}
	b := dst[end : end+size]
	if dst[end-1] != '{' {
		b[0] = ','
		b, end = b[1:], end+1
	}
	b[0] = '"'
	n := 1 + copy(b[1:], key)
	b[n], b[n+1], b[n+2] = '"', ':', '"'
	n += 3
	n += copy(b[n:], value)
	b[n] = '"'
	return dst[:end+n+1]
}

// appendRFC3339 has nine digits for a nanosecond part, which the quick layout of
// package time cuts short.
func appendRFC3339(dst []byte, l *Log) []byte {
	sec, ns := int64(l.Time), int64(-1)
	if l.TimeNs != nil {
		ns = int64(*l.TimeNs)
		sec, ns = sec+ns/1e9, ns%1e9
	}
	dst = time.Unix(sec, 0).UTC().AppendFormat(append(dst, '"'), time.RFC3339)
	if ns >= 0 {
		dst[len(dst)-1] = '.'
		dst = strconv.AppendInt(dst, ns+1e9, 10)
		dst = slices.Delete(dst, len(dst)-10, len(dst)-9)
		dst = append(dst, 'Z')
	}
	return append(dst, '"')
}

// append appends the time of a log.
func (f JSONTime) append(dst []byte, l *Log) []byte {
	sec, ns := uint64(l.Time), uint64(0)
	if l.TimeNs != nil {
		ns = uint64(*l.TimeNs)
	}
	switch f {
	case JSONMillis:
		return strconv.AppendUint(dst, sec*1e3+ns/1e6, 10)
	case JSONNanos:
		return strconv.AppendUint(dst, sec*1e9+ns, 10)
	case JSONRFC3339:
		return appendRFC3339(dst, l)
	}
	return strconv.AppendUint(dst, sec, 10)
}
