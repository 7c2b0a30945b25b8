package protocol_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/protocol"
)

// oracle reads JSON as protocol does, slowly and by encoding/json alone: it looks
// at all members of an object before it decides what it is.
type oracle struct {
	groups []*protocol.LogGroup
	now    uint32
	flat   bool // FormatJSONFlat
	single bool // FormatJSONSingle
	closed bool // the last group takes no more logs
}

type oracleMember struct {
	name  string
	value json.RawMessage
}

// read says whether value is valid.
func (o *oracle) read(value []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(value))
	o.closed = true
	for first := true; ; first = false {
		from := dec.InputOffset()
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return len(bytes.TrimLeft(value[from:], " \t\r\n")) == 0
		}
		gap := value[from : dec.InputOffset()-int64(len(v))]
		if !first && !bytes.ContainsRune(gap, '\n') {
			return false
		}
		all := []json.RawMessage{v}
		if v[0] == '[' && json.Unmarshal(v, &all) != nil {
			return false
		}
		for _, object := range all {
			if object[0] != '{' || !o.object(oracleMembers(object)) {
				return false
			}
		}
	}
}

// oracleMembers keeps order and duplicates of a valid object.
func oracleMembers(object []byte) (members []oracleMember) {
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token()
	for dec.More() {
		name, _ := dec.Token()
		m := oracleMember{name: name.(string)}
		_ = dec.Decode(&m.value)
		members = append(members, m)
	}
	return members
}

func (m *oracleMember) kind() byte {
	if c := m.value[0]; c < '0' || c > '9' {
		return c
	}
	return '0'
}

func (m *oracleMember) text() string {
	switch m.kind() {
	case 'n':
		return ""
	case '"':
		var s string
		_ = json.Unmarshal(m.value, &s)
		return s
	case '{', '[':
		var b bytes.Buffer
		_ = json.Compact(&b, m.value)
		return b.String()
	}
	return string(m.value)
}

// allOf says that each member is one of the names, with one of the kinds.
func allOf(members []oracleMember, kinds map[string]string) bool {
	return !slices.ContainsFunc(members, func(m oracleMember) bool {
		k, ok := kinds[m.name]
		return !ok || k != "" && !strings.ContainsRune(k, rune(m.kind()))
	})
}

func hasMember(members []oracleMember, name, kinds string) bool {
	return slices.ContainsFunc(members, func(m oracleMember) bool {
		return m.name == name && strings.ContainsRune(kinds, rune(m.kind()))
	})
}

func (o *oracle) object(members []oracleMember) bool {
	switch {
	case o.flat:
	case allOf(members, map[string]string{"contents": "{", "tags": "{n", "time": "", "time_ns": ""}) && hasMember(members, "contents", "{"):
		return o.singleLog(members)
	case o.single:
		return false
	case isLog(members):
		l, ok := o.log(members)
		if ok {
			o.add(l, "", "", nil)
		}
		return ok
	case allOf(members, map[string]string{
		"Logs": "[n", "LogTags": "[n", "Category": `"n`, "Topic": `"n`, "Source": `"n`, "MachineUUID": `"n`,
	}) && (hasMember(members, "Logs", "[") || len(members) >= 4):
		return o.group(members)
	}
	o.flatLog(members)
	return true
}

func isLog(members []oracleMember) bool {
	return allOf(members, map[string]string{"Contents": "[n", "Time": "0-", "Time_ns": "0-n", "values": "[n"}) &&
		(hasMember(members, "Contents", "[") || hasMember(members, "Time", "0-"))
}

func (o *oracle) add(l *protocol.Log, topic, source string, tags []*protocol.LogTag) {
	if n := len(o.groups); !o.closed {
		g := o.groups[n-1]
		if g.Topic == topic && g.Source == source && slices.EqualFunc(g.LogTags, tags, func(a, b *protocol.LogTag) bool { return *a == *b }) {
			g.Logs = append(g.Logs, l)
			return
		}
	}
	o.closed = false
	o.groups = append(o.groups, &protocol.LogGroup{Logs: []*protocol.Log{l}, Topic: topic, Source: source, LogTags: tags})
}

func (o *oracle) singleLog(members []oracleMember) bool {
	l := &protocol.Log{Time: o.now}
	seen := map[string]bool{}
	var tags []*protocol.LogTag
	for _, m := range members {
		if seen[m.name] {
			return false
		}
		seen[m.name] = true
		switch m.name {
		case "contents":
			for _, c := range oracleMembers(m.value) {
				l.Contents = append(l.Contents, &protocol.Log_Content{Key: c.name, Value: c.text()})
			}
		case "tags":
			for _, c := range oracleMembers(m.value) {
				tags = append(tags, &protocol.LogTag{Key: c.name, Value: c.text()})
			}
		case "time":
			var timed bool
			if l.Time, l.TimeNs, timed = m.instant(); !timed {
				return false
			}
		}
	}
	for _, m := range members {
		if m.name == "time_ns" {
			ns, ok := m.below(1e9)
			if !ok {
				return false
			}
			l.TimeNs = &ns
		}
	}
	topic, tags := takeTag(tags, "log.topic")
	source, tags := takeTag(tags, "host.ip")
	o.add(l, topic, source, tags)
	return true
}

