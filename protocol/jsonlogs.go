package protocol

// single reads custom_single.
func (r *jsonReader) single(i int) int {
	var contentsAt, tagsAt, timeAt, nsAt int
	twice := ""
	tail := plainTail
	i = r.first(i)
	if r.is(i) == '}' {
		return other
	}
	for more := true; more; {
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		if s, _ := memberOf(name, r.in[v]); s != shapeSingle {
			return other
		}
		switch string(name) {
		case "contents":
			once(&contentsAt, v, &twice, "contents")
			i = r.contents(v)
		case "tags":
			once(&tagsAt, v, &twice, "tags")
			if r.in[v] == 'n' {
				i = r.skip(v)
				break
			}
			tail, i = r.tags(v)
		case "time":
			once(&timeAt, v, &twice, "time")
			i = r.skip(v)
		default:
			once(&nsAt, v, &twice, "time_ns")
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
		return other
	}
	if twice != "" {
		return r.fail(i, twice+" stands twice in a log")
	}
	t, ok := r.singleTime(timeAt, nsAt)
	if !ok {
		return -1
	}
	return r.end(i, t, tail)
}

// once notes where a member stands, or that it did before.
func once(member *int, i int, twice *string, name string) {
	if *member > 0 {
		*twice = name
	}
	*member = i
}

// singleTime reads the members time and time_ns; 0 is an index of neither.
func (r *jsonReader) singleTime(timeAt, nsAt int) (t instant, ok bool) {
	if timeAt > 0 {
		if t = r.instant(timeAt); !t.given {
			r.fail(timeAt, `"time" is neither seconds since 1970 nor RFC 3339`)
			return t, false
		}
	}
	if nsAt > 0 {
		if t.ns, t.exact = r.below(nsAt, 1e9); !t.exact {
			r.fail(nsAt, `"time_ns" is not the nanosecond part, 0 to 999999999`)
			return t, false
		}
	}
	return t, true
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
	var timeAt, nsAt int
	made, wrong, wrongAt := false, "", 0
	i = r.first(i)
	if r.is(i) == '}' {
		return other
	}
	valuesAt := 0
	for more := true; more; {
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		s, makes := memberOf(name, r.in[v])
		if s != shapeLog {
			return other
		}
		made = made || makes
		switch {
		case r.in[v] == 'n':
			i = r.skip(v)
		case string(name) == "Contents":
			var ok bool
			if i, ok = r.listed(&r.out, tagContents, v); !ok && wrong == "" {
				wrong, wrongAt = `Contents holds something else than {"Key":"...","Value":"..."}`, v
			}
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
		return other
	}
	if wrong != "" {
		return r.fail(wrongAt, wrong)
	}
	if valuesAt > 0 && !r.values(valuesAt) {
		return -1
	}
	t, ok := r.logTime(timeAt, nsAt)
	if !ok {
		return -1
	}
	return r.end(i, t, plainTail)
}

// logTime reads the members Time and Time_ns; 0 is an index of neither.
func (r *jsonReader) logTime(timeAt, nsAt int) (t instant, ok bool) {
	if timeAt > 0 {
		if t.sec, t.given = r.below(timeAt, 1<<32); !t.given {
			r.fail(timeAt, `"Time" is not a whole number of seconds since 1970`)
			return t, false
		}
	}
	if nsAt > 0 {
		if t.ns, t.exact = r.below(nsAt, 1<<32); !t.exact {
			r.fail(nsAt, `"Time_ns" is not the nanosecond part`)
			return t, false
		}
	}
	return t, true
}

// listed appends a list of {"Key":"...","Value":"..."} as pairs. It is not ok if
// there is something else in it, which is passed over.
func (r *jsonReader) listed(dst *[]byte, tag byte, i int) (next int, ok bool) {
	i = r.first(i)
	if r.is(i) == ']' {
		return i + 1, true
	}
	ok = true
	for more := true; more; {
		r.text = r.text[:0]
		switch from := i; r.is(i) {
		case '{':
			var key, value []byte
			var pair bool
			if key, value, i, pair = r.pair(i); pair {
				*dst = appendPair(*dst, tag, key, value)
			} else if ok = false; i == other {
				i = r.skip(from)
			}
		case 'n':
			i = r.skip(i)
		default:
			ok = false
			i = r.skip(i)
		}
		if i < 0 {
			return -1, false
		}
		if i, more = r.more(i, ']'); i < 0 {
			return -1, false
		}
	}
	return i, ok
}

// pair reads {"Key":"...","Value":"..."}.
func (r *jsonReader) pair(i int) (key, value []byte, next int, ok bool) {
	i = r.first(i)
	if r.is(i) == '}' {
		return nil, nil, i + 1, true
	}
	for more := true; more; {
		name, v := r.member(i)
		if v < 0 {
			return nil, nil, -1, false
		}
		dst := &value
		if string(name) == "Key" {
			dst = &key
		} else if string(name) != "Value" {
			return nil, nil, other, false
		}
		if c := r.in[v]; c != '"' && c != 'n' {
			return nil, nil, other, false
		}
		if *dst, i = r.value(v); i < 0 {
			return nil, nil, -1, false
		}
		if i, more = r.more(i, '}'); i < 0 {
			return nil, nil, -1, false
		}
	}
	return key, value, i, true
}

// values appends the list of strings at i, which was read before.
func (r *jsonReader) values(i int) bool {
	i = r.first(i)
	for more := r.is(i) != ']'; more; {
		r.text = r.text[:0]
		if r.in[i] != '"' {
			r.fail(i, `"values" holds something else than strings`)
			return false
		}
		var s []byte
		s, i = r.str(i)
		r.out = appendBytes(r.out, tagValues, s)
		i, more = r.more(i, ']')
	}
	return true
}

// flat reads an object of which each member is a content, except those that are
// its time.
func (r *jsonReader) flat(i int) int {
	var times [3]timeMember
	var ns timeMember
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

// logGroup reads an object that isGroup, as a group of its own.
func (r *jsonReader) logGroup(i int) int {
	r.closeGroup()
	r.openGroup(len(r.in) - i)
	r.category, r.topic, r.source, r.machine = nil, nil, nil, nil
	r.pairs, r.text = r.pairs[:0], r.text[:0]
	var kept []byte
	i = r.first(i)
	for more := true; more; {
		name, v := r.member(i)
		if v < 0 {
			return -1
		}
		switch field := string(name); {
		case r.in[v] == 'n':
			i = r.skip(v)
		case field == "Logs":
			i = r.groupLogs(v)
		case field == "LogTags":
			var ok bool
			if i, ok = r.listed(&r.pairs, tagLogTags, v); i >= 0 && !ok {
				i = r.fail(v, `LogTags holds something else than {"Key":"...","Value":"..."}`)
			}
		default:
			var s []byte
			if s, i = r.value(v); i < 0 {
				return -1
			}
			kept = append(kept, s...)
			*r.groupString(name) = kept[len(kept)-len(s):]
		}
		r.text = r.text[:0]
		if i < 0 {
			return -1
		}
		if i, more = r.more(i, '}'); i < 0 {
			return -1
		}
	}
	b := appendBytes(r.tail[:0], tagCategory, r.category)
	b = appendBytes(b, tagTopic, r.topic)
	b = appendBytes(b, tagSource, r.source)
	b = appendBytes(b, tagMachineUUID, r.machine)
	r.tail = append(b, r.pairs...)
	r.closeGroup()
	return r.fits(i)
}

func (r *jsonReader) groupString(name []byte) *[]byte {
	switch string(name) {
	case "Category":
		return &r.category
	case "Topic":
		return &r.topic
	case "Source":
		return &r.source
	}
	return &r.machine
}

// groupLogs reads the Logs of a LogGroup.
func (r *jsonReader) groupLogs(i int) int {
	i = r.first(i)
	if r.is(i) == ']' {
		return i + 1
	}
	for more := true; more; {
		switch r.is(i) {
		case '{':
			from := i
			r.beginLog(len(r.in) - i)
			if i = r.log(i); i == other {
				i = r.fail(from, "Logs holds an object that is no Log")
			}
			i = min(i, r.fits(i))
		case 'n':
			i = r.skip(i)
		default:
			i = r.fail(i, "Logs holds something else than objects")
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
