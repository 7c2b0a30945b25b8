package kafka

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/flushers/kafka/producer"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// load is a batch as records.
type load struct {
	groups   int
	messages []producer.Message
	of       []int // the group of each message
	headers  []queue.Header
	bytes    []byte // that values and keys were written to
	pieces   []piece
}

// piece is where a message's value and key lie in the bytes, which move while they grow.
type piece struct {
	value, key span
	keyed      bool
}

// span is a range of bytes: from the first to before the second.
type span [2]int

func (s span) size() int          { return s[1] - s[0] }
func (s span) of(b []byte) []byte { return b[s[0]:s[1]:s[1]] }

var loads = sync.Pool{New: func() any { return new(load) }}

// pooled is how large the bytes of a load may be that is used again.
const pooled = 4 << 20

// release lets go of everything that the load refers to.
func (l *load) release() {
	if cap(l.bytes) > pooled {
		return
	}
	clear(l.messages)
	clear(l.headers)
	*l = load{messages: l.messages[:0], of: l.of[:0], headers: l.headers[:0], bytes: l.bytes[:0], pieces: l.pieces[:0]}
	loads.Put(l)
}

// load makes the records of a batch. A message that cannot be made has its error.
func (f *Flusher) load(b *flushers.Batch) *load {
	l := loads.Get().(*load)
	l.groups = max(len(b.Groups), len(b.Raw))
	v := &protocol.TemplateVars{Key: f.key, Host: f.host}
	for i := range l.groups {
		if i < len(b.Groups) {
			v.Group = b.Groups[i]
		}
		switch {
		case f.writer.PerLog():
			f.addLogs(l, i, v)
		default:
			f.addGroup(l, i, v, b)
		}
	}
	l.place()
	return l
}

// addGroup adds the record of a group. One without logs has none, unless it is passed
// on without being decoded.
func (f *Flusher) addGroup(l *load, i int, v *protocol.TemplateVars, b *flushers.Batch) {
	v.Log = nil
	if v.Group != nil {
		if v.Log = firstLog(v.Group); v.Log == nil {
			return
		}
	}
	if f.writer.Raw() && len(b.Raw) == l.groups {
		if len(b.Raw[i]) > 0 {
			f.add(l, i, v, content{value: b.Raw[i], ids: b.IDs})
		}
		return
	}
	begin := len(l.bytes)
	l.bytes = f.writer.AppendGroup(l.bytes, v.Group)
	f.add(l, i, v, content{written: span{begin, len(l.bytes)}, ids: b.IDs})
}

func firstLog(g *protocol.LogGroup) *protocol.Log {
	for _, log := range g.Logs {
		if log != nil {
			return log
		}
	}
	return nil
}

// addLogs adds a record for each log of a group, or none: what is missing in one log
// makes a dead letter of the group, whose other logs must not be stored before.
func (f *Flusher) addLogs(l *load, i int, v *protocol.TemplateVars) {
	first, firstHeader := len(l.messages), len(l.headers)
	for _, log := range v.Group.Logs {
		if log == nil {
			continue
		}
		v.Log, v.Time = log, log.Time
		begin := len(l.bytes)
		var err error
		if l.bytes, err = f.writer.AppendLog(l.bytes, v.Group, log); err == nil {
			err = f.add(l, i, v, content{written: span{begin, len(l.bytes)}}).Err
		}
		if err != nil {
			l.messages, l.of, l.pieces, l.headers = l.messages[:first], l.of[:first], l.pieces[:first], l.headers[:firstHeader]
			l.append(i, producer.Message{Err: err}, piece{})
			return
		}
	}
}

// content is the value of a record: as it came, or as it was written.
type content struct {
	value   []byte
	written span
	ids     []protocol.ID // of groups that are passed on
}

// add adds a message, with its error if it cannot be made.
func (f *Flusher) add(l *load, i int, v *protocol.TemplateVars, c content) *producer.Message {
	m, p := producer.Message{Turn: f.turn}, piece{value: c.written}
	m.Record.Value = c.value
	m.Topic, m.Err = f.topics.Name(v)
	size, limit := len(c.value)+c.written.size(), int(f.MaxMessageBytes)
	if m.Err == nil && limit > 0 && size > limit {
		m.Err = flushers.TooLarge(fmt.Errorf("the record has %d bytes, and max_message_bytes is %d", size, limit))
	}
	if m.Err == nil {
		at := len(l.bytes)
		l.bytes, p.keyed = appendKey(l.bytes, f.fields, v)
		p.key = span{at, len(l.bytes)}
		m.Record.Headers = f.recordHeaders(l, i, v, c.ids)
	}
	l.append(i, m, p)
	return &l.messages[len(l.messages)-1]
}

func (l *load) append(i int, m producer.Message, p piece) {
	l.messages, l.of, l.pieces = append(l.messages, m), append(l.of, i), append(l.pieces, p)
}

// recordHeaders are those that all records have, and those of this one behind them.
func (f *Flusher) recordHeaders(l *load, i int, v *protocol.TemplateVars, ids []protocol.ID) []queue.Header {
	known := f.Origin && f.writer.Raw() && i < len(ids)
	if !known && len(f.filled) == 0 {
		return f.headers
	}
	at := len(l.headers)
	l.headers = f.appendHeaders(l.headers, v)
	if known {
		l.headers = append(l.headers,
			queue.Header{Key: queue.HeaderOrigin, Value: queue.Origin(ids[i].Origin).String()},
			queue.Header{Key: queue.HeaderGroups, Value: strconv.FormatUint(uint64(ids[i].Group), 10)})
	}
	return l.headers[at:len(l.headers):len(l.headers)]
}

// place lets the records refer to the bytes, which do not move any more.
func (l *load) place() {
	for i := range l.messages {
		r, p := &l.messages[i].Record, &l.pieces[i]
		if r.Value == nil {
			r.Value = p.value.of(l.bytes)
		}
		if p.keyed {
			r.Key = p.key.of(l.bytes)
		}
	}
}
