// Package names makes names of a destination (a topic, a subject, an index) out of
// logs by a template: safe ones, so that no value from outside reaches another name
// than a template allows, and not more than a bound.
package names

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/internal/clock"
	"github.com/flushline/flushline/protocol"
)

// Options are the options of a kind whose names come out of templates. It embeds
// them without a tag.
type Options struct {
	Missing  string `option:"missing_field" help:"What stands in a name for a tag or content that a log does not have. Without it such a log is refused, and its group is a dead letter." example:"none"`
	MaxNames int    `option:"max_names" min:"1" help:"The most names that this process makes of one template, counting those used within the last hour. The lanes that need another one wait, and nothing is dead-lettered."`
}

// Defaults are those of [Options].
func Defaults() Options { return Options{MaxNames: 1000} }

// Rule is what a destination takes as a name.
type Rule struct {
	// Safe appends a value from outside, made harmless.
	Safe func(dst []byte, value string) []byte
	// Mend changes a whole name that begins with a value from outside, for what a value
	// alone cannot know. It may be nil.
	Mend func(name []byte) []byte
	// Limit is how long a name may be, in bytes. The end of a longer one becomes a hash.
	Limit int
	// Check says why a name cannot be had. It sees the template's own text, too.
	Check func(name string) error
}

// keep is for how long a name counts after its last use.
const keep = time.Hour

// Namer makes the names of one template. It is safe for concurrent use.
type Namer struct {
	template *protocol.Template
	options  Options
	rule     Rule
	fixed    bool   // no placeholder at all
	mend     bool   // names begin with a value, and the rule mends those
	tag      bool   // uses tags
	content  bool   // uses contents
	period   uint32 // within which dates do not change; 0: none is used

	mu    sync.RWMutex
	known map[string]*name
	swept int64 // when names unused were last looked for, of package clock; 0: never
}

type name struct {
	text string
	used atomic.Int64 // of package clock
}

// New makes a Namer of a template that [Problems] has nothing against. The lanes of a
// flusher entry share one: see [Share].
func New(t *protocol.Template, o Options, rule Rule) *Namer {
	n := &Namer{
		template: t, options: o, rule: rule, known: map[string]*name{},
		tag: t.Uses("tag"), content: t.Uses("content"), period: t.Period(),
	}
	key := t.Uses("project") || t.Uses("logstore") || t.Uses("config") || t.Uses("host")
	n.fixed = !key && !n.PerLog()
	n.mend = rule.Mend != nil && !n.fixed && begin(t.Shape("x")) != begin(t.Shape("y"))
	return n
}

func begin(text string) string { return text[:min(1, len(text))] }

// Fixed is the one name of a template without placeholders.
func (n *Namer) Fixed() (string, bool) {
	if !n.fixed {
		return "", false
	}
	return n.template.Shape(""), true
}

// PerLog says that logs of one group may have different names: the template uses the
// date, a content, or a tag, which collectors may write into each log. Otherwise the
// name follows from key and host, and Name needs neither a group nor a log.
func (n *Namer) PerLog() bool { return n.tag || n.content || n.period > 0 }

// Name is the name for a log, v.Log, at v.Time. For one that is known it allocates
// nothing.
//
// Errors are classified. Permanent: the log lacks a field, or its name cannot be had.
// Misconfigured: as many names as there may be are in use.
func (n *Namer) Name(v *protocol.TemplateVars) (string, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	text, err := n.template.AppendDefault((*buf)[:0], v, n.rule.Safe, n.options.Missing)
	if err != nil {
		return "", flushers.Permanent(fmt.Errorf("couldn't name the destination: %w; missing_field can say what stands for it", err))
	}
	if n.mend {
		text = n.rule.Mend(text)
	}
	text = shorten(text, n.rule.Limit)
	*buf = text
	now := clock.Now()
	n.mu.RLock()
	known := n.known[string(text)]
	n.mu.RUnlock()
	if known != nil {
		known.used.Store(now)
		return known.text, nil
	}
	return n.add(string(text), now)
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func (n *Namer) add(text string, now int64) (string, error) {
	if err := n.rule.Check(text); err != nil {
		return "", flushers.Permanent(fmt.Errorf("couldn't name the destination: %w", err))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.known[text]
	if known == nil {
		if len(n.known) >= n.options.MaxNames && !n.sweep(now) {
			return "", flushers.Misconfigured(fmt.Errorf("couldn't use the name %q: %d others were used within the last hour, and max_names allows no more; "+
				"raise it, or mend the template %q if it makes more names than it should", text, len(n.known), n.template))
		}
		known = &name{text: text}
		n.known[text] = known
	}
	known.used.Store(now)
	return known.text, nil
}

// sweep forgets what was not used for long, and says whether there is room now. It
// looks once a second at most.
func (n *Namer) sweep(now int64) bool {
	if n.swept != 0 && time.Duration(now-n.swept) < time.Second {
		return false
	}
	n.swept = now
	for text, known := range n.known {
		if time.Duration(now-known.used.Load()) > keep {
			delete(n.known, text)
		}
	}
	return len(n.known) < n.options.MaxNames
}

// Logs appends to names the name of each log of v.Group, empty for a nil one, and says
// whether all are the same. v.Log and v.Time are set on the way. The error is that of
// the first log without a name: its group is refused as a whole, before anything of
// it was sent.
func (n *Namer) Logs(names []string, v *protocol.TemplateVars) (all []string, same bool, err error) {
	fields := n.fields(v)
	same = true
	var before *protocol.Log
	first, last := "", ""
	for _, l := range v.Group.Logs {
		if l == nil {
			names = append(names, "")
			continue
		}
		if before == nil || fields || n.period > 0 && l.Time/n.period != before.Time/n.period {
			v.Log, v.Time = l, l.Time
			if last, err = n.Name(v); err != nil {
				return names, false, err
			}
			if before == nil {
				first = last
			}
			same = same && last == first
		}
		names, before = append(names, last), l
	}
	return names, same, nil
}

// fields says that the name depends on the fields of each log of the group: on a
// content, or on a tag that the group does not have.
func (n *Namer) fields(v *protocol.TemplateVars) bool {
	if n.content || !n.tag {
		return n.content
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	group := *v
	group.Log = nil
	text, err := n.template.Append((*buf)[:0], &group)
	*buf = text
	return err != nil
}

// Locate is the name for a key, with what differs from log to log as its placeholder:
// for what a kind says of itself.
func (n *Namer) Locate(v *protocol.TemplateVars) string {
	return n.template.Known(v, n.rule.Safe, func(placeholder string) string { return placeholder })
}

// shorten keeps the beginning and a hash of the whole.
func shorten(text []byte, limit int) []byte {
	const digits = 16
	if len(text) <= limit {
		return text
	}
	sum := sha256.Sum256(text)
	text = append(text[:limit-digits-1], '-')
	return hex.AppendEncode(text, sum[:digits/2])
}
