package checker

import (
	"slices"
	"strings"

	"github.com/flushline/flushline/protocol"
)

// cloneGroup copies a group and its strings, which may alias a buffer that is
// reused.
func cloneGroup(g *protocol.LogGroup) *protocol.LogGroup {
	if g == nil {
		return nil
	}
	out := &protocol.LogGroup{
		Category: strings.Clone(g.Category), Topic: strings.Clone(g.Topic),
		Source: strings.Clone(g.Source), MachineUUID: strings.Clone(g.MachineUUID),
	}
	for _, t := range g.LogTags {
		if t == nil {
			continue
		}
		out.LogTags = append(out.LogTags, &protocol.LogTag{Key: strings.Clone(t.Key), Value: strings.Clone(t.Value)})
	}
	for _, l := range g.Logs {
		if l != nil {
			out.Logs = append(out.Logs, cloneLog(l))
		}
	}
	return out
}

func cloneLog(l *protocol.Log) *protocol.Log {
	out := &protocol.Log{Time: l.Time, Values: slices.Clone(l.Values)}
	for n, v := range out.Values {
		out.Values[n] = strings.Clone(v)
	}
	if l.TimeNs != nil {
		ns := *l.TimeNs
		out.TimeNs = &ns
	}
	for _, c := range l.Contents {
		if c == nil {
			continue
		}
		out.Contents = append(out.Contents, &protocol.Log_Content{Key: strings.Clone(c.Key), Value: strings.Clone(c.Value)})
	}
	return out
}
