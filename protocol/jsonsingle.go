package protocol

// single reads custom_single.
func (r *jsonReader) single(i int) int {
	var contentsAt, tagsAt, timeAt, nsAt int
	tail := plainTail
	r.beginLog(r.size - i)
	i = r.first(i)
	for more := r.is(i) != '}'; more; {
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		if s, _ := memberOf(name, r.in[v]); s != shapeSingle {
			return r.otherLog()
		}
		switch string(name) {
		case "contents":
			r.once(&contentsAt, v, "contents stands twice in a log")
			i = r.contents(v)
		case "tags":
			r.once(&tagsAt, v, "tags stands twice in a log")
			if r.in[v] == 'n' {
				i = r.skip(v)
				break
			}
			tail, i = r.tags(v)
		case "time":
			r.once(&timeAt, v, "time stands twice in a log")
			i = r.skip(v)
		default:
			r.once(&nsAt, v, "time_ns stands twice in a log")
			i = r.skip(v)
		}
		if i < 0 {
			return -1
		}
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	if contentsAt == 0 {
		return r.otherLog()
	}
	return r.end(i, r.singleTime(timeAt, nsAt), tail)
}

// once keeps where a member stands.
func (r *jsonReader) once(member *int, i int, twice string) {
	if *member > 0 {
		r.note(i, twice)
	}
	*member = i
}

// singleTime reads the members time and time_ns; 0 is an index of neither.
func (r *jsonReader) singleTime(timeAt, nsAt int) (t instant) {
	if timeAt > 0 {
		if t = r.instant(timeAt); !t.given {
			r.note(timeAt, `"time" is neither seconds since 1970 nor RFC 3339`)
		}
	}
	if nsAt > 0 {
		if t.ns, t.exact = r.below(nsAt, 1e9); !t.exact {
			r.note(nsAt, `"time_ns" is not the nanosecond part, 0 to 999999999`)
		}
	}
	return t
}

// contents appends the members of the object at i as contents.
func (r *jsonReader) contents(i int) int {
	i = r.first(i)
	if r.is(i) == '}' {
		return i + 1
	}
	for more := true; more; {
		r.text = r.text[:0]
		var name, value []byte
		if name, value, _, i = r.pairAt(i); i < 0 {
			return -1
		}
		r.out = appendPair(r.out, tagContents, name, value)
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	return i
}

// tags makes the tail of a log with these tags. What the last log had is not made
// again.
func (r *jsonReader) tags(i int) (tail []byte, next int) {
	if last := r.in[r.tagsAt:r.tagsEnd]; len(last) > 0 && len(r.in)-i >= len(last) && string(r.in[i:i+len(last)]) == string(last) {
		return r.tagged, i + len(last)
	}
	var topic, source tagSpan
	from := i
	r.pairs, r.tagsAt, r.tagsEnd = r.pairs[:0], 0, 0
	i = r.first(i)
	more := r.is(i) != '}'
	if !more {
		i++
	}
	for more {
		r.text = r.text[:0]
		var name, value []byte
		if name, value, _, i = r.pairAt(i); i < 0 {
			return nil, -1
		}
		start := len(r.pairs)
		r.pairs = appendPair(r.pairs, tagLogTags, name, value)
		if len(value) > 0 {
			switch span := (tagSpan{start, len(r.pairs), len(value)}); string(name) {
			case tagLogTopic:
				topic = span
			case tagHostIP:
				source = span
			}
		}
		if i, more = r.more(i, '}'); i < 0 {
			return nil, -1
		}
	}
	r.tagged = r.tagTail(r.tagged[:0], topic, source)
	r.tagsAt, r.tagsEnd = from, i
	return r.tagged, i
}

// tagSpan is where a tag lies in pairs, and how long its value is. The zero span is
// no tag.
type tagSpan struct{ from, to, value int }

func (s tagSpan) text(pairs []byte) []byte { return pairs[s.to-s.value : s.to] }

// tagTail is the tail with all pairs as tags, except the two that AppendJSONLog
// makes of Topic and Source.
func (r *jsonReader) tagTail(b []byte, topic, source tagSpan) []byte {
	b = append(b, tagCategory, 0)
	b = appendBytes(b, tagTopic, topic.text(r.pairs))
	b = appendBytes(b, tagSource, source.text(r.pairs))
	b = append(b, tagMachineUUID, 0)
	a, z := topic, source
	if a.to > z.to { // one that is not there is first
		a, z = z, a
	}
	b = append(b, r.pairs[:a.from]...)
	b = append(b, r.pairs[a.to:z.from]...)
	return append(b, r.pairs[z.to:]...)
}
