package flushertest

import (
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

func kindIsSane(b *bench) {
	k := &b.kind
	if _, err := flushers.NewRegistry(*k); err != nil {
		b.Fatal(err)
	}
	if !k.Available() {
		b.Errorf("the kind runs on %v only, so that nothing is proven here", k.OS)
	}
	if !strings.HasSuffix(k.Summary, ".") || strings.Contains(k.Summary, "\n") {
		b.Errorf("Summary is %q, want a sentence of one line", k.Summary)
	}
	if k.TestedAgainst == "" {
		b.Error("TestedAgainst is empty: what does this test run against?")
	}
	f := k.New()
	if got := f.Description(); got != k.Summary {
		b.Errorf("Description is %q, want the Summary %q", got, k.Summary)
	}
	_, batcher := f.(flushers.BatchFlusher)
	if !batcher && k.Raw {
		b.Error("the kind declares Raw without FlushBatch: Flush cannot be given bytes")
	}
	if !batcher && k.Idempotence >= flushers.PerGroup {
		b.Errorf("the kind declares idempotence %s without FlushBatch: Flush is given no IDs", k.Idempotence)
	}
	b.hintsAreSane()
}

// hintsAreSane asks as the worker does, once after Init.
func (b *bench) hintsAreSane() {
	l := b.begin()
	if got := l.f.Description(); got != b.kind.Summary {
		b.Errorf("Description after Init is %q, want the Summary %q", got, b.kind.Summary)
	}
	if c, ok := l.f.(flushers.Concurrent); ok && c.Concurrent() < 1 {
		b.Errorf("Concurrent is %d, want at least 1", c.Concurrent())
	}
	h, ok := l.f.(flushers.Hinter)
	if !ok {
		return
	}
	if hint := h.BatchHint(); hint.Groups < 0 || hint.Bytes < 0 || hint.Wait < 0 {
		b.Errorf("BatchHint is %+v: zero says that there is no wish", hint)
	}
}

// engineKeys are those of a flusher entry that are not the kind's.
var engineKeys = []string{"name", "type", "batch", "retry", "flush_timeout", "rate", "allow_enqueued"}

func optionsAreSane(b *bench) {
	f := b.kind.New()
	if err := option.Check(f); err != nil {
		b.Fatalf("the tags of the options are wrong: %v", err)
	}
	fields := option.Fields(f)
	b.fieldsAreSane("", fields)
	for _, field := range fields {
		for _, key := range engineKeys {
			if sameKey(field.Name, key) {
				b.Errorf("the option %s has a name that belongs to the worker", field.Name)
			}
		}
	}
	b.newIsFresh()
	unknown := option.Decode(b.options(map[string]any{"no_such_option_of_any_kind": "x"}), b.kind.New())
	if !option.Failed(unknown) {
		b.Error("an unknown option is taken without an error")
	}
}

func (b *bench) fieldsAreSane(path string, fields []option.Field) {
	for i := range fields {
		f := &fields[i]
		name := path + f.Name
		if f.Help == "" && !f.Hidden {
			b.Errorf("the option %s has no help", name)
		}
		if f.Required && f.Default != "" {
			b.Errorf("the option %s is required and has the default %q", name, f.Default)
		}
		b.fieldsAreSane(name+".", f.Fields)
	}
}

// newIsFresh fails if what one instance is given shows in the next.
func (b *bench) newIsFresh() {
	before := option.Fields(b.kind.New())
	for _, p := range option.Decode(b.options(nil), b.kind.New()) {
		if !p.Warning {
			b.Errorf("Target.Options are refused: %s: %s", p.Path, p.Text())
		}
	}
	for i, f := range option.Fields(b.kind.New()) {
		if f.Default != before[i].Default {
			b.Errorf("New gives the option %s the value %q that another instance was given", f.Name, f.Default)
		}
	}
}

func sameKey(a, b string) bool {
	fold := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	return fold(a) == fold(b)
}
