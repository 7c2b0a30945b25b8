package cmd

import (
	"fmt"
	"strings"

	"github.com/flushline/flushline/configs"
	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
	"github.com/flushline/flushline/worker"
)

// keyPart is a part of a key and where it came from.
type keyPart struct {
	Part  string `json:"part"` // project, logstore, config
	Value string `json:"value,omitempty"`
	Rule  int    `json:"rule,omitempty"` // of the source's key rules, from 1; 0: a flag, or none
	From  string `json:"from"`
}

// explainKey applies the key rules.
func explainKey(cfg *configs.Config, o *explainOptions, m *queue.Message, g *protocol.Group) (*explanation, error) {
	t, err := worker.TraceKey(cfg.Source.Key, o.key, m, g)
	if err != nil {
		return nil, err
	}
	x := &explanation{File: cfg.File, key: t.Key}
	for i, p := range []struct{ part, value, given, flag string }{
		{"project", t.Key.Project, o.key.Project, "--project"},
		{"logstore", t.Key.Logstore, o.key.Logstore, "--logstore"},
		{"config", t.Key.Config, o.key.Config, "--config-name"},
	} {
		part := keyPart{Part: p.part, Value: p.value, Rule: t.By[i]}
		switch {
		case p.given != "":
			part.From = p.flag
		case part.Rule > 0:
			part.From = fmt.Sprintf("key rule %d: %s", part.Rule, describeRule(cfg, &cfg.Source.Key[part.Rule-1]))
		default:
			part.From = fmt.Sprintf("no key rule gave it; they are %s", describeRules(cfg))
		}
		x.Key = append(x.Key, part)
	}
	if t.Missing != nil {
		x.refuse(worker.ReasonNoKey, t.Missing.Error(), ofLetters(cfg))
	}
	x.unused(cfg, o)
	return x, nil
}

// unused says which flags no key rule looks at.
func (x *explanation) unused(cfg *configs.Config, o *explainOptions) {
	for _, f := range []struct {
		given bool
		flag  string
		from  worker.KeyFrom
	}{
		{o.subject != "", "--subject", worker.KeySubject},
		{o.path != "", "--path", worker.KeyPath},
		{o.messageKey != "", "--message-key", worker.KeyMessageKey},
		{len(o.tags) > 0, "--tag", worker.KeyTag},
		{o.category != "", "--category", worker.KeyCategory},
	} {
		looked := false
		for i := range cfg.Source.Key {
			looked = looked || cfg.Source.Key[i].From == f.from
		}
		if f.given && !looked {
			x.Notes = append(x.Notes, fmt.Sprintf("%s changes nothing: the key rules are %s", f.flag, describeRules(cfg)))
		}
	}
}

func describeRules(cfg *configs.Config) string {
	var all []string
	for i := range cfg.Source.Key {
		all = append(all, describeRule(cfg, &cfg.Source.Key[i]))
	}
	return strings.Join(all, ", ")
}

// describeRule is a rule as the configuration has it.
func describeRule(cfg *configs.Config, r *worker.KeyRule) string {
	switch r.From {
	case worker.KeySubject:
		if cfg.Source.Kafka != nil {
			return "topic " + r.Pattern
		}
	case worker.KeyTag, worker.KeyConstant:
		var parts []string
		for _, p := range []struct{ name, value string }{{"project", r.Parts.Project}, {"logstore", r.Parts.Logstore}, {"config", r.Parts.Config}} {
			if p.value != "" {
				parts = append(parts, p.name+": "+p.value)
			}
		}
		return r.From.String() + " {" + strings.Join(parts, ", ") + "}"
	}
	return r.String()
}
