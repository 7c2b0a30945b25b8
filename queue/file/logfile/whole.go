package logfile

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// packs is a file that was read as a whole. Positions are the indexes of its groups,
// and one behind them if something is wrong there.
type packs struct {
	groups []protocol.Group
	wrong  string // what is wrong behind the groups; empty: nothing
	rest   []byte // what could not be read
}

// readWhole hands out some groups of the file.
func (r *reader) readWhole(b *batch) error {
	if r.parsed == nil {
		if err := r.win.fill(r.in.whole + 1); err != nil {
			return err
		}
		r.parsed = r.parseWhole(r.win.have())
	}
	p := r.parsed
	switch n := int64(len(p.groups)); {
	case r.next < n:
		r.pack(b, p.groups[r.next:])
		return nil
	case r.next == n && p.wrong != "":
		r.damaged(b, n, -1, p.rest, p.wrong)
		r.next++
		return nil
	}
	r.win.use(len(r.win.have()))
	r.win.broken = "" // it was told
	return r.end(b)
}

func (r *reader) parseWhole(value []byte) *packs {
	if len(value) > r.in.whole {
		return &packs{rest: value, wrong: fmt.Sprintf("the file is read as a whole, and has more than %d bytes (limits.decompressed)", r.in.whole)}
	}
	lim := lineLimits
	lim.Decompressed = int64(r.in.whole)
	p := protocol.Payload{Value: bytes.TrimPrefix(value, []byte(byteOrderMark)), Format: r.layout.format, Time: r.modified}
	_, groups, err := p.Scan(&lim, nil)
	if err == nil {
		return &packs{groups: groups, wrong: r.win.broken}
	}
	out := &packs{rest: value, wrong: r.win.broken}
	if out.wrong == "" {
		out.wrong = err.Error()
	}
	if f := r.layout.format; f == protocol.FormatLogGroupList || f == protocol.FormatAuto {
		out.groups, out.rest = listed(value, &lim)
	}
	return out
}

// listed are the groups at the beginning of what should be a LogGroupList, as far as
// there is no doubt: each has logs that begin with their time.
func listed(b []byte, lim *protocol.Limits) (groups []protocol.Group, rest []byte) {
	const list, logs, time = 1<<3 | 2, 1<<3 | 2, 1 << 3
	for len(b) > 0 && b[0] == list {
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			break
		}
		data := b[1+n : 1+n+int(size)]
		if len(data) == 0 || data[0] != logs {
			break
		}
		if _, m := binary.Uvarint(data[1:]); m <= 0 || len(data) <= 1+m || data[1+m] != time {
			break
		}
		_, more, err := protocol.Scan(data, protocol.FormatLogGroup, protocol.EncodingNone, lim, groups)
		if err != nil {
			break
		}
		groups, b = more, b[1+n+int(size):]
	}
	return groups, b
}

// pack makes a message of the first groups. It has memory of its own.
func (r *reader) pack(b *batch, groups []protocol.Group) {
	n, size := 1, len(groups[0].Data)
	for n < len(groups) && size+len(groups[n].Data) <= packBytes {
		size += len(groups[n].Data)
		n++
	}
	at := r.next
	r.next += int64(n)
	if n == 1 {
		r.message(b, at, bytes.Clone(groups[0].Data), groupHeaders, queue.Origin{})
		return
	}
	value := make([]byte, 0, size+n*(1+binary.MaxVarintLen32))
	for i := range groups[:n] {
		value = protocol.AppendListEntry(value, groups[i].Data)
	}
	r.message(b, at, value, listHeaders, queue.Origin{})
}
