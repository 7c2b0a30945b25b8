package protocol

// log reads a Log.
func (r *jsonReader) log(i int) int {
	var timeAt, nsAt, valuesAt int
	made := false
	r.beginLog(r.size - i)
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

// logGroup reads a LogGroup, as a group of its own.
func (r *jsonReader) logGroup(i int) int {
	for k := range r.strings {
		r.strings[k] = r.strings[k][:0]
	}
	r.pairs = r.pairs[:0]
	r.beginOwnGroup(r.size - i)
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
