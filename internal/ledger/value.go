package ledger

import (
	"bytes"
	"time"

	"github.com/flushline/flushline/protocol"
)

// Value is a message of a queue, as a worker's source has it or a flusher stored it:
// a LogGroup in protobuf form or JSON lines.
type Value struct {
	Place string // where order can be seen: a stream, or a partition of a topic
	Key   *protocol.Key
	At    time.Time // when the queue stored it
	Data  []byte
}

// Value calls each for every log of a message. With a key, logs of another one are
// not intact.
func (f *Files) Value(v *Value, each func(Sighting)) {
	see := func(s Sighting) {
		s.At = v.At
		s.Intact = s.Intact && (v.Key == nil || s.Key == *v.Key)
		each(s)
	}
	if bytes.HasPrefix(v.Data, []byte("{")) {
		for raw := range bytes.Lines(v.Data) {
			see(f.Line(raw, v.Place))
		}
		return
	}
	var g protocol.LogGroup
	if g.Unmarshal(v.Data) != nil || len(g.Logs) == 0 {
		each(Sighting{File: v.Place, Unreadable: true})
		return
	}
	for _, log := range g.Logs {
		see(f.log(&g, log, v.Place))
	}
}

// KeyOf reads a key from the headers of a message; nil without them.
func KeyOf(header func(name string) string) *protocol.Key {
	k := protocol.Key{
		Project: header(protocol.HeaderProject), Logstore: header(protocol.HeaderLogstore), Config: header(protocol.HeaderConfig),
	}
	if k == (protocol.Key{}) {
		return nil
	}
	return &k
}
