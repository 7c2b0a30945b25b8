package protocol

import (
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

	twins *twins // nil where names may stand twice
	clean *Log   // the log before, if none of its names stands twice
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

func appendMember(dst []byte, key, value string) []byte {
	dst = append(AppendJSONString(comma(dst), key), ':')
	return AppendJSONString(dst, value)
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
		layout := `"2006-01-02T15:04:05Z"`
		if l.TimeNs != nil {
			layout = `"2006-01-02T15:04:05.000000000Z"`
		}
		return time.Unix(int64(sec), int64(ns)).UTC().AppendFormat(dst, layout)
	}
	return strconv.AppendUint(dst, sec, 10)
}
