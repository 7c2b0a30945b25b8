package flushertest

import (
	"reflect"
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
	b.defaultsHold(fields)
}

func (b *bench) fieldsAreSane(path string, fields []option.Field) {
	for i := range fields {
		f := &fields[i]
		name := path + f.Name
		if f.Help == "" && !f.Hidden {
			b.Errorf("the option %s has no help", name)
		}
		b.fieldsAreSane(name+".", f.Fields)
	}
}

// newIsFresh fails if what one instance is given shows in the next.
func (b *bench) newIsFresh() {
	one, two := reflect.ValueOf(b.kind.New()), reflect.ValueOf(b.kind.New())
	if one.Kind() == reflect.Pointer && one.Type().Elem().Size() > 0 && one.Pointer() == two.Pointer() {
		b.Error("New returns one instance twice: each lane gets one of its own")
	}
}

// defaultsHold fails if a default, written into a file as describe shows it, is
// refused.
func (b *bench) defaultsHold(fields []option.Field) {
	defaults := defaultsOf(fields)
	for name := range defaults {
		for given := range b.to.Options {
			if sameKey(name, given) {
				delete(defaults, name)
			}
		}
	}
	for _, p := range option.Decode(b.options(defaults), b.kind.New()) {
		if !p.Warning {
			b.Errorf("the options are refused with their defaults written out: %s: %s", p.Path, p.Text())
		}
	}
}

func defaultsOf(fields []option.Field) map[string]any {
	out := map[string]any{}
	for i := range fields {
		f := &fields[i]
		switch {
		case f.Type == option.TypeBlock && !f.Optional:
			if block := defaultsOf(f.Fields); len(block) > 0 {
				out[f.Name] = block
			}
		case f.Default == "", f.Type == option.TypeList, f.Type == option.TypeMap, f.Type == option.TypeAny:
		default:
			out[f.Name] = scalar(f)
		}
	}
	return out
}

// scalar is a default as a file's syntax types it.
func scalar(f *option.Field) *option.Node {
	kinds := map[string]option.NodeKind{option.TypeBool: option.Bool, option.TypeInt: option.Int, option.TypeFloat: option.Float}
	if kind, ok := kinds[f.Type]; ok {
		return &option.Node{Kind: kind, Text: f.Default}
	}
	return &option.Node{Kind: option.String, Text: f.Default}
}

func sameKey(a, b string) bool {
	fold := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	return fold(a) == fold(b)
}
