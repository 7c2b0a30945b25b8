package configs

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/worker"
)

// keyBlock is an element of `key` that says more than its name. Exactly one stands
// in each.
type keyBlock struct {
	Subject    string `option:"subject" help:"Pattern over the dot-separated tokens of the NATS subject." example:"logs.{project}.{logstore}.{config}"`
	Topic      string `option:"topic" help:"Pattern over the dot-separated tokens of the Kafka topic." example:"logs.{project}.{logstore}.{config}"`
	MessageKey string `option:"message_key" help:"Pattern over the slash-separated tokens of the Kafka record's key." example:"{project}/{logstore}/{config}"`
	Path       string `option:"path" help:"Pattern over the slash-separated tokens of a file's name below the root it was found under. A part followed by .* ends at the first dot; the last token may be **, which is any number of them." example:"{project}/{logstore}/*"`
	Tag        Parts  `option:"tag" help:"Names of the log tags that hold the parts of the key."`
	Constant   Parts  `option:"constant" help:"The parts of the key when nothing before gave them."`
}

// Parts is something for each part of a key.
type Parts struct {
	Project  string `option:"project" help:"For the project."`
	Logstore string `option:"logstore" help:"For the logstore."`
	Config   string `option:"config" help:"For the config."`
}

// keyWords are the elements of `key` that are a word.
var keyWords = map[string]worker.KeyRule{
	"headers":     {From: worker.KeyHeaders},
	"message_key": {From: worker.KeyMessageKey, Pattern: "{project}/{logstore}/{config}"},
	"category":    {From: worker.KeyCategory},
}

// keyPlaces are all elements of `key`, as a hint shows them.
const keyPlaces = `headers, {subject: ...} (Kafka: {topic: ...}, message_key; files: {path: ...}), {tag: {...}}, category, {constant: {...}}`

// defaultKey is where flushline's own producers put a key; frames have it as headers.
func defaultKey(queue string) []worker.KeyRule {
	if queue == "file" {
		return []worker.KeyRule{{From: worker.KeyHeaders}}
	}
	return []worker.KeyRule{
		{From: worker.KeyHeaders},
		{From: worker.KeySubject, Pattern: "logs.{project}.{logstore}.{config}"},
	}
}

// key decodes `key` of a queue's block.
func (l *loader) key(n *option.Node, at option.Pos, queue string) []worker.KeyRule {
	path := "source." + queue + ".key"
	switch {
	case n == nil:
		return defaultKey(queue)
	case n.Kind == option.Broken:
		return nil
	case n.Kind != option.List && n.Kind != option.Null:
		l.errorf(n.Pos, path, "in brackets: "+keyPlaces, "key is a list of places, which are tried in order")
		return nil
	case len(n.Items) == 0:
		l.errorf(at, path, "the places are "+keyPlaces, "key is empty: no group would have a key")
		return nil
	}
	var rules []worker.KeyRule
	for i, item := range n.Items {
		if r, ok := l.keyRule(item, fmt.Sprintf("%s[%d]", path, i), queue); ok {
			rules = append(rules, r)
		}
	}
	return rules
}

func (l *loader) keyRule(n *option.Node, path, queue string) (r worker.KeyRule, ok bool) {
	switch {
	case n.Kind == option.Broken:
		return r, false
	case n.Kind == option.Map && len(n.Pairs) == 1:
		return l.keyRuleBlock(n, path, queue)
	case n.Kind == option.Map:
		l.errorf(n.Pos, path, "give each place an element of its own, in the order to try them", "this element of key names %d places", len(n.Pairs))
		return r, false
	}
	if r, ok = keyWords[n.Text]; !ok || n.Kind != option.String {
		hint := "the places are " + keyPlaces
		if s := option.Suggest(n.Text, []string{"headers", "message_key", "category"}); s != "" {
			hint = fmt.Sprintf("did you mean %q?", s)
		}
		l.errorf(n.Pos, path, hint, "unknown place %q in key", n.Text)
		return r, false
	}
	return r, l.placeExists(n.Text, n.Pos, path, queue)
}

