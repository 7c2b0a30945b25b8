package flushertest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/flushline/flushline/protocol"
)

// sample is a group to flush, and what the suite knows of it. Its group is never
// given away: each Flush gets memory of its own.
type sample struct {
	id     protocol.ID
	group  *protocol.LogGroup
	logs   []string                   // the ids of its logs
	damage func(g *protocol.LogGroup) // done to what Flush gets, where protobuf has no form for it
}

// maker makes samples whose logs are known by an id that nobody else uses.
type maker struct {
	run string
	n   uint32
}

func newMaker() *maker {
	var b [6]byte
	_, _ = rand.Read(b[:])
	return &maker{run: "flushertest-" + hex.EncodeToString(b[:])}
}

// firstTime is in 2001, far from now.
const firstTime = 1_000_000_000

// group makes a sample of some logs; shape may change each.
func (m *maker) group(logs int, shape ...func(*protocol.LogGroup)) *sample {
	m.n++
	s := &sample{id: protocol.ID{Group: m.n}, group: &protocol.LogGroup{
		Category: "store", Topic: "topic", Source: "192.0.2.7", MachineUUID: "machine",
		LogTags: []*protocol.LogTag{{Key: "host", Value: "web-1"}, {Key: "env", Value: "test"}},
	}}
	copy(s.id.Origin[:], m.run[len(m.run)-12:])
	for i := range logs {
		name := fmt.Sprintf("%s-%d-%d", m.run, m.n, i)
		s.logs = append(s.logs, name)
		s.group.Logs = append(s.group.Logs, &protocol.Log{Time: firstTime + 100*m.n + uint32(i), Contents: []*protocol.Log_Content{
			{Key: idField, Value: name},
			{Key: "level", Value: "WARN"},
			{Key: "text", Value: "log \"" + name + "\"\nof the suite: {ü, 日本}"},
		}})
	}
	for _, f := range shape {
		f(s.group)
	}
	return s
}

// groups makes n samples of two logs.
func (m *maker) groups(n int) []*sample {
	out := make([]*sample, n)
	for i := range out {
		out[i] = m.group(2)
	}
	return out
}

// memory is what one Flush gets. As in the worker, the strings of the groups alias
// received bytes.
type memory struct {
	body   [][]byte
	groups []*protocol.LogGroup
	raw    [][]byte
	ids    []protocol.ID
	sum    [][]byte // the bytes that body and raw had
}

func lay(samples []*sample) (*memory, error) {
	m := &memory{}
	for _, s := range samples {
		data, err := s.group.Marshal()
		if err != nil {
			return nil, fmt.Errorf("couldn't make a group: %w", err)
		}
		body, found, err := protocol.Scan(bytes.Clone(data), protocol.FormatLogGroup, protocol.EncodingNone, nil, nil)
		if err != nil || len(found) != 1 {
			return nil, errors.Join(errors.New("couldn't read back a group of the suite"), err)
		}
		g := found[0].Decode()
		if s.damage != nil {
			s.damage(g)
		}
		m.body, m.groups, m.ids = append(m.body, body), append(m.groups, g), append(m.ids, s.id)
		m.raw, m.sum = append(m.raw, bytes.Clone(data)), append(m.sum, data)
	}
	return m, nil
}

// changed says what a Flush has changed of its batch, which others may be reading;
// empty: nothing.
func (m *memory) changed() string {
	for i, want := range m.sum {
		if !bytes.Equal(m.raw[i], want) {
			return fmt.Sprintf("Raw[%d]", i)
		}
		if m.groups[i] == nil {
			return fmt.Sprintf("Groups[%d]", i)
		}
		if now, err := m.groups[i].Marshal(); err != nil || !bytes.Equal(now, want) {
			return fmt.Sprintf("Groups[%d]", i)
		}
	}
	return ""
}

// overwrite is what becomes of a batch when Flush has returned.
func (m *memory) overwrite(noRetain bool) {
	for _, raw := range m.raw {
		spoil(raw)
	}
	if !noRetain {
		return // the kind may go on reading the groups
	}
	for i, g := range m.groups {
		for _, l := range g.Logs {
			if l != nil {
				overwriteLog(l)
			}
		}
		for _, t := range g.LogTags {
			if t != nil {
				*t = protocol.LogTag{Key: overwritten, Value: overwritten}
			}
		}
		g.Category, g.Topic, g.Source, g.MachineUUID = overwritten, overwritten, overwritten, overwritten
		spoil(m.body[i])
	}
}

const overwritten = "overwritten after Flush returned"

func overwriteLog(l *protocol.Log) {
	l.Time = 1
	for _, c := range l.Contents {
		if c != nil {
			*c = protocol.Log_Content{Key: overwritten, Value: overwritten}
		}
	}
}

func spoil(b []byte) {
	for i := range b {
		b[i] = '!'
	}
}
