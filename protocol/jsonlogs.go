package protocol

// single reads custom_single.
func (r *jsonReader) single(i int) int {
	var contentsAt, tagsAt, timeAt, nsAt int
	tail := plainTail
	r.beginLog(len(r.in) - i)
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

// otherLog takes the log back.
func (r *jsonReader) otherLog() int {
	r.dropLog()
	return other
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
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		var value []byte
		if value, i = r.value(v); i < 0 {
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
		name, v := r.member(i)
		if v < 0 {
			return nil, -1
		}
		var value []byte
		if value, i = r.value(v); i < 0 {
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

// log reads a Log.
func (r *jsonReader) log(i int) int {
	var timeAt, nsAt, valuesAt int
	made := false
	r.beginLog(len(r.in) - i)
	i = r.first(i)
	for more := r.is(i) != '}'; more; {
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		s, makes := memberOf(name, r.in[v])
		if s != shapeLog {
			return r.otherLog()
		}
		made = made || makes
		switch {
		case r.in[v] == 'n':
			i = r.skip(v)
		case string(name) == "Contents":
			i = r.listed(&r.out, tagContents, v)
		case string(name) == "values":
			valuesAt = v
			i = r.skip(v)
		case string(name) == "Time":
			timeAt = v
			i = r.skip(v)
		default:
			nsAt = v
			i = r.skip(v)
		}
		if i < 0 {
			return -1
		}
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	if !made {
		return r.otherLog()
	}
	if valuesAt > 0 {
		r.values(valuesAt)
	}
	return r.end(i, r.logTime(timeAt, nsAt), plainTail)
}

// logTime reads the members Time and Time_ns; 0 is an index of neither.
func (r *jsonReader) logTime(timeAt, nsAt int) (t instant) {
	if timeAt > 0 {
		if t.sec, t.given = r.below(timeAt, 1<<32); !t.given {
			r.note(timeAt, `"Time" is not a whole number of seconds since 1970`)
		}
	}
	if nsAt > 0 {
		if t.ns, t.exact = r.below(nsAt, 1<<32); !t.exact {
			r.note(nsAt, `"Time_ns" is not the nanosecond part`)
		}
	}
	return t
}

// listed appends a list of {"Key":"...","Value":"..."} as pairs. What else is in it
// is noted and passed over.
func (r *jsonReader) listed(dst *[]byte, tag byte, i int) int {
	i = r.first(i)
	if r.is(i) == ']' {
		return i + 1
	}
	for more := true; more; {
		r.text = r.text[:0]
		from := i
		key, value, next, ok := r.usualPair(i)
		if !ok {
			key, value, next = r.pair(i)
		}
		if i = next; i >= 0 {
			*dst = appendPair(*dst, tag, key, value)
		} else if i == other {
			if r.is(from) != 'n' {
				r.note(from, `this is not {"Key":"...","Value":"..."}`)
			}
			i = r.skip(from)
		}
		if i < 0 {
			return -1
		}
		if i, more = r.more(i, ']'); i < 0 {
			return -1
		}
	}
	return i
}

// usualPair reads a pair as encoding/json writes it, without escapes. All others are
// not ok.
func (r *jsonReader) usualPair(i int) (key, value []byte, next int, ok bool) {
	const before, between = `{"Key":"`, `","Value":"`
	if len(r.in)-i < len(before) || string(r.in[i:i+len(before)]) != before {
		return nil, nil, 0, false
	}
	i += len(before)
	end, escaped := r.quoted(i)
	if end < 0 || escaped || len(r.in)-end < len(between) || string(r.in[end:end+len(between)]) != between {
		return nil, nil, 0, false
	}
	key, i = r.in[i:end], end+len(between)
	end, escaped = r.quoted(i)
	if end < 0 || escaped || r.is(end+1) != '}' {
		return nil, nil, 0, false
	}
	return key, r.in[i:end], end + 2, true
}

// pair reads {"Key":"...","Value":"..."}; all else is other.
func (r *jsonReader) pair(i int) (key, value []byte, next int) {
	if r.is(i) != '{' {
		return nil, nil, other
	}
	i = r.first(i)
	if r.is(i) == '}' {
		return nil, nil, i + 1
	}
	for more := true; more; {
		name, v := r.member(i)
		if v < 0 {
			return nil, nil, -1
		}
		dst := &value
		if string(name) == "Key" {
			dst = &key
		} else if string(name) != "Value" {
			return nil, nil, other
		}
		if c := r.in[v]; c != '"' && c != 'n' {
			return nil, nil, other
		}
		if *dst, i = r.value(v); i < 0 {
			return nil, nil, -1
		}
		if i, more = r.more(i, '}'); i < 0 {
			return nil, nil, -1
		}
	}
	return key, value, i
}

// values appends the list of strings at i, which was read before.
func (r *jsonReader) values(i int) {
	i = r.first(i)
	for more := r.is(i) != ']'; more; {
		r.text = r.text[:0]
		if r.in[i] != '"' {
			r.note(i, `"values" holds something else than strings`)
			return
		}
		var s []byte
		s, i = r.str(i)
		r.out = appendBytes(r.out, tagValues, s)
		i, more = r.more(i, ']')
	}
}

// flat reads an object of which each member is a content, except those that are
// its time.
func (r *jsonReader) flat(i int) int {
	var times [3]timeMember
	var ns timeMember
	r.beginLog(len(r.in) - i)
	i = r.first(i)
	more := r.is(i) != '}'
	if !more {
		i++
	}
	for more {
		r.text = r.text[:0]
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		var value []byte
		if value, i = r.value(v); i < 0 {
			return -1
		}
		start := len(r.out)
		r.out = appendPair(r.out, tagContents, name, value)
		if len(name) <= len("@timestamp") {
			r.timeMember(&times, &ns, string(name), v, start)
		}
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	return r.end(i, r.flatTime(&times, &ns), plainTail)
}

// timeMember is a member of a flat log that reads as a time, and the content it is
// until it is known that it is the time.
type timeMember struct {
	instant
	from, to int
}

// timeNames are tried in this order.
var timeNames = [3]string{"__time__", "time", "@timestamp"}

func (r *jsonReader) timeMember(times *[3]timeMember, ns *timeMember, name string, v, start int) {
	for k := range times {
		if name == timeNames[k] && !times[k].given {
			times[k] = timeMember{r.instant(v), start, len(r.out)}
		}
	}
	if name == "time_ns" && !ns.given {
		ns.ns, ns.given = r.below(v, 1e9)
		ns.from, ns.to = start, len(r.out)
	}
}

// flatTime finds the log's time and takes its members out of the contents.
func (r *jsonReader) flatTime(times *[3]timeMember, ns *timeMember) instant {
	for k := range times {
		t := &times[k]
		if !t.given {
			continue
		}
		if !ns.given {
			r.cut(t.from, t.to)
			return t.instant
		}
		t.ns, t.exact = ns.ns, true
		r.cut(max(t.from, ns.from), max(t.to, ns.to))
		r.cut(min(t.from, ns.from), min(t.to, ns.to))
		return t.instant
	}
	return instant{}
}

// logGroup reads a LogGroup, as a group of its own.
func (r *jsonReader) logGroup(i int) int {
	for k := range r.strings {
		r.strings[k] = r.strings[k][:0]
	}
	r.pairs = r.pairs[:0]
	r.beginOwnGroup(len(r.in) - i)
	names, logs := 0, false
	i = r.first(i)
	for more := true; more; {
		r.text = r.text[:0]
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		s, makes := memberOf(name, r.in[v])
		if s != shapeGroup {
			r.dropOwnGroup()
			return other
		}
		names++
		logs = logs || makes
		if i = r.groupMember(name, v); i < 0 {
			return -1
		}
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	if !logs && names < len(r.strings) { // without logs it has no Logs, but the strings
		r.dropOwnGroup()
		return other
	}
	r.tail = r.tail[:0]
	for k, s := range r.strings {
		r.tail = appendBytes(r.tail, byte(k)<<3+tagCategory, s)
	}
	r.tail = append(r.tail, r.pairs...)
	r.endOwnGroup()
	return i
}

func (r *jsonReader) groupMember(name []byte, v int) int {
	k := 0
	switch string(name) {
	case "Logs":
		return r.groupLogs(v)
	case "LogTags":
		if r.in[v] == 'n' {
			return r.skip(v)
		}
		return r.listed(&r.pairs, tagLogTags, v)
	case "Topic":
		k = 1
	case "Source":
		k = 2
	case "MachineUUID":
		k = 3
	}
	s, i := r.value(v)
	if r.in[v] == '"' {
		r.strings[k] = append(r.strings[k][:0], s...)
	}
	return i
}

// groupLogs reads the Logs of a LogGroup.
func (r *jsonReader) groupLogs(i int) int {
	if r.in[i] == 'n' {
		return r.skip(i)
	}
	i = r.first(i)
	if r.is(i) == ']' {
		return i + 1
	}
	for more := true; more; {
		from, c := i, r.is(i)
		if i = other; c == '{' {
			i = r.log(from)
		}
		if i == other {
			if c != 'n' {
				r.note(from, "Logs holds something else than Logs")
			}
			i = r.skip(from)
		}
		if i < 0 || r.fits(i) < 0 {
			return -1
		}
		if i, more = r.more(i, ']'); i < 0 {
			return -1
		}
	}
	return i
}
