package flushertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/flushline/flushline/protocol"
)

// Record is one log as a destination holds it.
type Record struct {
	Time   time.Time         // the zero Time: the destination keeps none
	Fields map[string]string // the log's contents, "id" among them
}

// idField is the content by which a log is known again.
const idField = "id"

// Records are the logs of a group, for destinations that keep whole groups.
func Records(g *protocol.LogGroup) []Record {
	var out []Record
	for _, l := range g.Logs {
		if l != nil {
			out = append(out, Record{Time: timeOf(l), Fields: fieldsOf(l)})
		}
	}
	return out
}

// JSONLines reads logs as protocol.AppendJSONLines writes them, one a line.
func JSONLines(data []byte) ([]Record, error) {
	var out []Record
	for line := range bytes.Lines(data) {
		var l struct {
			Contents map[string]string `json:"contents"`
			Time     *int64            `json:"time"`
			TimeNs   int64             `json:"time_ns"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("couldn't read the stored line %.200q: %w", line, err)
		}
		r := Record{Fields: l.Contents}
		if l.Time != nil {
			r.Time = time.Unix(*l.Time, l.TimeNs)
		}
		out = append(out, r)
	}
	return out, nil
}

func timeOf(l *protocol.Log) time.Time {
	var ns uint32
	if l.TimeNs != nil {
		ns = *l.TimeNs
	}
	return time.Unix(int64(l.Time), int64(ns))
}

// fieldsOf are the fields of a log that every destination can keep.
func fieldsOf(l *protocol.Log) map[string]string {
	seen := map[string]int{}
	for _, c := range l.Contents {
		if c != nil {
			seen[c.Key]++
		}
	}
	out := map[string]string{}
	for _, c := range l.Contents {
		if c != nil && c.Key != "" && seen[c.Key] == 1 && utf8.ValidString(c.Key) && utf8.ValidString(c.Value) {
			out[c.Key] = c.Value
		}
	}
	return out
}

// differs says how the fields of a stored log are not what was flushed; empty:
// they are.
func differs(want, got map[string]string) string {
	for k, v := range want {
		if w, ok := got[k]; !ok {
			return fmt.Sprintf("the field %q is missing", k)
		} else if w != v {
			return fmt.Sprintf("the field %q is %.60q, want %.60q", k, w, v)
		}
	}
	return ""
}

// sameTime allows a destination to keep whole seconds or milliseconds.
func sameTime(want, got time.Time) bool {
	if got.Nanosecond() == 0 {
		return got.Unix() == want.Unix()
	}
	d := want.Sub(got)
	return -time.Millisecond < d && d < time.Millisecond
}
