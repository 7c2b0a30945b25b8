package configs

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

// pipeline looks for a whole pipeline file of iLogtail, whose flushers stand at
// the top. Where there are no routes either, one error says the shape to write.
func (l *loader) pipeline(root *option.Node) *option.Node {
	p := root.Get("flushers")
	if p == nil {
		return root
	}
	at := p.Pos
	l.secrets = append(l.secrets, p.Value) // nothing below it is decoded, which would find them
	l.errorf(at, "flushers", "write routes: [{name: all, flushers: [...]}] around them; `flushline check --example nats` prints a whole file",
		"flushers stand in a route here")
	out := *root
	out.Pairs = without(root.Pairs, p)
	if root.Get("routes") == nil {
		// That routes are missing is the same mistake.
		out.Pairs = append(out.Pairs, option.Pair{Key: "routes", Pos: at, Value: &option.Node{Kind: option.Broken, Pos: at}})
	}
	return &out
}

// ForeignKeys are those of iLogtail's pipeline files.
func (f *fileBlock) ForeignKeys() []option.ForeignKey {
	const collects = "it belongs to the collector, whose output flushline takes from a queue: remove it here"
	return []option.ForeignKey{
		{Name: "enable", Same: []string{"true"}, Why: "a configuration is used because it is named: remove the line", Refuse: true},
		{Name: "global", Why: "it belongs to the collector"},
		{Name: "version", Why: "it belongs to the collector"},
		{Name: "inputs", Why: collects, Refuse: true, Secret: true},
		{Name: "processors", Why: collects, Refuse: true, Secret: true},
		{Name: "aggregators", Why: "the groups come as the collector made them; batch of a flusher says how many are flushed at a time"},
		{Name: "extensions", Why: "there are no extensions here: remove it", Refuse: true, Secret: true},
	}
}

// detailKey holds the options of a plugin in the files that iLogtail's Go side
// reads: {"type": "flusher_http", "detail": {"RemoteURL": "..."}}.
const detailKey = "detail"

// flat is an entry with the keys of `detail` as its own.
func (l *loader) flat(n *option.Node, path string) *option.Node {
	p := n.Get(detailKey)
	if p == nil {
		return n
	}
	out := *n
	out.Pairs = without(n.Pairs, p)
	switch p.Value.Kind {
	case option.Map:
		out.Pairs = append(out.Pairs, p.Value.Pairs...)
	case option.Null, option.Broken:
	default:
		l.errorf(p.Value.Pos, path+"."+detailKey, "write the options below it, or directly in the entry", "detail wants a block of keys")
	}
	return &out
}

// without is a copy of pairs that lacks p, one of them.
func without(pairs []option.Pair, p *option.Pair) []option.Pair {
	var rest []option.Pair
	for i := range pairs {
		if &pairs[i] != p {
			rest = append(rest, pairs[i])
		}
	}
	return rest
}

// kind finds what `type` names, also in iLogtail's spelling; nil if it cannot be
// used, which is reported.
func (l *loader) kind(n *option.Node, path string) *flushers.Kind {
	p := n.Get("type")
	if p == nil || p.Value.Text == "" {
		return nil // decoding says so
	}
	name := KindName(p.Value.Text)
	kind := l.kinds.Find(name)
	if kind == nil {
		l.unknownKind(p.Value, path, name)
		return nil
	}
	if !kind.Available() {
		l.errorf(p.Value.Pos, path, "", "the flusher type %s runs on %s only; this is %s",
			kind.Name, strings.Join(kind.OS, " and "), runtime.GOOS)
	}
	if kind.New == nil {
		return nil // its options are known only where it runs
	}
	return kind
}

// KindName is the kind that a type names, also as iLogtail writes it:
// flusher_http/ID#priority.
func KindName(written string) string {
	name := strings.ToLower(written)
	if short, ok := strings.CutPrefix(name, "flusher_"); ok {
		end := strings.IndexAny(short+"/", "/#")
		return short[:end]
	}
	return name
}

// instead is what to use for flushers of iLogtail that are none here.
var instead = map[string]string{
	"sleep": "use type: blackhole with delay", "statistics": "use type: blackhole, and the metrics of the worker",
	"kafka_v2": "use type: kafka, which understands its parameters", "kafka_native": "use type: kafka",
	"pulsar": "", "clickhouse": "", "doris": "", "elasticsearch": "",
	"loki": "", "otlp": "", "prometheus": "", "grpc": "", "sls": "", "checker": "",
}

func (l *loader) unknownKind(n *option.Node, path, name string) {
	var names []string
	for _, k := range l.kinds.Kinds() {
		names = append(names, k.Name)
	}
	hint := "the types are " + strings.Join(names, ", ")
	use, known := instead[name]
	if known && strings.HasPrefix(strings.ToLower(n.Text), "flusher_") {
		if use != "" {
			hint = use
		}
		l.errorf(n.Pos, path, hint, "%s of iLogtail is not in this version", n.Text)
		return
	}
	if s := option.Suggest(name, names); s != "" {
		hint = fmt.Sprintf("did you mean %q?", s)
	}
	l.errorf(n.Pos, path, hint, "unknown flusher type %q", n.Text)
}
