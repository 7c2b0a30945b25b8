package cmd

import (
	"encoding/hex"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// payload are the LogGroups, or the bytes of what is none.
func (t *letterText) payload(d *letterDecoder, l *queue.Letter, f *queue.Facts) {
	t.line("\npayload of %s", counted(len(l.Value), "byte"))
	if l.Damage != nil { // nobody knows what it is
		t.bytes(l.Value)
		return
	}
	groups, err := d.groups(l, f)
	if err != nil {
		t.line("  %s", printable(err.Error()))
		t.bytes(l.Value)
		return
	}
	for i := range groups {
		t.group(&groups[i], f)
	}
	if !t.contents && len(groups) > 0 {
		t.line("\n(values are left out: --contents shows them)")
	}
}

// shownBytes are shown of any payload: enough to tell what it is.
const shownBytes = 16

func (t *letterText) bytes(b []byte) {
	shown := b
	if !t.contents && len(b) > shownBytes {
		shown = b[:shownBytes]
	}
	_, _ = t.out.WriteString(hex.Dump(shown)) // the writer keeps the error
	if n := len(b) - len(shown); n > 0 {
		t.line("(and %s: --contents shows them)", counted(n, "byte"))
	}
}

func (t *letterText) group(g *letterGroup, f *queue.Facts) {
	decoded := g.Decode()
	id := ""
	if f.HasOrigin {
		id = ", id " + protocol.ID{Origin: f.Origin, Group: g.index}.String()
	}
	t.line("\nLogGroup %d%s: %s, %s", g.index, id, counted(len(decoded.Logs), "log"), counted(len(g.Data), "byte"))
	v := protocol.NewView(decoded, 0, t.contents)
	printView(t.out, &v)
}