func (l *loader) keyRuleBlock(n *option.Node, path, queue string) (r worker.KeyRule, ok bool) {
	var b keyBlock
	if !l.decode(n, n.Pos, path, &b) {
		return r, false
	}
	name, pos := n.Pairs[0].Key, n.Pairs[0].Pos
	switch {
	case b.Subject != "":
		r = worker.KeyRule{From: worker.KeySubject, Pattern: b.Subject}
		return r, l.placeExists("subject", pos, path, queue)
	case b.Topic != "":
		r = worker.KeyRule{From: worker.KeySubject, Pattern: b.Topic}
		return r, l.placeExists("topic", pos, path, queue)
	case b.MessageKey != "":
		r = worker.KeyRule{From: worker.KeyMessageKey, Pattern: b.MessageKey}
		return r, l.placeExists("message_key", pos, path, queue)
	case b.Path != "":
		r = worker.KeyRule{From: worker.KeyPath, Pattern: b.Path}
		return r, l.placeExists("path", pos, path, queue)
	case b.Tag != Parts{}:
		return worker.KeyRule{From: worker.KeyTag, Parts: protocol.Key(b.Tag)}, true
	case b.Constant != Parts{}:
		return worker.KeyRule{From: worker.KeyConstant, Parts: protocol.Key(b.Constant)}, true
	}
	l.errorf(pos, path, "leave the element out", "%s is empty", name)
	return r, false
}

// placeExists refuses places that messages of this queue do not have: such a rule
// would never fill anything.
func (l *loader) placeExists(place string, pos option.Pos, path, queue string) bool {
	switch {
	case queue == "file" && (place == "subject" || place == "topic" || place == "message_key"):
		l.errorf(pos, path, "write path, a pattern over the name below the root", "files have no %s", place)
	case queue != "file" && place == "path":
		l.errorf(pos, path, "that is for files", "messages of a queue have no path")
	case queue == "kafka" && place == "subject":
		l.errorf(pos, path, "write topic", "Kafka records have no subject")
	case queue != "kafka" && place == "topic":
		l.errorf(pos, path, "write subject", "NATS messages have no topic")
	case queue != "kafka" && place == "message_key":
		l.errorf(pos, path, "use headers, subject, tag, category or constant", "NATS messages have no key")
	default:
		return true
	}
	return false
}

// Validate checks the patterns.
func (k *keyBlock) Validate() []option.Problem {
	var problems []option.Problem
	for _, p := range []struct{ path, pattern, plain, separator string }{
		{"subject", k.Subject, k.Subject, "."},
		{"topic", k.Topic, k.Topic, "."},
		{"message_key", k.MessageKey, k.MessageKey, "/"},
		{"path", k.Path, ofPath(k.Path), "/"},
	} {
		if err := checkPattern(p.plain, p.separator); err != nil {
			problems = append(problems, option.Errorf(p.path, "%s %q: %v", p.path, p.pattern, err))
		}
	}
	return problems
}

// ofPath is a pattern over a path without what only such a pattern may have.
func ofPath(pattern string) string {
	if before, cut := strings.CutSuffix(pattern, "/**"); cut {
		pattern = before
	}
	return strings.TrimSuffix(strings.ReplaceAll(pattern+"/", "}.*/", "}/"), "/")
}

// checkPattern reads a pattern such as "logs.{project}.{logstore}.{config}": each
// token is a part of the key, a star, or literal text.
func checkPattern(pattern, separator string) error {
	if pattern == "" {
		return nil
	}
	seen := map[string]bool{}
	for token := range strings.SplitSeq(pattern, separator) {
		name, isPart := strings.CutPrefix(token, "{")
		name, closed := strings.CutSuffix(name, "}")
		switch {
		case token == "":
			return fmt.Errorf("there is an empty token")
		case !isPart && !strings.ContainsAny(token, "{}"):
			continue
		case !isPart || !closed || strings.ContainsAny(name, "{}"):
			return fmt.Errorf("%q is neither text nor a part such as {project}: a part fills a whole token", token)
		case name != "project" && name != "logstore" && name != "config":
			return fmt.Errorf("%s is no part of a key: use {project}, {logstore} and {config}", token)
		case seen[name]:
			return fmt.Errorf("%s stands twice", token)
		}
		seen[name] = true
	}
	if len(seen) == 0 {
		return fmt.Errorf("it names no part of the key: use {project}, {logstore} and {config}")
	}
	return nil
}

// keySchema is `key` for editors: which places a queue has, decoding says.
func keySchema(at string) object {
	var words []any
	for _, w := range []string{"headers", "message_key", "category"} {
		words = append(words, w)
	}
	place := block(at+"/items/anyOf/1", option.Fields(&keyBlock{}))
	place["type"] = "object"
	place["minProperties"], place["maxProperties"] = 1, 1
	return object{"type": "array", "minItems": 1, "items": object{"anyOf": []any{object{"enum": words}, place}}}
}
