package cmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// packer makes messages of LogGroups, each below what the server takes.
type packer struct {
	encoding protocol.Encoding
	limit    int    // bytes of a message, headers included
	larger   string // how to raise the limit
	subject  func(protocol.Key) string
	keyed    bool // the message key is <project>/<logstore>/<config>, too
}

const (
	headerRoom = 4 << 10 // kept free for headers and their framing
	largest    = 1 << 20 // protobuf of a group: up to here no reader suspects a decompression bomb
)

// pack returns the messages of one group: one, or several when it is too large.
// Parts of a group have new ids; a whole one keeps the id and the bytes of its frame.
func (k *packer) pack(p *parcel) ([]queue.Message, error) {
	values, encodings, err := k.values(p.group, p.data, p.from)
	if err != nil {
		return nil, err
	}
	ms := make([]queue.Message, len(values))
	for i, v := range values {
		id := p.id
		if len(values) > 1 {
			id = nil
		}
		ms[i] = k.message(p.key, v, encodings[i], id)
	}
	return ms, nil
}

// message holds one LogGroup; id is the one it had before, if it had one.
func (k *packer) message(key protocol.Key, value []byte, encoding protocol.Encoding, id *protocol.ID) queue.Message {
	m := queue.Message{Value: value, Key: k.messageKey(key), Subject: k.subject(key), Headers: []queue.Header{
		{Key: protocol.HeaderProject, Value: key.Project},
		{Key: protocol.HeaderLogstore, Value: key.Logstore},
		{Key: protocol.HeaderConfig, Value: key.Config},
		// Both are said even when they are the defaults: the worker's may differ.
		{Key: protocol.HeaderContentType, Value: protocol.TypeLogGroup},
		{Key: protocol.HeaderContentEncoding, Value: encoding.String()},
	}}
	if id != nil {
		m.Headers = append(m.Headers,
			queue.Header{Key: queue.HeaderOrigin, Value: queue.Origin(id.Origin).String()},
			queue.Header{Key: queue.HeaderGroups, Value: strconv.FormatUint(uint64(id.Group), 10)})
	}
	return m
}

// values encodes a group and halves it until each part fits. A single log that
// does not fit is compressed if nobody asked for another encoding. data is the group's
// protobuf if it is known.
func (k *packer) values(g *protocol.LogGroup, data []byte, from string) ([][]byte, []protocol.Encoding, error) {
	if g.Size() > largest && len(g.Logs) > 1 {
		return k.halves(g, from)
	}
	if data == nil {
		data = g.AppendMarshal(nil)
	}
	v, err := protocol.Compress(nil, data, k.encoding)
	switch {
	case err != nil:
		return nil, nil, err
	case len(v) <= k.limit-headerRoom:
		return [][]byte{v}, []protocol.Encoding{k.encoding}, nil
	case len(g.Logs) > 1:
		return k.halves(g, from)
	case k.encoding == protocol.EncodingNone:
		z := packer{encoding: protocol.EncodingZstd, limit: k.limit, larger: k.larger}
		return z.values(g, data, from)
	}
	return nil, nil, usage(fmt.Errorf("%s: a single log makes a message of %s bytes, compressed, and the broker takes %s, of which %d are for headers: %s",
		from, number(int64(len(v))), number(int64(k.limit)), headerRoom, k.larger))
}

func (k *packer) halves(g *protocol.LogGroup, from string) ([][]byte, []protocol.Encoding, error) {
	half := len(g.Logs) / 2
	left, right := *g, *g
	left.Logs, right.Logs = g.Logs[:half], g.Logs[half:]
	values, encodings, err := k.values(&left, nil, from)
	if err != nil {
		return nil, nil, err
	}
	more, moreEncodings, err := k.values(&right, nil, from)
	return append(values, more...), append(encodings, moreEncodings...), err
}

// checkKey refuses what cannot be a header, and what would be a dead letter.
func checkKey(key protocol.Key, from string) error {
	for _, part := range []struct{ flag, value string }{
		{"--project", key.Project}, {"--logstore", key.Logstore}, {"--config-name", key.Config},
	} {
		switch {
		case part.value == "":
			return usage(fmt.Errorf("%s: no %s: LogGroups are routed by project, logstore and config, give all three", from, part.flag))
		case strings.ContainsAny(part.value, "\r\n\x00"):
			return usage(fmt.Errorf("%s: %s %q holds a line break", from, part.flag, part.value))
		}
	}
	return nil
}

// messageKey keeps the messages of a key in one partition.
func (k *packer) messageKey(key protocol.Key) []byte {
	if !k.keyed {
		return nil
	}
	return joinKey(nil, '/', key)[1:]
}

// subjectOf is prefix.<project>.<logstore>.<config>.
func subjectOf(prefix string, key protocol.Key) string {
	return string(joinKey([]byte(prefix), '.', key))
}

// joinKey appends each part of a key behind a separator, percent-encoded outside
// [A-Za-z0-9_-] so that no name holds one.
func joinKey(b []byte, separator byte, key protocol.Key) []byte {
	for _, token := range [3]string{key.Project, key.Logstore, key.Config} {
		b = append(b, separator)
		for i := range len(token) {
			c := token[i]
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
				b = append(b, c)
			default:
				b = fmt.Appendf(b, "%%%02X", c)
			}
		}
	}
	return b
}
