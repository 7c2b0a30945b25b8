package formats

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flushline/flushline/option"
	"github.com/flushline/flushline/protocol"
)

// Options are the options of a kind that writes in several formats. It embeds them
// without a tag.
type Options struct {
	Format string `option:"format" enum:"jsonl,json,jsonarray,raw,loggroup" help:"jsonl: a JSON object a line and log. jsonarray: one JSON array of them. json: one object, and so one log. raw: the value of a log's field content as it is, one log. loggroup: the LogGroup's protobuf."`
	JSON
}

// Defaults are those of [Options]: JSON lines in custom_single.
func Defaults() Options { return Options{Format: JSONL, JSON: DefaultJSON()} }

// JSON are the options of a kind that writes JSON. It embeds them without a tag.
type JSON struct {
	Shape        string            `option:"shape" enum:"custom_single,custom_single_flatten" help:"The object that a log becomes. custom_single: {\"contents\":{...},\"tags\":{...},\"time\":N}. custom_single_flatten: contents, tags and time side by side; of those with one name the last counts, a tag before a content, the time before all."`
	TimeFormat   string            `option:"time_format" enum:"seconds,millis,nanos,rfc3339" help:"How the time of a log is written. seconds: a number since 1970, and beside it time_ns, the nanosecond part, of logs that have one. millis, nanos: numbers since 1970. rfc3339: text in UTC, with nanoseconds if the log has them."`
	TagNames     map[string]string `option:"tag_names" alias:"TagFieldsRename" help:"New names of tags, by the names that they have; host.ip is the group's source, log.topic its topic. An empty new name leaves the tag out." example:"{__hostname__: host, log.topic: \"\"}"`
	FieldNames   map[string]string `option:"field_names" alias:"ProtocolFieldsRename" help:"New names of the members contents, tags, time and time_ns. An empty new name leaves one out, but for contents." example:"{time: \"@timestamp\"}"`
	OnlyContents bool              `option:"only_contents" help:"Leaves all tags out."`
	Convert      *Convert          `option:"convert,hidden" help:"iLogtail's words for shape, tag_names and field_names."`
}

// The values of the options shape and time_format.
const (
	Single  = "custom_single"
	Flatten = "custom_single_flatten"
	Seconds = "seconds"
	Millis  = "millis"
	Nanos   = "nanos"
	RFC3339 = "rfc3339"
)

var times = map[string]protocol.JSONTime{
	Seconds: protocol.JSONSeconds, Millis: protocol.JSONMillis, Nanos: protocol.JSONNanos, RFC3339: protocol.JSONRFC3339,
}

// DefaultJSON are the defaults of [JSON].
func DefaultJSON() JSON { return JSON{Shape: Single, TimeFormat: Seconds} }

// fields are the names of members that can be changed.
var fields = []string{"contents", "tags", "time", "time_ns"}

// Problems is for the kind's Validate. allowed are the formats that it can write; none
// are all.
func (o *Options) Problems(allowed ...string) []option.Problem {
	var problems []option.Problem
	if len(allowed) > 0 && !slices.Contains(allowed, o.Format) {
		problems = append(problems, option.Errorf("format", "%s is not for this kind: use %s", o.Format, strings.Join(allowed, ", ")))
	}
	return append(problems, o.JSON.Problems()...)
}

// Problems is for the kind's Validate.
func (j *JSON) Problems() []option.Problem {
	problems := j.Convert.problems(j)
	if option.Failed(problems) {
		return problems
	}
	said := j.said()
	for _, name := range slices.Sorted(maps.Keys(said.FieldNames)) {
		switch {
		case !slices.Contains(fields, name):
			problems = append(problems, option.Errorf("field_names", "%q is none of the members: they are %s; tags are renamed by tag_names", name, strings.Join(fields, ", ")))
		case name == "contents" && said.FieldNames[name] == "":
			problems = append(problems, option.Errorf("field_names", "contents cannot be left out"))
		case said.Shape == Flatten && (name == "contents" || name == "tags"):
			problems = append(problems, option.Warnf("field_names", "%s has no effect with shape %s, which has no such member", name, Flatten))
		case name == "time_ns" && said.TimeFormat != Seconds:
			problems = append(problems, option.Warnf("field_names", "time_ns has no effect with time_format %s, which has the nanoseconds in it", said.TimeFormat))
		}
	}
	if option.Failed(problems) {
		return problems
	}
	return append(problems, said.clashes()...)
}

// clashes finds names that two members would have.
func (j *JSON) clashes() []option.Problem {
	var problems []option.Problem
	names := map[string]string{}
	for _, member := range fields {
		name, written := j.field(member)
		if !written {
			continue
		}
		if other := names[name]; other != "" {
			problems = append(problems, option.Errorf("field_names", "%s and %s would both be called %q", other, member, name))
		}
		names[name] = member
	}
	if j.Shape != Flatten {
		return problems
	}
	for _, tag := range slices.Sorted(maps.Keys(j.TagNames)) {
		if member := names[j.TagNames[tag]]; member != "" {
			problems = append(problems, option.Errorf("tag_names", "the tag %s would be called %q, which is the name of %s in an object of shape %s", tag, j.TagNames[tag], member, Flatten))
		}
	}
	return problems
}

// field is what a member is called, if it is written.
func (j *JSON) field(member string) (name string, written bool) {
	inner := member == "contents" || member == "tags"
	switch {
	case inner && j.Shape == Flatten, member == "tags" && j.OnlyContents, member == "time_ns" && j.TimeFormat != Seconds:
		return "", false
	}
	name, renamed := j.FieldNames[member]
	if !renamed {
		return member, true
	}
	return name, name != ""
}

// Words are what differs from the defaults, for those who compare two entries: empty
// if nothing does.
func (j *JSON) Words() string {
	said := j.said()
	var words []string
	if said.Shape != Single {
		words = append(words, said.Shape)
	}
	if said.TimeFormat != Seconds {
		words = append(words, "time in "+said.TimeFormat)
	}
	if said.OnlyContents {
		words = append(words, "without tags")
	}
	for _, names := range []map[string]string{said.TagNames, said.FieldNames} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			words = append(words, fmt.Sprintf("%s as %q", name, names[name]))
		}
	}
	return strings.Join(words, ", ")
}

// Compile makes the shape, after Problems has found no error. unique writes no member
// twice in custom_single either, for destinations that refuse such an object.
func (j *JSON) Compile(unique bool) *protocol.JSONShape {
	said := j.said()
	o := protocol.JSONOptions{
		Flatten: said.Shape == Flatten, Unique: unique, Time: times[said.TimeFormat],
		TagNames: renamed(said.TagNames),
	}
	var tags, time, ns bool
	o.ContentsName, _ = said.field("contents")
	o.TagsName, tags = said.field("tags")
	o.TimeName, time = said.field("time")
	o.TimeNsName, ns = said.field("time_ns")
	o.NoTags = said.OnlyContents || !tags && said.Shape != Flatten
	o.NoTime, o.NoTimeNs = !time, !ns
	return protocol.NewJSONShape(o)
}
