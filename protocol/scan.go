package protocol

import "fmt"

// UndecodableError says why a value will never be a LogGroup: nothing but other
// bytes would help.
type UndecodableError struct{ Reason string }

func (e *UndecodableError) Error() string { return "couldn't decode the value: " + e.Reason }

func undecodable(format string, args ...any) error {
	return &UndecodableError{Reason: fmt.Sprintf(format, args...)}
}

// Group is what pass one learned of one LogGroup. It aliases the scanned body
// and holds no other memory. Only Scan makes groups.
type Group struct {
	Data []byte // the LogGroup's protobuf, untouched

	Logs     int32 // logs
	Contents int32 // contents of all logs
	Values   int32 // elements of the logs' values
	TimesNs  int32 // logs with a nanosecond part
	Tags     int32 // log tags
	Missing  int32 // required fields that are not there; they decode as zero
	Unknown  int32 // fields that are passed over because the .proto does not have them
}

// Scan is Payload.Scan for those who know the format and the encoding. The body is
// what the groups alias: value itself if it is protobuf and e is EncodingNone, else
// fresh memory whose capacity exceeds its length by at most an eighth. The error is
// an *UndecodableError, and then body is nil and groups are as they came. lim may
// be nil.
func Scan(value []byte, f Format, e Encoding, lim *Limits, groups []Group) (body []byte, out []Group, err error) {
	if f != FormatLogGroup && f != FormatLogGroupList {
		p := Payload{Value: value, Format: f, Encoding: e}
		b, out, err := p.Scan(lim, groups)
		return b.Bytes, out, err
	}
	limits := lim.orDefaults()
	if body, err = decompress(value, e, &limits); err != nil {
		return nil, groups, err
	}
	out, wrong := scan(body, f, &limits, groups)
	if wrong != "" {
		return nil, groups, undecodable("this is no %v: %s", f, wrong)
	}
	return body, out, nil
}

// scan walks protobuf: a LogGroup or a list of them.
func scan(b []byte, f Format, lim *Limits, groups []Group) (out []Group, wrong string) {
	s := scanner{b: b, lim: *lim}
	switch {
	case f == FormatLogGroupList:
		out = s.list(groups)
	case len(b) == 0:
		return groups, ""
	case s.group(0, len(b)):
		out = append(groups, s.g)
	}
	if s.wrong != "" {
		return nil, s.reason(0)
	}
	return out, ""
}

// scanner walks the body by absolute indexes, so that an error knows its byte.
type scanner struct {
	b   []byte
	lim Limits
	g   Group // the current one

	groups, logs, contents int // of the whole message

	wrong string // what is wrong
	at    int    // and where
}

func (s *scanner) fail(at int, wrong string) bool {
	s.at, s.wrong = at, wrong
	return false
}

// reason is the failure in words; the body begins at index shift.
func (s *scanner) reason(shift int) string {
	return fmt.Sprintf("%s (byte %d of %d)", s.wrong, s.at-shift, len(s.b)-shift)
}

func (s *scanner) list(groups []Group) []Group {
	b := s.b
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if tag != tagGroups {
			if i = s.unknown(b, i, tag, next, 1); i < 0 {
				return nil
			}
			continue
		}
		start, end := span(b, next)
		if end < 0 {
			s.fail(next, wrongLength(start))
			return nil
		}
		if s.groups++; s.groups > s.lim.Groups {
			s.fail(i, fmt.Sprintf("more LogGroups than the limit of %d", s.lim.Groups))
			return nil
		}
		if !s.group(start, end) {
			return nil
		}
		groups = append(groups, s.g)
		i = end
	}
	return groups
}

func (s *scanner) group(i, end int) bool {
	s.g = Group{Data: s.b[i:end:end]}
	b := s.b[:end]
	for i < len(b) {
		tag, next := uvarint(b, i)
		if tag&7 != wireBytes || tag < tagLogs || tag > tagLogTags {
			if i = s.unknown(b, i, tag, next, 6); i < 0 {
				return false
			}
			continue
		}
		start, stop := span(b, next)
		if stop < 0 {
			return s.fail(next, wrongLength(start))
		}
		switch tag {
		case tagLogs:
			if !s.log(start, stop) {
				return false
			}
		case tagLogTags:
			s.g.Tags++
			if s.contents++; !s.pair(start, stop) {
				return false
			}
		}
		i = stop
	}
	return s.counted()
}

