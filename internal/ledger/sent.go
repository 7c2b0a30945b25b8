package ledger

import "github.com/flushline/flushline/protocol"

// FieldID is the content that holds the id of a log.
const FieldID = fieldID

// Sent is the log that an id names, as Produce publishes it with this load, and
// its group. ok is false if the text is no id of this run. Whether the group was
// ever tried is in the [Book].
func (l *Load) Sent(text string) (id ID, g *protocol.LogGroup, log *protocol.Log, ok bool) {
	if id, ok = parseID(l.Run, text); !ok || id.Log >= l.logs(id.Group) {
		return id, nil, nil, false
	}
	g = l.group(id.Group)
	return id, g, g.Logs[id.Log], true
}
