package worker

import (
	"fmt"

	"github.com/flushline/flushline/protocol"
	"github.com/flushline/flushline/queue"
)

// KeyTrace is where the parts of one key came from.
type KeyTrace struct {
	Key protocol.Key
	// Of the parts in the order project, logstore, config: the number of the rule that
	// filled each, from 1. 0: it was given before, or is empty.
	By [3]int
	// Missing says which parts are empty, as the dead letter would; nil: none is.
	Missing error
}

// TraceKey finds the key of a group as a worker with these rules does, and which rule
// filled what. A part that is given is taken as it is. g may be nil: a group without
// tags and Category. It is for people who ask, and not for each message.
func TraceKey(rules []KeyRule, given protocol.Key, m *queue.Message, g *protocol.Group) (KeyTrace, error) {
	t := KeyTrace{Key: given}
	if g == nil {
		g = &protocol.Group{}
	}
	all, err := newKeyer(rules)
	if err != nil {
		return t, err
	}
	for i := range rules {
		one, err := newKeyer(rules[i : i+1])
		if err != nil {
			return t, fmt.Errorf("rule %d: %w", i+1, err)
		}
		before := t.Key
		for _, r := range append(one.message, one.group...) {
			r.fill(&t.Key, m, g)
		}
		for part := projectPart; part <= configPart; part++ {
			if *part.of(&before) == "" && *part.of(&t.Key) != "" {
				t.By[part-projectPart] = i + 1
			}
		}
	}
	if complete(&t.Key) {
		return t, nil
	}
	_, t.Missing = all.ofGroup(t.Key, m, g)
	return t, nil
}

// Miss is a part of a key that a pattern does not match.
type Miss struct {
	Part    string `json:"part"` // project, logstore, config
	Pattern string `json:"pattern"`
	Value   string `json:"value"`
}

// Misses lists the parts of a key that keep it from matching; none: it matches.
func (m Match) Misses(key protocol.Key) []Miss {
	var out []Miss
	for _, p := range [3]Miss{{"project", m.Project, key.Project}, {"logstore", m.Logstore, key.Logstore}, {"config", m.Config, key.Config}} {
		if !newPattern(p.Pattern).matches(p.Value) {
			out = append(out, p)
		}
	}
	return out
}
