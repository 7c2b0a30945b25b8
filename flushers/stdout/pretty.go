package stdout

import (
	"strconv"
	"strings"
	"time"

	"github.com/flushline/flushline/protocol"
)

// appendPretty appends a line for each log: time, key, fields, and in brackets
// what holds for the whole group.
func appendPretty(dst []byte, key protocol.Key, g *protocol.LogGroup) []byte {
	for _, l := range g.Logs {
		if l == nil {
			continue
		}
		dst = appendTime(dst, l)
		separator := byte(' ')
		for _, s := range [...]string{key.Project, key.Logstore, key.Config} {
			dst = appendText(append(dst, separator), s)
			separator = '/'
		}
		for _, c := range l.Contents {
			if c != nil {
				dst = appendPair(append(dst, ' '), c.Key, c.Value)
			}
		}
		for _, v := range l.Values {
			dst = append(dst, ' ')
			dst = appendText(dst, v)
		}
		dst = append(appendGroup(dst, g), '\n')
	}
	return dst
}

// appendTime appends seconds, and the fraction if the log has one.
func appendTime(dst []byte, l *protocol.Log) []byte {
	t, layout := time.Unix(int64(l.Time), 0).UTC(), "2006-01-02T15:04:05Z"
	if l.TimeNs != nil {
		t, layout = t.Add(time.Duration(*l.TimeNs)), "2006-01-02T15:04:05.000000000Z"
	}
	return t.AppendFormat(dst, layout)
}

func appendGroup(dst []byte, g *protocol.LogGroup) []byte {
	open := " ["
	add := func(k, v string) {
		if v != "" {
			dst = appendPair(append(dst, open...), k, v)
			open = " "
		}
	}
	add("topic", g.Topic)
	add("source", g.Source)
	for _, t := range g.LogTags {
		if t != nil {
			add(t.Key, t.Value)
		}
	}
	if open == " " {
		dst = append(dst, ']')
	}
	return dst
}

func appendPair(dst []byte, key, value string) []byte {
	dst = append(appendText(dst, key), '=')
	return appendText(dst, value)
}

// appendText quotes what would break the line or the terminal: spaces, quotes,
// control characters, bytes that are not UTF-8.
func appendText(dst []byte, s string) []byte {
	if s != "" && strings.IndexFunc(s, quoted) < 0 {
		return append(dst, s...)
	}
	return strconv.AppendQuote(dst, s)
}

func quoted(r rune) bool {
	return r <= ' ' || r == '"' || r == '=' || r == '[' || r == ']' || r == '\uFFFD' || !strconv.IsPrint(r)
}
