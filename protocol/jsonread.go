package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strings"
	"time"
)

// ParseJSONLog reads one JSON object as a log.
//
// What AppendJSONLog writes (custom_single: "contents" is an object, and beside
// it stand at most "tags", "time" and "time_ns") is read as that; the tags are
// returned apart. Any other object is flat: each member is a content, a string as
// it is, null as empty, everything else as its JSON text.
//
// A flat log's time is the first of "__time__", "time" and "@timestamp" that
// reads as one: RFC 3339, or a number of seconds, milliseconds, microseconds or
// nanoseconds since 1970, told apart by size (seconds may have a fraction). That
// member is no content then; "time_ns" beside it is the nanosecond part. A log
// that names no time has Time 0, and the caller gives it one.
func ParseJSONLog(line []byte) (*Log, []*LogTag, error) {
	members, err := jsonMembers(line)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't read a JSON log: %w", err)
	}
	if isSingle(members) {
		l, tags, err := singleLog(members)
		if err != nil {
			return nil, nil, fmt.Errorf("couldn't read a JSON log: %w", err)
		}
		return l, tags, nil
	}
	return flatLog(members), nil, nil
}

type jsonMember struct {
	name  string
	value json.RawMessage
}

// kind is the first byte of the value: { [ " n t f - or a digit.
func (m *jsonMember) kind() byte { return m.value[0] }

func (m *jsonMember) text() string {
	switch m.kind() {
	case 'n':
		return ""
	case '"':
		var s string
		_ = json.Unmarshal(m.value, &s) // jsonMembers has read it as valid
		return s
	case '{', '[':
		var b bytes.Buffer
		_ = json.Compact(&b, m.value)
		return b.String()
	}
	return string(m.value)
}

// jsonMembers keeps order and duplicates, which a map would not.
func jsonMembers(object []byte) ([]jsonMember, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	token, err := dec.Token()
	switch {
	case err == io.EOF:
		return nil, errors.New("the line is empty")
	case err != nil:
		return nil, jsonError(dec, err)
	case token != json.Delim('{'):
		return nil, fmt.Errorf("a log is an object {...}, this begins with %.20q", bytes.TrimSpace(object))
	}
	var members []jsonMember
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, jsonError(dec, err)
		}
		m := jsonMember{name: name.(string)} // the decoder accepts nothing else here
		if err := dec.Decode(&m.value); err != nil {
			return nil, jsonError(dec, err)
		}
		members = append(members, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, jsonError(dec, err)
	}
	end := dec.InputOffset()
	if rest := bytes.TrimSpace(object[end:]); len(rest) > 0 {
		return nil, fmt.Errorf("more follows the object at byte %d: %.20q", end, rest)
	}
	return members, nil
}

func jsonError(dec *json.Decoder, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return fmt.Errorf("the object is cut off at byte %d", dec.InputOffset())
	case errors.As(err, &syntax):
		return fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	return err
}

func isSingle(members []jsonMember) bool {
	contents := false
	for i := range members {
		switch m := &members[i]; m.name {
		case "contents":
			contents = m.kind() == '{'
			if !contents {
				return false
			}
		case "tags":
			if m.kind() != '{' && m.kind() != 'n' {
				return false
			}
		case "time", "time_ns":
		default:
			return false
		}
	}
	return contents
}

func singleLog(members []jsonMember) (*Log, []*LogTag, error) {
	l := &Log{}
	var tags []*LogTag
	for i := range members {
		m := &members[i]
		switch m.name {
		case "contents", "tags":
			inner, err := jsonMembers(orEmpty(m.value))
			if err != nil {
				return nil, nil, fmt.Errorf("%q: %w", m.name, err)
			}
			for j := range inner {
				if m.name == "tags" {
					tags = append(tags, &LogTag{Key: inner[j].name, Value: inner[j].text()})
				} else {
					l.Contents = append(l.Contents, &Log_Content{Key: inner[j].name, Value: inner[j].text()})
				}
			}
		case "time":
			if !l.readTime(m) {
				return nil, nil, fmt.Errorf(`"time" is %.40s: use seconds since 1970 or RFC 3339`, m.value)
			}
		}
	}
	for i := range members {
		if m := &members[i]; m.name == "time_ns" && !l.readTimeNs(m) {
			return nil, nil, fmt.Errorf(`"time_ns" is %.40s: use the nanosecond part, 0 to 999999999`, m.value)
		}
	}
	return l, tags, nil
}

func orEmpty(v json.RawMessage) json.RawMessage {
	if v[0] == 'n' {
		return json.RawMessage("{}")
	}
	return v
}

func flatLog(members []jsonMember) *Log {
	l := &Log{}
	timed := l.timeMember(members)
	for i := range members {
		m := &members[i]
		if i == timed || timed >= 0 && m.name == "time_ns" && l.readTimeNs(m) {
			continue
		}
		l.Contents = append(l.Contents, &Log_Content{Key: m.name, Value: m.text()})
	}
	return l
}

// timeMember sets the log's time and returns which member gave it, or -1.
func (l *Log) timeMember(members []jsonMember) int {
	for _, name := range [...]string{"__time__", "time", "@timestamp"} {
		for i := range members {
			if members[i].name == name && l.readTime(&members[i]) {
				return i
			}
		}
	}
	return -1
}

func (l *Log) readTime(m *jsonMember) bool {
	text := m.text()
	if m.kind() == '"' {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return l.setTime(t.Unix(), t.Nanosecond())
		}
	}
	if m.kind() != '"' && m.kind() != '-' && (m.kind() < '0' || m.kind() > '9') {
		return false
	}
	sec, nsec, ok := epoch(text)
	return ok && l.setTime(sec, nsec)
}

func (l *Log) readTimeNs(m *jsonMember) bool {
	var ns uint32
	if json.Unmarshal(m.value, &ns) != nil || ns >= 1e9 || m.kind() == 'n' {
		return false
	}
	l.TimeNs = &ns
	return true
}

func (l *Log) setTime(sec int64, nsec int) bool {
	if sec < 0 || sec > math.MaxUint32 {
		return false
	}
	l.Time, l.TimeNs = uint32(sec), nil
	if nsec != 0 {
		ns := uint32(nsec)
		l.TimeNs = &ns
	}
	return true
}

// epoch reads a number since 1970 whose unit follows from its size: eleven
// digits of seconds are the year 5138.
func epoch(text string) (sec int64, nsec int, ok bool) {
	if len(text) > 40 || strings.ContainsAny(text, "eEpPxX_/") {
		return 0, 0, false
	}
	v, ok := new(big.Rat).SetString(text)
	if !ok || v.Sign() < 0 {
		return 0, 0, false
	}
	scale := int64(1e9)
	for limit := int64(1e11); scale > 1 && v.Cmp(big.NewRat(limit, 1)) >= 0; limit *= 1000 {
		scale /= 1000
	}
	v.Mul(v, big.NewRat(scale, 1))
	ns := new(big.Int).Quo(v.Num(), v.Denom())
	if !ns.IsInt64() {
		return 0, 0, false
	}
	return ns.Int64() / 1e9, int(ns.Int64() % 1e9), true
}
