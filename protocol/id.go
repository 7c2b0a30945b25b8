package protocol

import (
	"encoding/hex"
	"strconv"
)

// ID names a group for ever: where its message first entered a queue, and the
// group's index in that original message.
type ID struct {
	Origin [16]byte
	Group  uint32
}

// String is 32 hexadecimal digits, a dash and the group's index.
func (id ID) String() string { return string(id.AppendTo(nil)) }

// AppendTo appends what String returns.
func (id ID) AppendTo(b []byte) []byte {
	b = hex.AppendEncode(b, id.Origin[:])
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(id.Group), 10)
}

// AppendLog appends the id of one log: the group's id, a dash and the log's
// index in the group.
func (id ID) AppendLog(b []byte, index int) []byte {
	b = id.AppendTo(b)
	b = append(b, '-')
	return strconv.AppendInt(b, int64(index), 10)
}
