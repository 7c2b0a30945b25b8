package worker

import (
	"fmt"
	"net/url"
	"strings"
	"unsafe"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// keyer finds the key of each group. It walks the rules in their order; each fills
// what those before it left open.
type keyer struct {
	message []keyRule // the first rules, which look at nothing but the message
	group   []keyRule // the rest, asked again for each group
	missing string    // the rules in words
}

// keyRule is a KeyRule whose pattern is cut into tokens.
type keyRule struct {
	from    KeyFrom
	pattern tokens
	parts   protocol.Key
}

func newKeyer(rules []KeyRule) (*keyer, error) {
	k := &keyer{}
	var names []string
	for i := range rules {
		pattern, err := newTokens(rules[i].Pattern, rules[i].From)
		if err != nil {
			return nil, fmt.Errorf("key rule %d, pattern %q: %w", i+1, rules[i].Pattern, err)
		}
		rule := keyRule{from: rules[i].From, pattern: pattern, parts: rules[i].Parts}
		if len(k.group) == 0 && rule.from.ofMessage() {
			k.message = append(k.message, rule)
		} else {
			k.group = append(k.group, rule)
		}
		names = append(names, rules[i].String())
	}
	k.missing = strings.Join(names, ", ")
	return k, nil
}

// ofMessage fills what is the same for all groups of a message. The strings alias
// the message.
func (k *keyer) ofMessage(m *queue.Message) protocol.Key {
	var key protocol.Key
	for i := range k.message {
		k.message[i].fromMessage(&key, m)
		if complete(&key) {
			break
		}
	}
	return key
}

// ofGroup fills the rest, or says what is missing. The strings alias message and
// group.
func (k *keyer) ofGroup(key protocol.Key, m *queue.Message, g *protocol.Group) (protocol.Key, error) {
	for i := 0; i < len(k.group) && !complete(&key); i++ {
		k.group[i].fill(&key, m, g)
	}
	if complete(&key) {
		return key, nil
	}
	return key, fmt.Errorf("no %s: the source's key rules are %s", strings.Join(open(&key), ", no "), k.missing)
}

func (r *keyRule) fill(key *protocol.Key, m *queue.Message, g *protocol.Group) {
	switch r.from {
	case KeyTag:
		r.fromTags(key, g)
	case KeyCategory:
		if key.Logstore == "" {
			key.Logstore = g.Category()
		}
	case KeyConstant:
		def(&key.Project, r.parts.Project)
		def(&key.Logstore, r.parts.Logstore)
		def(&key.Config, r.parts.Config)
	default:
		r.fromMessage(key, m)
	}
}

func (r *keyRule) fromMessage(key *protocol.Key, m *queue.Message) {
	switch r.from {
	case KeyHeaders:
		fromHeaders(key, m.Headers)
	case KeySubject, KeyPath:
		r.pattern.fill(key, m.Subject)
	case KeyMessageKey:
		if len(m.Key) > 0 {
			r.pattern.fill(key, unsafe.String(&m.Key[0], len(m.Key)))
		}
	}
}

// fromHeaders takes of a header that comes twice the first.
func fromHeaders(key *protocol.Key, headers []queue.Header) {
	var own protocol.Key
	for i := range headers {
		h := &headers[i]
		switch len(h.Key) {
		case len(protocol.HeaderProject):
			if strings.EqualFold(h.Key, protocol.HeaderProject) {
				def(&own.Project, h.Value)
			}
		case len(protocol.HeaderLogstore):
			if strings.EqualFold(h.Key, protocol.HeaderLogstore) {
				def(&own.Logstore, h.Value)
			}
		case len(protocol.HeaderConfig):
			if strings.EqualFold(h.Key, protocol.HeaderConfig) {
				def(&own.Config, h.Value)
			}
		}
	}
	def(&key.Project, own.Project)
	def(&key.Logstore, own.Logstore)
	def(&key.Config, own.Config)
}

func (r *keyRule) fromTags(key *protocol.Key, g *protocol.Group) {
	for _, f := range [3]struct {
		field *string
		tag   string
	}{{&key.Project, r.parts.Project}, {&key.Logstore, r.parts.Logstore}, {&key.Config, r.parts.Config}} {
		if *f.field == "" && f.tag != "" {
			*f.field, _ = g.Tag(f.tag)
		}
	}
}

func complete(k *protocol.Key) bool { return k.Project != "" && k.Logstore != "" && k.Config != "" }

// open names the parts that nothing has filled.
func open(k *protocol.Key) (parts []string) {
	for _, f := range [3]struct{ name, value string }{
		{"project", k.Project}, {"logstore", k.Logstore}, {"config", k.Config},
	} {
		if f.value == "" {
			parts = append(parts, f.name)
		}
	}
	return parts
}

// tokens is a pattern such as logs.{project}.{logstore}.{config}, cut at sep.
type tokens struct {
	sep   string
	parts []token
	open  bool // more may follow behind the last one
}

type token struct {
	literal string // "*" matches any
	part    keyPart
	toDot   bool // the part ends at the first dot
}

// keyPart is the part of a key that a token fills. (A func that returns the field
// would move each key to the heap.)
type keyPart int

const (
	noPart keyPart = iota
	projectPart
	logstorePart
	configPart
)

func (p keyPart) of(k *protocol.Key) *string {
	switch p {
	case projectPart:
		return &k.Project
	case logstorePart:
		return &k.Logstore
	}
	return &k.Config
}

func newTokens(pattern string, from KeyFrom) (tokens, error) {
	t := tokens{sep: from.separator()}
	if pattern == "" {
		return t, nil
	}
	if before, cut := strings.CutSuffix(pattern, "/**"); cut && from == KeyPath {
		t.open = true
		pattern = before + "/*"
	}
	for _, s := range strings.Split(pattern, t.sep) {
		tok := token{literal: s}
		if from == KeyPath && strings.HasSuffix(s, "}.*") {
			s, tok.toDot = strings.TrimSuffix(s, ".*"), true
		}
		switch s {
		case "{project}":
			tok.part = projectPart
		case "{logstore}":
			tok.part = logstorePart
		case "{config}":
			tok.part = configPart
		default:
			if strings.ContainsAny(s, "{}") {
				return t, fmt.Errorf("%q is not {project}, {logstore}, {config}, * or plain text", s)
			}
		}
		t.parts = append(t.parts, tok)
	}
	return t, nil
}

// fill sets the open fields of key if s has the pattern's shape.
func (t *tokens) fill(key *protocol.Key, s string) {
	n := strings.Count(s, t.sep) + 1
	if len(t.parts) == 0 || n < len(t.parts) || n > len(t.parts) && !t.open {
		return
	}
	found := *key
	for i := range t.parts {
		part, rest, _ := strings.Cut(s, t.sep)
		s = rest
		tok := &t.parts[i]
		if tok.part == noPart {
			if tok.literal != "*" && tok.literal != part {
				return
			}
			continue
		}
		if tok.toDot {
			part, _, _ = strings.Cut(part, ".")
		}
		if strings.IndexByte(part, '%') >= 0 {
			if u, err := url.PathUnescape(part); err == nil {
				part = u
			}
		}
		def(tok.part.of(&found), part)
	}
	*key = found
}