func takeTag(tags []*protocol.LogTag, key string) (string, []*protocol.LogTag) {
	for i, t := range slices.Backward(tags) {
		if t.Key == key && t.Value != "" {
			if tags = slices.Delete(slices.Clone(tags), i, i+1); len(tags) == 0 {
				tags = nil
			}
			return t.Value, tags
		}
	}
	return "", tags
}

func (o *oracle) log(members []oracleMember) (*protocol.Log, bool) {
	l := &protocol.Log{Time: o.now}
	for _, m := range members {
		switch m.name {
		case "Contents":
			pairs, ok := m.pairs()
			if !ok {
				return nil, false
			}
			l.Contents = append(l.Contents, pairs...)
		case "values":
			l.Values = nil
			var all []*string
			if json.Unmarshal(m.value, &all) != nil {
				return nil, false
			}
			for _, s := range all {
				if s == nil {
					return nil, false
				}
				l.Values = append(l.Values, *s)
			}
		case "Time":
			v, ok := m.below(1 << 32)
			if !ok {
				return nil, false
			}
			l.Time = v
		case "Time_ns":
			if m.kind() == 'n' {
				continue
			}
			v, ok := m.below(1 << 32)
			if !ok {
				return nil, false
			}
			l.TimeNs = &v
		}
	}
	return l, true
}

// pairs reads a list of {"Key","Value"}; null elements are left out.
func (m *oracleMember) pairs() (pairs []*protocol.Log_Content, ok bool) {
	var all []json.RawMessage
	_ = json.Unmarshal(m.value, &all)
	for _, v := range all {
		if v[0] == 'n' {
			continue
		}
		if v[0] != '{' {
			return nil, false
		}
		p := &protocol.Log_Content{}
		for _, f := range oracleMembers(v) {
			switch {
			case f.kind() != '"' && f.kind() != 'n':
				return nil, false
			case f.name == "Key":
				p.Key = f.text()
			case f.name == "Value":
				p.Value = f.text()
			default:
				return nil, false
			}
		}
		pairs = append(pairs, p)
	}
	return pairs, true
}

func (o *oracle) group(members []oracleMember) bool {
	g := &protocol.LogGroup{}
	for _, m := range members {
		if m.kind() == 'n' {
			continue
		}
		switch m.name {
		case "Logs":
			var all []json.RawMessage
			_ = json.Unmarshal(m.value, &all)
			for _, v := range all {
				if v[0] == 'n' {
					continue
				}
				if v[0] != '{' || !isLog(oracleMembers(v)) {
					return false
				}
				l, ok := o.log(oracleMembers(v))
				if !ok {
					return false
				}
				g.Logs = append(g.Logs, l)
			}
		case "LogTags":
			pairs, ok := m.pairs()
			if !ok {
				return false
			}
			for _, p := range pairs {
				g.LogTags = append(g.LogTags, (*protocol.LogTag)(p))
			}
		case "Category":
			g.Category = m.text()
		case "Topic":
			g.Topic = m.text()
		case "Source":
			g.Source = m.text()
		case "MachineUUID":
			g.MachineUUID = m.text()
		}
	}
	o.groups, o.closed = append(o.groups, g), true
	return true
}

func (o *oracle) flatLog(members []oracleMember) {
	l, timed := &protocol.Log{Time: o.now}, -1
	for _, name := range [...]string{"@timestamp", "time", "__time__"} { // the last wins
		for i := range slices.Backward(members) {
			if sec, ns, ok := members[i].instant(); ok && members[i].name == name {
				l.Time, l.TimeNs, timed = sec, ns, i
			}
		}
	}
	precise := false
	for i := range members {
		m := &members[i]
		if i == timed {
			continue
		}
		if ns, ok := m.below(1e9); ok && timed >= 0 && !precise && m.name == "time_ns" {
			l.TimeNs, precise = &ns, true
			continue
		}
		l.Contents = append(l.Contents, &protocol.Log_Content{Key: m.name, Value: m.text()})
	}
	o.add(l, "", "", nil)
}

func (m *oracleMember) below(limit uint64) (uint32, bool) {
	v, err := strconv.ParseUint(string(m.value), 10, 63)
	return uint32(v), err == nil && v < limit
}

func (m *oracleMember) instant() (sec uint32, ns *uint32, ok bool) {
	text := m.text()
	var s int64
	var n int
	switch {
	case m.kind() == '"' && strings.Contains(text, "T"):
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return 0, nil, false
		}
		s, n = t.Unix(), t.Nanosecond()
	case m.kind() != '"' && m.kind() != '0':
		return 0, nil, false
	default:
		whole, fraction, point := strings.Cut(text, ".")
		if whole == "" || len(whole) > 19 || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
			return 0, nil, false
		}
		v, _ := new(big.Rat).SetString(text)
		scale := int64(1e9)
		for limit := int64(1e11); scale > 1 && v.Cmp(big.NewRat(limit, 1)) >= 0; limit *= 1000 {
			scale /= 1000
		}
		v.Mul(v, big.NewRat(scale, 1))
		q, r := new(big.Int).QuoRem(new(big.Int).Quo(v.Num(), v.Denom()), big.NewInt(1e9), new(big.Int))
		if !q.IsInt64() {
			return 0, nil, false
		}
		s, n = q.Int64(), int(r.Int64())
	}
	if s < 0 || s > math.MaxUint32 {
		return 0, nil, false
	}
	if n != 0 {
		u := uint32(n)
		ns = &u
	}
	return uint32(s), ns, true
}
