package formats

import (
	"maps"
	"slices"

	"github.com/flushline/flushline/option"
)

// Convert is what iLogtail's flushers call the block that says how logs are written.
type Convert struct {
	Protocol             string            `option:"protocol" help:"custom_single, or custom_single_flatten and jsonline, which are shape: custom_single_flatten."`
	Encoding             string            `option:"encoding" help:"json."`
	Separator            string            `option:"separator" help:"Nothing: it belongs to the protocol raw."`
	TagFieldsRename      map[string]string `option:"tag_fields_rename" help:"tag_names."`
	ProtocolFieldsRename map[string]string `option:"protocol_fields_rename" help:"field_names."`
	OnlyContents         bool              `option:"only_contents" help:"only_contents."`
}

// FromILogtail says in a kind's docs what becomes of the block Convert.
const FromILogtail = "`Convert` is translated: its `Protocol` into `shape` (`jsonline` is `custom_single_flatten`), `TagFieldsRename` into `tag_names`, " +
	"`ProtocolFieldsRename` into `field_names`. Tags keep the names that collectors gave them unless they are renamed; iLogtail's names for them, such as " +
	"`host.name`, are understood there."

// ForeignKeys are those of the block that change nothing.
func (c *Convert) ForeignKeys() []option.ForeignKey {
	return []option.ForeignKey{
		{Name: "IgnoreUnExpectedData", Same: []string{"true"}, Why: "every log can be written in every format"},
	}
}

func (c *Convert) problems(j *JSON) []option.Problem {
	if c == nil {
		return nil
	}
	var problems []option.Problem
	add := func(path, format string, args ...any) {
		problems = append(problems, option.Errorf("convert."+path, format, args...))
	}
	switch c.Protocol {
	case "", Single, jsonLine, Flatten:
		if c.Protocol == Single && j.Shape == Flatten {
			add("protocol", "%s contradicts shape %s: remove one", c.Protocol, j.Shape)
		}
	case "raw":
		add("protocol", "raw is a format here: write format: raw and remove Convert")
	default:
		add("protocol", "%q cannot be written: use %s or %s", c.Protocol, Single, Flatten)
	}
	if c.Encoding != "" && c.Encoding != "json" {
		add("encoding", "%q cannot be written: use json; protobuf is format: loggroup", c.Encoding)
	}
	if c.Separator != "" {
		add("separator", "it belongs to the protocol raw: remove it")
	}
	if len(c.TagFieldsRename) > 0 && len(j.TagNames) > 0 {
		add("tag_fields_rename", "tag_names says it, too: remove one")
	}
	if len(c.ProtocolFieldsRename) > 0 && len(j.FieldNames) > 0 {
		add("protocol_fields_rename", "field_names says it, too: remove one")
	}
	return problems
}

const jsonLine = "jsonline"

// said is j with what Convert says.
func (j *JSON) said() JSON {
	said := *j
	if said.Convert = nil; j.Convert == nil {
		return said
	}
	c := j.Convert
	if c.Protocol == Flatten || c.Protocol == jsonLine {
		said.Shape = Flatten
	}
	if len(c.TagFieldsRename) > 0 {
		said.TagNames = c.TagFieldsRename
	}
	if len(c.ProtocolFieldsRename) > 0 {
		said.FieldNames = c.ProtocolFieldsRename
	}
	said.OnlyContents = j.OnlyContents || c.OnlyContents
	return said
}

// converted are the names that iLogtail's converter gives to tags, and whose they are.
var converted = map[string]string{
	"log.file.path":            "__path__",
	"host.name":                "__hostname__",
	"k8s.node.ip":              "_node_ip_",
	"k8s.node.name":            "_node_name_",
	"k8s.namespace.name":       "_namespace_",
	"k8s.pod.name":             "_pod_name_",
	"k8s.pod.ip":               "_pod_ip_",
	"k8s.pod.uid":              "_pod_uid_",
	"container.name":           "_container_name_",
	"k8s.container.name":       "_container_name_",
	"container.ip":             "_container_ip_",
	"k8s.container.ip":         "_container_ip_",
	"container.image.name":     "_image_name_",
	"k8s.container.image.name": "_image_name_",
}

// renamed are the new names of tags by the names that logs have: who renames
// host.name means the tag __hostname__ as well.
func renamed(names map[string]string) map[string]string {
	all := maps.Clone(names)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		collectors, known := converted[name]
		if _, said := all[collectors]; known && !said {
			all[collectors] = names[name]
		}
	}
	return all
}