func (s *scanner) log(i, end int) bool {
	b := s.b[:end]
	timed, ns := false, int32(0)
	contents, values := 0, 0
	for i < len(b) {
		if end := usualContent(b, i); end > 0 {
			contents++
			i = end
			continue
		}
		tag, next := uvarint(b, i)
		switch tag {
		case tagContents:
			start, stop := span(b, next)
			if stop < 0 {
				return s.fail(next, wrongLength(start))
			}
			if !plainPair(b[start:stop]) && !s.pair(start, stop) {
				return false
			}
			contents++
			i = stop
		case tagTime:
			if _, i = uvarint(b, next); i < 0 {
				return s.fail(next, "a Time is cut off or longer than 64 bits")
			}
			timed = true
		case tagValues:
			start, stop := span(b, next)
			if stop < 0 {
				return s.fail(next, wrongLength(start))
			}
			values++
			i = stop
		case tagTimeNs:
			if i = next + 4; i > len(b) {
				return s.fail(next, "a Time_ns is cut off")
			}
			ns = 1
		default:
			if i = s.unknown(b, i, tag, next, 4); i < 0 {
				return false
			}
		}
	}
	if !timed {
		s.g.Missing++
	}
	s.g.Logs++
	s.g.Contents += int32(contents)
	s.g.Values += int32(values)
	s.g.TimesNs += ns
	s.logs++
	s.contents += contents + values
	return true
}

// usualContent is where a content at b[i:] ends that has the usual form and is shorter
// than 128 bytes; 0: look closer.
func usualContent(b []byte, i int) int {
	if len(b)-i < 2 || b[i] != tagContents {
		return 0
	}
	end := i + 2 + int(b[i+1])
	if b[i+1] >= 0x80 || end > len(b) || !plainPair(b[i+2:end]) {
		return 0
	}
	return end
}

// plainPair recognises the usual form of a content: key and value once each, in
// this order, each shorter than 128 bytes.
func plainPair(p []byte) bool {
	if len(p) < 4 || p[0] != tagKey {
		return false
	}
	v := int(p[1]) + 2
	return p[1] < 0x80 && v+1 < len(p) && p[v] == tagValue && p[v+1] < 0x80 && v+2+int(p[v+1]) == len(p)
}

// pair checks a content or a tag in any legal form.
func (s *scanner) pair(i, end int) bool {
	b := s.b[:end]
	var key, value int32 = 1, 1 // missing
	for i < len(b) {
		tag, next := uvarint(b, i)
		if tag != tagKey && tag != tagValue {
			if i = s.unknown(b, i, tag, next, 2); i < 0 {
				return false
			}
			continue
		}
		start, stop := span(b, next)
		if stop < 0 {
			return s.fail(next, wrongLength(start))
		}
		if tag == tagKey {
			key = 0
		} else {
			value = 0
		}
		i = stop
	}
	s.g.Missing += key + value
	return true
}

// unknown passes over a field whose number is above the message's highest, and
// refuses all else that is no known tag.
func (s *scanner) unknown(b []byte, i int, tag uint64, next int, highest uint64) int {
	if wrong := wrongTag(tag, next); wrong != "" {
		s.fail(i, wrong)
		return -1
	}
	if tag>>3 <= highest && tag&7 != wireEndGroup {
		s.fail(i, fmt.Sprintf("field %d has wire type %d, which the .proto does not give it", tag>>3, tag&7))
		return -1
	}
	end, wrong := skip(b, next, tag, 0)
	if wrong != "" {
		s.fail(end, wrong)
		return -1
	}
	s.g.Unknown++
	return end
}

// counted checks the limits once a group. Nothing was allocated for what it has.
func (s *scanner) counted() bool {
	switch {
	case s.logs > s.lim.Logs:
		return s.fail(len(s.g.Data), fmt.Sprintf("more logs than the limit of %d", s.lim.Logs))
	case s.contents > s.lim.Contents:
		return s.fail(len(s.g.Data), fmt.Sprintf("more contents than the limit of %d", s.lim.Contents))
	}
	return true
}
