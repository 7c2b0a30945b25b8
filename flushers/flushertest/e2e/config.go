package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/flushline/flushline/flushers"
	"github.com/flushline/flushline/option"
)

const (
	flushTimeout = 8 * time.Second
	drain        = 10 * time.Second
)

// writeConfigs makes the configuration that workers run with, and one that names
// the kind as its users will, for `flushline check`.
func (r *run) writeConfigs(kind *flushers.Kind, options map[string]any) error {
	all := plain(option.FromAny(options))
	asUsed := map[string]any{"type": kind.Name, "name": "e2e"}
	if m, ok := all.(map[string]any); ok {
		for k, v := range m {
			asUsed[k] = v
		}
	}
	r.checked = filepath.Join(r.dir, "checked.json")
	if err := r.writeConfig(r.checked, asUsed); err != nil {
		return err
	}
	r.config = filepath.Join(r.dir, "flushline.json")
	return r.writeConfig(r.config, map[string]any{"type": watchedKind, "name": "e2e", "options": all})
}

func (r *run) writeConfig(file string, entry map[string]any) error {
	entry["flush_timeout"] = flushTimeout.String()
	text, err := json.MarshalIndent(map[string]any{
		"source": r.queue.Source(),
		"routes": []any{map[string]any{
			"name": "e2e", "when_blocked": "wait", "flushers": []any{entry},
		}},
		"limits":  map[string]any{"window": r.plan.Window},
		"drain":   map[string]any{"timeout": drain.String()},
		"admin":   map[string]any{"listen": "127.0.0.1:0"},
		"metrics": map[string]any{"listen": "127.0.0.1:0"},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't make a configuration: %w", err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("couldn't write a configuration: %w", err)
	}
	return nil
}

// plain is a tree as encoding/json writes it: durations and sizes as the text that
// a configuration file has.
func plain(n *option.Node) any {
	switch n.Kind {
	case option.Null:
		return nil
	case option.Bool:
		return n.Text == "true"
	case option.Int, option.Float:
		return json.Number(n.Text)
	case option.List:
		out := []any{}
		for _, item := range n.Items {
			out = append(out, plain(item))
		}
		return out
	case option.Map:
		out := map[string]any{}
		for i := range n.Pairs {
			out[n.Pairs[i].Key] = plain(n.Pairs[i].Value)
		}
		return out
	}
	return n.Text
}
