package worker

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// keyer finds the key of each group: headers first, then the configured rules.
type keyer struct {
	rules   KeyRules
	subject tokens
	message tokens
}

func newKeyer(r KeyRules) (*keyer, error) {
	k := &keyer{rules: r}
	var err error
	if k.subject, err = newTokens(r.Subject, "."); err != nil {
		return nil, fmt.Errorf("key subject pattern %q: %w", r.Subject, err)
	}
	if k.message, err = newTokens(r.MessageKey, "/"); err != nil {
		return nil, fmt.Errorf("key message_key pattern %q: %w", r.MessageKey, err)
	}
	return k, nil
}

// ofMessage fills what headers, subject and message key say; of a header that comes
// twice the first counts. The strings alias the message.
func (k *keyer) ofMessage(m *queue.Message) protocol.Key {
	var key protocol.Key
	for i := range m.Headers {
		h := &m.Headers[i]
		switch len(h.Key) {
		case len(protocol.HeaderProject):
			if strings.EqualFold(h.Key, protocol.HeaderProject) {
				def(&key.Project, h.Value)
			}
		case len(protocol.HeaderLogstore):
			if strings.EqualFold(h.Key, protocol.HeaderLogstore) {
				def(&key.Logstore, h.Value)
			}
		case len(protocol.HeaderConfig):
			if strings.EqualFold(h.Key, protocol.HeaderConfig) {
				def(&key.Config, h.Value)
			}
		}
	}
	if complete(&key) {
		return key
	}
	k.subject.fill(&key, m.Subject)
	if len(m.Key) > 0 {
		k.message.fill(&key, string(m.Key))
	}
	return key
}

// ofGroup fills the rest from the group and the constants, or says what is missing.
func (k *keyer) ofGroup(key protocol.Key, g *protocol.Group) (protocol.Key, error) {
	if complete(&key) {
		return key, nil
	}
	for _, f := range [3]struct {
		field *string
		tag   string
	}{{&key.Project, k.rules.Tags.Project}, {&key.Logstore, k.rules.Tags.Logstore}, {&key.Config, k.rules.Tags.Config}} {
		if *f.field == "" && f.tag != "" {
			*f.field, _ = g.Tag(f.tag)
		}
	}
	if key.Logstore == "" && k.rules.Category {
		key.Logstore = g.Category()
	}
	def(&key.Project, k.rules.Constant.Project)
	def(&key.Logstore, k.rules.Constant.Logstore)
	def(&key.Config, k.rules.Constant.Config)
	if complete(&key) {
		return key, nil
	}
	return key, missingKey(&key)
}

func complete(k *protocol.Key) bool { return k.Project != "" && k.Logstore != "" && k.Config != "" }

func missingKey(k *protocol.Key) error {
	var missing []string
	for _, f := range [3]struct{ value, header string }{
		{k.Project, protocol.HeaderProject}, {k.Logstore, protocol.HeaderLogstore}, {k.Config, protocol.HeaderConfig},
	} {
		if f.value == "" {
			missing = append(missing, f.header)
		}
	}
	return fmt.Errorf("no %s header and no rule of the source's `key` block fills it", strings.Join(missing, ", no "))
}

// tokens is a pattern such as logs.{project}.{logstore}.{config}, cut at sep.
type tokens struct {
	sep   string
	parts []token
}

type token struct {
	literal string // "*" matches any
	field   func(*protocol.Key) *string
}

func newTokens(pattern, sep string) (tokens, error) {
	t := tokens{sep: sep}
	if pattern == "" {
		return t, nil
	}
	for _, s := range strings.Split(pattern, sep) {
		tok := token{literal: s}
		switch s {
		case "{project}":
			tok.field = func(k *protocol.Key) *string { return &k.Project }
		case "{logstore}":
			tok.field = func(k *protocol.Key) *string { return &k.Logstore }
		case "{config}":
			tok.field = func(k *protocol.Key) *string { return &k.Config }
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
	if len(t.parts) == 0 || strings.Count(s, t.sep) != len(t.parts)-1 {
		return
	}
	found := *key
	for i := range t.parts {
		part, rest, _ := strings.Cut(s, t.sep)
		s = rest
		tok := &t.parts[i]
		if tok.field == nil {
			if tok.literal != "*" && tok.literal != part {
				return
			}
			continue
		}
		if strings.IndexByte(part, '%') >= 0 {
			if u, err := url.PathUnescape(part); err == nil {
				part = u
			}
		}
		def(tok.field(&found), part)
	}
	*key = found
}
