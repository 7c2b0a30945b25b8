package names

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Share is New once for all lanes of a process whose kind, place, template and options
// are the same: max_names bounds them together. where is what tells destinations of
// one kind apart, such as their addresses. Call release in Stop.
func Share(c flushers.Context, kind, where string, t *protocol.Template, o Options, rule Rule) (n *Namer, release func(), err error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %+v", where, t.String(), o))
	key := kind + "/names/" + hex.EncodeToString(sum[:])
	v, release, err := c.Shared(key, func() (io.Closer, error) { return New(t, o, rule), nil })
	if err != nil {
		return nil, nil, err
	}
	n, ok := v.(*Namer)
	if !ok {
		release()
		return nil, nil, fmt.Errorf("couldn't share the names of %s: another kind uses their key with a %T", kind, v)
	}
	return n, release, nil
}

// Close has nothing to close: it makes a Namer one of the values that lanes share.
func (n *Namer) Close() error { return nil }

// Problems finds what the template's own text, or what stands for missing fields, makes
// impossible as a name. name is the option that the template is.
func Problems(name string, t *protocol.Template, o Options, rule Rule) []option.Problem {
	if t.IsZero() {
		return []option.Problem{option.Errorf(name, "it is empty")}
	}
	shape := t.Shape("x")
	if err := rule.Check(shape); err != nil {
		return []option.Problem{option.Errorf(name, "%v", err)}
	}
	if len(shape) > rule.Limit {
		return []option.Problem{option.Errorf(name, "names have at most %d bytes, and the template's own text has %d", rule.Limit, len(shape))}
	}
	if o.Missing != "" && !t.Uses("tag") && !t.Uses("content") {
		return []option.Problem{option.Warnf("missing_field", "it has no effect: %s has neither a tag nor a content", name)}
	}
	return nil
}
