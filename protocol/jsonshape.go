package protocol

// shape is what an object of JSON is.
type shape int

const (
	shapeFlat   shape = iota // each member is a content
	shapeSingle              // iLogtail's custom_single: contents, tags, time
	shapeLog                 // a Log: Time, Contents, Time_ns, values
	shapeGroup               // a LogGroup: Logs, Category, Topic, Source, MachineUUID, LogTags
)

// An object has a shape other than flat if all of its members belong to that one,
// by name and kind of value and in whatever order, and one that makes it is there.

// guess is the shape that the first member of the object at i belongs to. The
// object is read as that until a member is not of it; only one without members, or
// with a foreign one first, is flat for sure.
func (r *jsonReader) guess(i int) shape {
	if i = r.first(i); r.is(i) == '}' {
		return shapeFlat
	}
	mark := len(r.text)
	name, v := r.member(i)
	r.text = r.text[:mark]
	if v < 0 {
		return shapeFlat
	}
	s, _ := memberOf(name, r.in[v])
	return s
}

// memberOf is the shape that a member belongs to, and whether it makes an object
// that shape. c is the first byte of its value.
func memberOf(name []byte, c byte) (s shape, makes bool) {
	number := c == '-' || '0' <= c && c <= '9'
	switch string(name) {
	case "contents":
		if c == '{' {
			return shapeSingle, true
		}
	case "tags":
		if c == '{' || c == 'n' {
			return shapeSingle, false
		}
	case "time", "time_ns":
		return shapeSingle, false
	case "Contents":
		if c == '[' || c == 'n' {
			return shapeLog, c == '['
		}
	case "Time":
		if number {
			return shapeLog, true
		}
	case "Time_ns":
		if number || c == 'n' {
			return shapeLog, false
		}
	case "values":
		if c == '[' || c == 'n' {
			return shapeLog, false
		}
	case "Logs":
		if c == '[' || c == 'n' {
			return shapeGroup, c == '['
		}
	case "LogTags":
		if c == '[' || c == 'n' {
			return shapeGroup, false
		}
	case "Category", "Topic", "Source", "MachineUUID":
		if c == '"' || c == 'n' {
			return shapeGroup, false
		}
	}
	return shapeFlat, false
}
