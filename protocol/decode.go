package protocol

import "unsafe"

// slabs are the memory of one decoded group. Contents and tags have the same
// shape and share a slab; all pointers share another, in the order logs, tags,
// contents.
type slabs struct {
	group  *LogGroup
	logs   []Log
	pairs  []Log_Content
	ptrs   []*Log_Content
	values []string
	times  []uint32
}

func (g *Group) pairs() int    { return int(g.Tags) + int(g.Contents) }
func (g *Group) pointers() int { return int(g.Logs) + g.pairs() }

// DecodedSize is how many bytes Decode allocates beside Data, the rounding of
// the allocator included.
func (g *Group) DecodedSize() int64 {
	return allocated(1, unsafe.Sizeof(LogGroup{})) +
		allocated(int(g.Logs), unsafe.Sizeof(Log{})) +
		allocated(g.pairs(), unsafe.Sizeof(Log_Content{})) +
		allocated(g.pointers(), unsafe.Sizeof((*Log)(nil))) +
		allocated(int(g.Values), unsafe.Sizeof("")) +
		allocated(int(g.TimesNs), unsafe.Sizeof(uint32(0)))
}

// allocated is what n elements cost as one allocation: size classes are at most
// an eighth apart, and above 32 KiB whole pages of 8 KiB are given.
func allocated(n int, size uintptr) int64 {
	const large, page = 32 << 10, 8 << 10
	bytes := int64(n) * int64(size)
	if bytes > large {
		return (bytes + page - 1) / page * page
	}
	return (bytes + bytes/8 + 7) &^ 7
}

// Decode is pass two. Strings of the result alias Data, so it stays alive as long
// as any of them; nothing of the result is shared with another Decode. It
// allocates at most six times, whatever the number of logs, and cannot fail.
func (g *Group) Decode() *LogGroup {
	return g.fill(slabs{
		group:  new(LogGroup),
		logs:   make([]Log, g.Logs),
		pairs:  make([]Log_Content, g.pairs()),
		ptrs:   make([]*Log_Content, g.pointers()),
		values: make([]string, g.Values),
		times:  make([]uint32, g.TimesNs),
	})
}

// fill expects zeroed slabs of exactly the counted sizes.
func (g *Group) fill(m slabs) *LogGroup {
	lg := m.group
	logs, tags := int(g.Logs), int(g.Tags)
	lg.Logs = pointersTo[Log](m.ptrs[:logs])
	lg.LogTags = pointersTo[LogTag](m.ptrs[logs : logs+tags])
	d := decoder{
		b:     g.Data,
		pairs: m.pairs[tags:], ptrs: m.ptrs[logs+tags:], values: m.values, times: m.times,
	}
	d.group(lg, m.logs, m.pairs[:tags])
	return lg
}

// pointersTo uses a part of the pointer slab for pointers of another type. The
// collector sees pointers either way.
func pointersTo[T any](ptrs []*Log_Content) []*T {
	if len(ptrs) == 0 {
		return nil
	}
	return unsafe.Slice((**T)(unsafe.Pointer(&ptrs[0])), len(ptrs))
}

// decoder walks bytes that Scan accepted: no length goes beyond its end, no
// varint is cut off, no known field has a foreign wire type. What it takes from
// the slabs it cuts off their front.
type decoder struct {
	b      []byte
	pairs  []Log_Content
	ptrs   []*Log_Content
	values []string
	times  []uint32
}

func (d *decoder) group(lg *LogGroup, logs []Log, tags []Log_Content) {
	b := d.b
	nlogs, ntags := 0, 0
	for i := 0; i < len(b); {
		tag, next := uvarint(b, i)
		if tag&7 != wireBytes || tag < tagLogs || tag > tagLogTags {
			i, _ = skip(b, next, tag, 0)
			continue
		}
		start, end := span(b, next)
		switch tag {
		case tagLogs:
			lg.Logs[nlogs] = &logs[nlogs]
			d.log(&logs[nlogs], start, end)
			nlogs++
		case tagCategory:
			lg.Category = alias(b, start, end)
		case tagTopic:
			lg.Topic = alias(b, start, end)
		case tagSource:
			lg.Source = alias(b, start, end)
		case tagMachineUUID:
			lg.MachineUUID = alias(b, start, end)
		case tagLogTags:
			lg.LogTags[ntags] = (*LogTag)(&tags[ntags])
			setPair(&tags[ntags], b, start, end)
			ntags++
		}
		i = end
	}
}

func (d *decoder) log(l *Log, i, end int) {
	b := d.b[:end]
	contents, values := 0, 0
	for i < len(b) {
		tag, next := uvarint(b, i)
		switch tag {
		case tagContents:
			start, stop := span(b, next)
			c := &d.pairs[contents]
			d.ptrs[contents] = c
			setPair(c, b, start, stop)
			contents++
			i = stop
		case tagTime:
			var v uint64
			v, i = uvarint(b, next)
			l.Time = uint32(v)
		case tagValues:
			start, stop := span(b, next)
			d.values[values] = alias(b, start, stop)
			values++
			i = stop
		case tagTimeNs:
			if l.TimeNs == nil {
				l.TimeNs, d.times = &d.times[0], d.times[1:]
			}
			*l.TimeNs = le32(b, next)
			i = next + 4
		default:
			i, _ = skip(b, next, tag, 0)
		}
	}
	if contents > 0 {
		l.Contents = d.ptrs[:contents:contents]
		d.ptrs, d.pairs = d.ptrs[contents:], d.pairs[contents:]
	}
	if values > 0 {
		l.Values = d.values[:values:values]
		d.values = d.values[values:]
	}
}

func setPair(c *Log_Content, b []byte, i, end int) {
	if p := b[i:end]; plainPair(p) {
		v := int(p[1]) + 2
		c.Key, c.Value = alias(p, 2, v), alias(p, v+2, len(p))
		return
	}
	setPairSlow(c, b[:end], i)
}

func setPairSlow(c *Log_Content, b []byte, i int) {
	for i < len(b) {
		tag, next := uvarint(b, i)
		if tag != tagKey && tag != tagValue {
			i, _ = skip(b, next, tag, 0)
			continue
		}
		start, stop := span(b, next)
		if tag == tagKey {
			c.Key = alias(b, start, stop)
		} else {
			c.Value = alias(b, start, stop)
		}
		i = stop
	}
}
