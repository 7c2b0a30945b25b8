package protocol

import (
	"fmt"
	"slices"
)

// The methods below have the names and arguments of gogofaster's generated
// code. Unlike that, Unmarshal replaces what was there, and nil elements of
// lists are left out instead of failing.

// Size is the length of what Marshal returns.
func (l *Log) Size() int {
	if l == nil {
		return 0
	}
	n := 1 + sizeUvarint(uint64(l.Time))
	for _, c := range l.Contents {
		if c != nil {
			n += sizeString(sizePair(c.Key, c.Value))
		}
	}
	for _, v := range l.Values {
		n += sizeString(len(v))
	}
	if l.TimeNs != nil {
		n += 5
	}
	return n
}

// Size is the length of the content's protobuf form.
func (c *Log_Content) Size() int {
	if c == nil {
		return 0
	}
	return sizePair(c.Key, c.Value)
}

// Size is the length of what Marshal returns.
func (t *LogTag) Size() int {
	if t == nil {
		return 0
	}
	return sizePair(t.Key, t.Value)
}

// Size is the length of what Marshal returns.
func (g *LogGroup) Size() int {
	if g == nil {
		return 0
	}
	n := sizeString(len(g.Category)) + sizeString(len(g.Topic)) +
		sizeString(len(g.Source)) + sizeString(len(g.MachineUUID))
	for _, l := range g.Logs {
		if l != nil {
			n += sizeString(l.Size())
		}
	}
	for _, t := range g.LogTags {
		if t != nil {
			n += sizeString(sizePair(t.Key, t.Value))
		}
	}
	return n
}

// Size is the length of what Marshal returns.
func (l *LogGroupList) Size() int {
	if l == nil {
		return 0
	}
	n := 0
	for _, g := range l.LogGroupList {
		if g != nil {
			n += sizeString(g.Size())
		}
	}
	return n
}

func sizePair(key, value string) int { return sizeString(len(key)) + sizeString(len(value)) }

// Marshal returns the protobuf form. The error is always nil.
func (l *Log) Marshal() ([]byte, error) { return l.AppendMarshal(nil), nil }

// Marshal returns the protobuf form. The error is always nil.
func (t *LogTag) Marshal() ([]byte, error) { return t.AppendMarshal(nil), nil }

// Marshal returns the protobuf form. The error is always nil.
func (g *LogGroup) Marshal() ([]byte, error) { return g.AppendMarshal(nil), nil }

// Marshal returns the protobuf form. The error is always nil.
func (l *LogGroupList) Marshal() ([]byte, error) { return l.AppendMarshal(nil), nil }

// AppendMarshal appends what Marshal returns.
func (l *Log) AppendMarshal(dst []byte) []byte { return appendBackwards(dst, l) }

// AppendMarshal appends what Marshal returns.
func (t *LogTag) AppendMarshal(dst []byte) []byte { return appendBackwards(dst, t) }

// AppendMarshal appends what Marshal returns.
func (g *LogGroup) AppendMarshal(dst []byte) []byte { return appendBackwards(dst, g) }

// AppendMarshal appends what Marshal returns.
func (l *LogGroupList) AppendMarshal(dst []byte) []byte { return appendBackwards(dst, l) }

// AppendListEntry appends the bytes of one LogGroup as an entry of a
// LogGroupList, untouched: appending several gives a list of them.
func AppendListEntry(dst, group []byte) []byte {
	dst = slices.Grow(dst, sizeString(len(group)))
	dst = append(dst, tagGroups)
	n := uint64(len(group))
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(append(dst, byte(n)), group...)
}

// Unmarshal replaces l by what data holds. It keeps no reference to data.
func (l *Log) Unmarshal(data []byte) error {
	g, err := unmarshalEntry("a Log", tagLogs, data)
	if err == nil {
		*l = *g.Logs[0]
	}
	return err
}

// Unmarshal replaces t by what data holds. It keeps no reference to data.
func (t *LogTag) Unmarshal(data []byte) error {
	g, err := unmarshalEntry("a LogTag", tagLogTags, data)
	if err == nil {
		*t = *g.LogTags[0]
	}
	return err
}

// Unmarshal replaces g by what data holds. It keeps no reference to data; use
// Scan and Group.Decode where a copy of data can be avoided.
func (g *LogGroup) Unmarshal(data []byte) error {
	d, err := unmarshalGroup("a LogGroup", slices.Clone(data), 0)
	if err == nil {
		*g = *d
	}
	return err
}

// Unmarshal replaces l by what data holds. It keeps no reference to data.
func (l *LogGroupList) Unmarshal(data []byte) error {
	_, groups, err := Scan(slices.Clone(data), FormatLogGroupList, EncodingNone, &unlimited, nil)
	if err != nil {
		return err
	}
	l.LogGroupList = nil
	for i := range groups {
		l.LogGroupList = append(l.LogGroupList, groups[i].Decode())
	}
	return nil
}

// unmarshalEntry decodes data as the only entry of a group.
func unmarshalEntry(what string, tag byte, data []byte) (*LogGroup, error) {
	b := make([]byte, sizeString(len(data)))
	i := putBytes(b, len(b), tag, data)
	return unmarshalGroup(what, b[i:], len(b)-len(data))
}

// unmarshalGroup decodes a group that begins shift bytes before the data an
// error has to speak of.
func unmarshalGroup(what string, b []byte, shift int) (*LogGroup, error) {
	s := scanner{b: b, lim: unlimited.orDefaults()}
	if !s.group(0, len(b)) {
		return nil, fmt.Errorf("couldn't unmarshal %s: %s", what, s.reason(shift))
	}
	s.g.Data = b
	return s.g.Decode(), nil
}
