package protocol

import "slices"

// Messages are written from their end to their beginning, so that the length of
// each nested message is known when it is its turn, and sizes are computed once.

type backwards interface {
	Size() int
	put(b []byte, i int) int // writes before b[i] and returns where it begins
}

func appendBackwards(dst []byte, m backwards) []byte {
	n := m.Size()
	dst = slices.Grow(dst, n)[:len(dst)+n]
	if n > 0 {
		m.put(dst, len(dst))
	}
	return dst
}

func (l *Log) put(b []byte, i int) int {
	if l.TimeNs != nil {
		ns := *l.TimeNs
		i -= 5
		b[i], b[i+1], b[i+2], b[i+3], b[i+4] = tagTimeNs, byte(ns), byte(ns>>8), byte(ns>>16), byte(ns>>24)
	}
	for _, v := range slices.Backward(l.Values) {
		i = putBytes(b, i, tagValues, v)
	}
	for _, c := range slices.Backward(l.Contents) {
		if c != nil {
			i = putPair(b, i, tagContents, c.Key, c.Value)
		}
	}
	i = putUvarint(b, i, uint64(l.Time)) - 1
	b[i] = tagTime
	return i
}

func (t *LogTag) put(b []byte, i int) int {
	i = putBytes(b, i, tagValue, t.Value)
	return putBytes(b, i, tagKey, t.Key)
}

func (g *LogGroup) put(b []byte, i int) int {
	for _, t := range slices.Backward(g.LogTags) {
		if t != nil {
			i = putPair(b, i, tagLogTags, t.Key, t.Value)
		}
	}
	i = putBytes(b, i, tagMachineUUID, g.MachineUUID)
	i = putBytes(b, i, tagSource, g.Source)
	i = putBytes(b, i, tagTopic, g.Topic)
	i = putBytes(b, i, tagCategory, g.Category)
	for _, l := range slices.Backward(g.Logs) {
		if l != nil {
			i = putHead(b, l.put(b, i), tagLogs, i)
		}
	}
	return i
}

func (l *LogGroupList) put(b []byte, i int) int {
	for _, g := range slices.Backward(l.LogGroupList) {
		if g != nil {
			i = putHead(b, g.put(b, i), tagGroups, i)
		}
	}
	return i
}

func putPair(b []byte, end int, tag byte, key, value string) int {
	i := putBytes(b, end, tagValue, value)
	i = putBytes(b, i, tagKey, key)
	return putHead(b, i, tag, end)
}

func putBytes[T ~string | ~[]byte](b []byte, end int, tag byte, s T) int {
	i := end - len(s)
	copy(b[i:], s)
	return putHead(b, i, tag, end)
}

// putHead writes tag and length before the message b[i:end].
func putHead(b []byte, i int, tag byte, end int) int {
	i = putUvarint(b, i, uint64(end-i)) - 1
	b[i] = tag
	return i
}

func putUvarint(b []byte, i int, v uint64) int {
	if v < 0x80 {
		i--
		b[i] = byte(v)
		return i
	}
	i -= sizeUvarint(v)
	j := i
	for ; v >= 0x80; v >>= 7 {
		b[j] = byte(v) | 0x80
		j++
	}
	b[j] = byte(v)
	return i
}
