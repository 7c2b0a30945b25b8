package flushertest

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/protocol"
)

// oddGroup is a legal group that few destinations expect.
type oddGroup struct {
	name  string
	shape func(*protocol.LogGroup)
	made  func(*protocol.LogGroup) // where protobuf has no form for it
	empty bool
}

var oddities = []oddGroup{
	{name: "no logs", shape: func(g *protocol.LogGroup) { g.Logs = nil }, empty: true},
	{name: "no tags and no texts", shape: func(g *protocol.LogGroup) { *g = protocol.LogGroup{Logs: g.Logs} }},
	{name: "an empty key", shape: field("", "value")},
	{name: "an empty value", shape: field("empty", "")},
	{name: "a key that stands twice", shape: both(field("twice", "one"), field("twice", "two"))},
	{name: "a value that is not UTF-8", shape: field("bytes", "\xff\xfe\x00\x80")},
	{name: "a key that is not UTF-8", shape: field("\xc3\x28", "value")},
	{name: "control characters", shape: field("control", "a\x00b\nc\r\n\x1b[2J\u2028\t\"\\")},
	{name: "a key like a path", shape: field("../a.b/{c}%d$'\"", "value")},
	{name: "a very long key", shape: field(strings.Repeat("k", 5000), "value")},
	{name: "a thousand fields", shape: manyFields},
	{name: "odd tags", shape: func(g *protocol.LogGroup) {
		g.LogTags = append(g.LogTags, &protocol.LogTag{}, &protocol.LogTag{Key: "host", Value: "again"}, &protocol.LogTag{Key: "\xff", Value: "\xff"})
	}},
	{name: "odd topic and source", shape: func(g *protocol.LogGroup) { g.Topic, g.Source, g.Category = "\xff\n", "\x00", "../.." }},
	{name: "nanoseconds beyond a second", shape: func(g *protocol.LogGroup) { ns := ^uint32(0); g.Logs[0].TimeNs = &ns }},
	{name: "a nil log", made: func(g *protocol.LogGroup) { g.Logs = append(g.Logs, nil) }},
	{name: "a nil content", made: func(g *protocol.LogGroup) { g.Logs[0].Contents = append(g.Logs[0].Contents, nil) }},
	{name: "a nil tag", made: func(g *protocol.LogGroup) { g.LogTags = append(g.LogTags, nil) }},
}

func field(key, value string) func(*protocol.LogGroup) {
	return func(g *protocol.LogGroup) {
		for _, l := range g.Logs {
			l.Contents = append(l.Contents, &protocol.Log_Content{Key: key, Value: value})
		}
	}
}

func both(a, b func(*protocol.LogGroup)) func(*protocol.LogGroup) {
	return func(g *protocol.LogGroup) { a(g); b(g) }
}

func manyFields(g *protocol.LogGroup) {
	for i := range 1000 {
		field(fmt.Sprint("field", i), "value")(g)
	}
}

// odd makes a sample of one oddity.
func (b *bench) odd(o *oddGroup) *sample {
	s := b.group(2)
	if o.shape != nil {
		o.shape(s.group)
	}
	if o.empty {
		s.logs = nil
	}
	s.damage = o.made
	return s
}

// oddGroups flushes each oddity alone and between two plain groups. What counts is
// that the plain ones are stored, and that the odd one is, or is refused for good.
func oddGroups(b *bench) {
	for i := range oddities {
		o := &oddities[i]
		if o.made != nil && b.kind.Raw {
			continue // bytes have no nil elements
		}
		b.step(o.name, func() { b.oddAlone(o) })
		b.step(o.name+" between plain groups", func() {
			l, odd := b.begin(), b.odd(o)
			plain := b.groups(2)
			dead := b.deliver(l, plain[0], odd, plain[1])
			if lost := without(dead, []*sample{odd}); len(lost) > 0 {
				b.Errorf("%s: a plain group beside it is refused for good", o.name)
			}
			l.mustStop()
			b.stored(o.name+": after Stop", false, without([]*sample{plain[0], odd, plain[1]}, dead)...)
		})
	}
}

func (b *bench) oddAlone(o *oddGroup) {
	l, odd := b.begin(), b.odd(o)
	dead := b.deliver(l, odd)
	if o.empty && len(dead) > 0 {
		b.Errorf("%s: a group that holds nothing to store is refused for good, want nil", o.name)
	}
	l.mustStop()
	b.stored(o.name+": after Stop", false, without([]*sample{odd}, dead)...)
	if len(dead) > 0 {
		b.Logf("%s: refused for good", o.name)
	}
}

// step names what a failure within it is about.
func (b *bench) step(name string, f func()) {
	b.Helper()
	failed := b.Failed()
	defer func() {
		if !failed && b.Failed() {
			b.Logf("the first failure is of the group with %s", name)
		}
	}()
	f()
}

func bigGroups(b *bench) {
	const mib = 1 << 20
	for _, big := range []struct {
		name  string
		batch []*sample
	}{
		{"a log of 3 MiB", []*sample{b.group(1, field("big", strings.Repeat("x", 3*mib-1024)))}},
		{"a group of 3 MiB in 3,000 logs", []*sample{b.group(3000, field("filler", strings.Repeat("y", 850)))}},
		{"1,024 groups", b.groups(1024)},
	} {
		l := b.begin()
		dead := b.deliver(l, big.batch...)
		for range dead {
			b.Logf("%s: refused for good", big.name)
		}
		plain := b.group(1)
		b.must(l, plain)
		l.becomesReady("after " + big.name)
		l.mustStop()
		b.stored(big.name, false, append(without(big.batch, dead), plain)...)
	}
}

func logTime(b *bench) {
	l := b.begin()
	ns := uint32(123_456_789)
	var batch []*sample
	for _, at := range []uint32{1, firstTime, 1_700_000_000, 2_000_000_000} {
		batch = append(batch, b.group(1, func(g *protocol.LogGroup) { g.Logs[0].Time = at }))
		batch = append(batch, b.group(1, func(g *protocol.LogGroup) { g.Logs[0].Time, g.Logs[0].TimeNs = at, &ns }))
	}
	dead := b.deliver(l, batch...)
	l.mustStop()
	batch = without(batch, dead)
	b.stored("after Stop", false, batch...)
	records, err := b.to.Stored()
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		r := &records[i]
		id := r.Fields[idField]
		if b.logs[id] == nil {
			continue
		}
		want := b.keeps(id).Time
		switch {
		case want.IsZero(): // Keeps says that none is kept
		case r.Time.IsZero():
			b.Fatalf("Record.Time is missing; if the destination keeps no time of a log, Target.Keeps says so with a zero Time")
		case !sameTime(want, r.Time):
			b.Errorf("the log %s is stored with the time %s, want its own, %s", id, r.Time.UTC(), want.UTC())
		}
	}
}
