package protocol

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Template makes a name (a path, a topic, an index) out of what a log is:
//
//	{project} {logstore} {config}   the key
//	{host}                          the machine or pod that runs flushline
//	{date:2006-01-02}               the log's time in UTC, as a layout of Go's package time
//	{tag.x} {content.x}             a tag of the group, a content of the log
//	{{ }}                           braces
//
// iLogtail's %{tag.x} and %{content.x} mean the same, and its %{+yyyy.MM.dd} is a
// date, with ww for the week of ISO 8601: also of the log, where iLogtail takes the
// time of flushing. A tag that is not in the group's log tags is looked for among the log's contents as "__tag__:x", where
// iLogtail puts tags with UsingOldContentTag. Of several with one key the last
// counts. The zero Template is empty. A Template does not change; it is safe for
// concurrent use and reads and writes as text, so it can be an option.
type Template struct {
	text  string
	parts []part
}

// TemplateVars is what a template is filled from. Group and Log may be nil: what
// would come from them is missing then.
type TemplateVars struct {
	Key   Key
	Host  string
	Time  uint32 // of the log, seconds since 1970
	Group *LogGroup
	Log   *Log
}

// MissingFieldError says that a log does not have what a template needs. No
// retry helps; the log has to go elsewhere.
type MissingFieldError struct {
	Template string
	Field    string // "tag.x", "content.x"
}

func (e *MissingFieldError) Error() string {
	return fmt.Sprintf("the log has no %s, which the template %q needs", e.Field, e.Template)
}

type partKind int

const (
	partText partKind = iota
	partDate
	partWeek
	partProject
	partLogstore
	partConfig
	partHost
	partTag
	partContent
)

// part is a text, or a placeholder with the text behind its colon or dot.
type part struct {
	kind partKind
	arg  string
}

// name is how Uses and errors call a placeholder.
func (p *part) name() string {
	switch p.kind {
	case partTag, partContent:
		return partNames[p.kind] + "." + p.arg
	}
	return partNames[p.kind]
}

var partNames = [...]string{"", "date", "date", "project", "logstore", "config", "host", "tag", "content"}

// String is the text the template was compiled from.
func (t *Template) String() string {
	if t == nil {
		return ""
	}
	return t.text
}

// IsZero says that there is no template, or an empty one.
func (t *Template) IsZero() bool { return t == nil || t.text == "" }

// MarshalText returns what the template was compiled from.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.text), nil }

// UnmarshalText compiles.
func (t *Template) UnmarshalText(text []byte) error {
	c, err := CompileTemplate(string(text))
	if err == nil {
		*t = *c
	}
	return err
}

// Uses says whether the template has a placeholder: "project", "date",
// "tag.x"; "tag" and "content" stand for any of theirs.
func (t *Template) Uses(name string) bool {
	if t.IsZero() {
		return false
	}
	for i := range t.parts {
		p := &t.parts[i]
		if p.kind != partText && (p.name() == name || partNames[p.kind] == name) {
			return true
		}
	}
	return false
}

// Append appends the filled template. The error is a *MissingFieldError, and
// then dst comes back as it was.
func (t *Template) Append(dst []byte, v *TemplateVars) ([]byte, error) {
	return t.AppendSafe(dst, v, appendString)
}

func appendString(dst []byte, value string) []byte { return append(dst, value...) }

// AppendSafe is Append with every value that comes from outside (all but dates
// and the template's own text) appended by safe, which makes it harmless in a
// path or an index name.
func (t *Template) AppendSafe(dst []byte, v *TemplateVars, safe func(dst []byte, value string) []byte) ([]byte, error) {
	return t.AppendDefault(dst, v, safe, "")
}

// AppendDefault is AppendSafe with missing, unless it is empty, for every field that
// the log does not have.
func (t *Template) AppendDefault(dst []byte, v *TemplateVars, safe func(dst []byte, value string) []byte, missing string) ([]byte, error) {
	if t.IsZero() {
		return dst, nil
	}
	begin := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		if p.kind <= partWeek {
			dst = p.appendTime(dst, time.Unix(int64(v.Time), 0).UTC())
			continue
		}
		value, ok := p.value(v)
		if !ok && missing != "" {
			value, ok = missing, true
		}
		if !ok {
			return dst[:begin], &MissingFieldError{Template: t.text, Field: p.name()}
		}
		dst = safe(dst, value)
	}
	return dst, nil
}

// appendTime appends a part that no value from outside is in.
func (p *part) appendTime(dst []byte, t time.Time) []byte {
	switch p.kind {
	case partDate:
		return t.AppendFormat(dst, p.arg)
	case partWeek:
		_, week := t.ISOWeek()
		return strconv.AppendInt(dst, int64(week), 10)
	}
	return append(dst, p.arg...)
}

// Shape is the template with a date and one value for all else: for those who
// check what its own text makes of a path or a name.
func (t *Template) Shape(value string) string {
	if t.IsZero() {
		return ""
	}
	var dst []byte
	for i := range t.parts {
		if p := &t.parts[i]; p.kind <= partWeek {
			dst = p.appendTime(dst, oneMoment)
		} else {
			dst = append(dst, value...)
		}
	}
	return string(dst)
}

// Known is the template filled with what v.Key and v.Host say. each makes the text of
// what differs from log to log, and gets its placeholder: "{date:2006-01-02}", "{tag.x}".
func (t *Template) Known(v *TemplateVars, safe func(dst []byte, value string) []byte, each func(placeholder string) string) string {
	if t.IsZero() {
		return ""
	}
	var dst []byte
	for i := range t.parts {
		switch p := &t.parts[i]; p.kind {
		case partText:
			dst = append(dst, p.arg...)
		case partDate:
			dst = append(dst, each("{date:"+p.arg+"}")...)
		case partWeek, partTag, partContent:
			dst = append(dst, each("{"+p.written()+"}")...)
		default:
			value, _ := p.value(v)
			dst = safe(dst, value)
		}
	}
	return string(dst)
}

// written is a placeholder as people write it.
func (p *part) written() string {
	if p.kind == partWeek {
		return "+ww"
	}
	return p.name()
}

func (p *part) value(v *TemplateVars) (string, bool) {
	switch p.kind {
	case partProject:
		return v.Key.Project, true
	case partLogstore:
		return v.Key.Logstore, true
	case partConfig:
		return v.Key.Config, true
	case partHost:
		return v.Host, true
	case partContent:
		return v.content("", p.arg)
	}
	return v.tag(p.arg)
}

func (v *TemplateVars) tag(key string) (string, bool) {
	if v.Group != nil {
		for i := len(v.Group.LogTags) - 1; i >= 0; i-- {
			if t := v.Group.LogTags[i]; t != nil && t.Key == key {
				return t.Value, true
			}
		}
	}
	return v.content(oldTagPrefix, key)
}

const oldTagPrefix = "__tag__:"

// content finds prefix+key.
func (v *TemplateVars) content(prefix, key string) (string, bool) {
	if v.Log == nil {
		return "", false
	}
	for i := len(v.Log.Contents) - 1; i >= 0; i-- {
		c := v.Log.Contents[i]
		if c == nil || len(c.Key) != len(prefix)+len(key) {
			continue
		}
		if strings.HasPrefix(c.Key, prefix) && c.Key[len(prefix):] == key {
			return c.Value, true
		}
	}
	return "", false
}
