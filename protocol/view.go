package protocol

import "time"

// View is a LogGroup for people, and for JSON. Values of contents, of tags and of a
// log's values list may be private: they are there only if they were asked for, and
// else how long they are.
type View struct {
	Category string      `json:"category,omitempty"`
	Topic    string      `json:"topic,omitempty"`
	Source   string      `json:"source,omitempty"`
	Machine  string      `json:"machine,omitempty"`
	Tags     []ViewField `json:"tags,omitempty"`
	Logs     []ViewLog   `json:"logs"`
	LeftOut  int         `json:"logs_left_out,omitempty"` // logs behind those of Logs
}

// ViewLog is a log of a View.
type ViewLog struct {
	Time     time.Time   `json:"time"` // UTC
	Contents []ViewField `json:"contents,omitempty"`
	Values   []ViewValue `json:"values,omitempty"`
}

// ViewField is a content or a tag.
type ViewField struct {
	Key string `json:"key"`
	ViewValue
}

// ViewValue is a value, or how long it is. In JSON a byte of Value that is no UTF-8
// becomes U+FFFD.
type ViewValue struct {
	Bytes int     `json:"bytes"`
	Value *string `json:"value,omitempty"` // nil: it is not shown
}

// NewView shows the first logs of a group, at most so many; 0: all. It keeps the
// group's strings and no other memory of it.
func NewView(g *LogGroup, most int, contents bool) View {
	v := View{
		Category: g.Category, Topic: g.Topic, Source: g.Source, Machine: g.MachineUUID,
		Tags: make([]ViewField, 0, len(g.LogTags)),
	}
	value := func(s string) ViewValue {
		if contents {
			return ViewValue{len(s), &s}
		}
		return ViewValue{Bytes: len(s)}
	}
	for _, t := range g.LogTags {
		v.Tags = append(v.Tags, ViewField{t.Key, value(t.Value)})
	}
	logs := g.Logs
	if most > 0 && len(logs) > most {
		logs, v.LeftOut = logs[:most], len(logs)-most
	}
	v.Logs = make([]ViewLog, 0, len(logs))
	for _, l := range logs {
		shown := ViewLog{Time: time.Unix(int64(l.Time), 0).UTC()}
		if l.TimeNs != nil {
			shown.Time = shown.Time.Add(time.Duration(*l.TimeNs))
		}
		for _, c := range l.Contents {
			shown.Contents = append(shown.Contents, ViewField{c.Key, value(c.Value)})
		}
		for _, s := range l.Values {
			shown.Values = append(shown.Values, value(s))
		}
		v.Logs = append(v.Logs, shown)
	}
	return v
}
