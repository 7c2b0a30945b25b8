package protocol

// flat reads an object of which each member is a content, except those that are
// its time.
func (r *jsonReader) flat(i int) int {
	var times [timeNs]timeMember
	var ns timeMember
	r.beginLog(r.size - i)
	i = r.first(i)
	more := r.is(i) != '}'
	if !more {
		i++
	}
	for more {
		r.text = r.text[:0]
		var name, value []byte
		var v int
		if name, value, v, i = r.pairAt(i); i < 0 {
			return -1
		}
		start := len(r.out)
		r.out = appendPair(r.out, tagContents, name, value)
		switch k := timeRank(name); {
		case k == timeNs && !ns.given:
			ns = timeMember{from: start, to: len(r.out)}
			ns.ns, ns.given = r.below(v, 1e9)
		case k < timeNs && !times[k].given:
			times[k] = timeMember{r.instant(v), start, len(r.out)}
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

// timeNs is the rank of the nanosecond part, beside any of the times before it.
const timeNs = 3

// timeRank says in which order a member is tried as the time: a rank above timeNs
// is never.
func timeRank(name []byte) int {
	switch string(name) {
	case "__time__":
		return 0
	case "time":
		return 1
	case "@timestamp":
		return 2
	case "time_ns":
		return timeNs
	}
	return timeNs + 1
}

// flatTime finds the log's time and takes its members out of the contents.
func (r *jsonReader) flatTime(times *[timeNs]timeMember, ns *timeMember) instant {
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
