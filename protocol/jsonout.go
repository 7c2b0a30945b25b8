package protocol

import "slices"

// JSONTime is how the time of a log is written.
type JSONTime int

const (
	// JSONSeconds is a number of seconds since 1970, and beside it the nanosecond part
	// of a log that has one.
	JSONSeconds JSONTime = iota
	// JSONMillis is a number of milliseconds since 1970.
	JSONMillis
	// JSONNanos is a number of nanoseconds since 1970.
	JSONNanos
	// JSONRFC3339 is a text in UTC, "2023-11-14T22:13:20Z", and with nine digits of a
	// second for a log that has a nanosecond part.
	JSONRFC3339
)

// JSONOptions say how logs are written as JSON. The zero value is what
// [AppendJSONLog] writes.
type JSONOptions struct {
	// Flatten is iLogtail's custom_single_flatten: contents, tags and time are members
	// of one object.
	Flatten bool
	// Unique writes no member twice in custom_single either, for those who refuse such
	// an object. Without it a key that stands twice in a log is written twice.
	Unique bool
	Time   JSONTime
	// TagNames are new names of tags by the names that they have ("host.ip" is Source,
	// "log.topic" is Topic); a tag with an empty new name is left out.
	TagNames map[string]string
	NoTags   bool
	NoTime   bool
	NoTimeNs bool
	// Names of members; empty: contents, tags, time, time_ns. The first two are
	// custom_single's.
	ContentsName, TagsName, TimeName, TimeNsName string
}

// JSONShape writes logs as JSON, by append and without a map for each log. It does
// not change and is safe for concurrent use.
//
// In custom_single the contents, the tags and the time of a log are three members of
// an object; see [AppendJSONLog]. In custom_single_flatten they stand side by side:
//
//	{"level":"WARN","host.ip":"192.0.2.1","time":1700000000}
//
// Of members with one name the last counts there, as in iLogtail, and the others are
// not written: of contents or tags the last, a tag before a content, Topic and Source
// before log tags, the time before all. With TagNames or Unique that holds among the
// tags, and with Unique among the contents of custom_single, too.
type JSONShape struct {
	flatten             bool
	tags, time, ns      bool // are written
	oneTag, oneContent  bool // of a name, among tags and among contents
	format              JSONTime
	tagNames            map[string]string
	hostIP, topic       string // names of Source and Topic
	hasHostIP, hasTopic bool
	timeName, nsName    string

	open, openTags, openTime, openNs string // what stands before contents, tags, time and time_ns
	frame                            int    // bytes of these, the values of times, and what closes
}

// NewJSONShape makes a shape. TagNames must not change afterwards.
func NewJSONShape(o JSONOptions) *JSONShape {
	s := &JSONShape{
		flatten: o.Flatten,
		tags:    !o.NoTags, time: !o.NoTime, ns: !o.NoTime && !o.NoTimeNs && o.Time == JSONSeconds,
		oneTag: o.Flatten || o.Unique || len(o.TagNames) > 0, oneContent: o.Flatten || o.Unique,
		format: o.Time, tagNames: o.TagNames,
		timeName: orName(o.TimeName, "time"), nsName: orName(o.TimeNsName, "time_ns"),
	}
	s.hostIP, s.hasHostIP = s.tagName(tagHostIP)
	s.topic, s.hasTopic = s.tagName(tagLogTopic)
	s.open = "{"
	if !s.flatten {
		s.open = "{" + quoted(orName(o.ContentsName, "contents")) + ":{"
		s.openTags = quoted(orName(o.TagsName, "tags")) + ":{"
	}
	s.openTime, s.openNs = quoted(s.timeName)+":", ","+quoted(s.nsName)+":"
	s.frame = len(s.open) + len(s.openTags) + len(s.openTime) + len(`"2006-01-02T15:04:05.000000000Z"}},},`)
	if s.ns {
		s.frame += len(s.openNs) - len("2006-01-02T15:04:05Z") + len("4294967295")
	}
	return s
}

// plainJSON is what AppendJSONLog writes.
var plainJSON = NewJSONShape(JSONOptions{})

func orName(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

func quoted(name string) string { return string(AppendJSONString(nil, name)) }

// tagName is what a tag is called.
func (s *JSONShape) tagName(key string) (name string, written bool) {
	if s.tagNames == nil {
		return key, true
	}
	name, renamed := s.tagNames[key]
	if !renamed {
		return key, true
	}
	return name, name != ""
}

// AppendLog appends one log of a group as an object.
func (s *JSONShape) AppendLog(dst []byte, g *LogGroup, l *Log) []byte {
	w := jsonWriter{s: s, g: g}
	dst = w.log(dst, l)
	w.end()
	return dst
}

// AppendLines appends all logs of the groups, each with a newline behind it.
func (s *JSONShape) AppendLines(dst []byte, groups ...*LogGroup) []byte {
	return s.appendEach(dst, groups, '\n')
}

// AppendElements appends all logs of the groups, each with a comma behind it: the
// elements of an array, and one comma more.
func (s *JSONShape) AppendElements(dst []byte, groups ...*LogGroup) []byte {
	return s.appendEach(dst, groups, ',')
}

// AppendBehind appends all logs of a group, each behind what before appends for it,
// given its place in the group, and with one byte behind it.
func (s *JSONShape) AppendBehind(dst []byte, g *LogGroup, before func(dst []byte, log int) []byte, behind byte) []byte {
	dst = slices.Grow(dst, s.size(g))
	w := jsonWriter{s: s}
	w.next(g)
	for i, l := range g.Logs {
		if l != nil {
			dst = append(w.log(before(dst, i), l), behind)
		}
	}
	w.end()
	return dst
}

func (s *JSONShape) appendEach(dst []byte, groups []*LogGroup, behind byte) []byte {
	size := 0
	for _, g := range groups {
		size += s.size(g)
	}
	dst = slices.Grow(dst, size)
	w := jsonWriter{s: s}
	for _, g := range groups {
		w.next(g)
		for _, l := range g.Logs {
			if l != nil {
				dst = append(w.log(dst, l), behind)
			}
		}
	}
	w.end()
	return dst
}

// size is how many bytes a group becomes at most, unless a character has to be escaped
// or a tag gets a longer name.
func (s *JSONShape) size(g *LogGroup) (size int) {
	const member = len(`"":"",`)
	each := s.frame
	if s.tags {
		each += len(g.Source) + len(g.Topic) + len(s.hostIP) + len(s.topic) + 2*member
		for _, t := range g.LogTags {
			if t != nil {
				each += len(t.Key) + len(t.Value) + member
			}
		}
	}
	for _, l := range g.Logs {
		if l == nil {
			continue
		}
		size += each
		for _, c := range l.Contents {
			if c != nil {
				size += len(c.Key) + len(c.Value) + member
			}
		}
	}
	return size
}
