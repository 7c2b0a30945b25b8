package logfile

import (
	"bytes"
	"path"
	"strings"

	"github.com/flushline/flushline/protocol"
)

// detectBytes is how far the beginning of a stream is looked at.
const detectBytes = 64 << 10

// detect finds out how the stream is taken apart, unless the options say it. Nothing
// is used up.
func (r *reader) detect() error {
	if r.layout = r.in.layout; r.layout.kind != unknown {
		return nil
	}
	if err := r.win.fill(detectBytes); err != nil {
		return err
	}
	begin := r.win.have()
	r.layout = look(begin[:min(len(begin), detectBytes)], r.below)
	return nil
}

// look tells a layout by the first bytes and, where they do not tell, by the name.
func look(begin []byte, name string) layout {
	switch {
	case protocol.FindFrame(begin) == 0:
		return layout{kind: frames}
	case len(begin) == 0:
		return layout{}
	}
	text := bytes.TrimPrefix(begin, []byte(byteOrderMark))
	named := byName(name)
	if l := ofJSON(text); l.kind != unknown && (named.kind == unknown || named.format != protocol.FormatText || l.kind == lines) {
		return l
	}
	switch {
	case named.kind != unknown && isText(text):
		return named
	case isProtobuf(begin[0]):
		return layout{kind: whole, format: protocol.FormatAuto}
	case protocol.FindFrame(begin) > 0: // the first one is damaged
		return layout{kind: frames}
	case isText(text) && someJSON(text):
		return layout{kind: lines, format: protocol.FormatJSON}
	}
	return named
}

// ofJSON is lines of JSON if the first line that is not empty is a value, and one
// value over many lines if it only begins one.
func ofJSON(text []byte) layout {
	body := bytes.TrimLeft(text, " \t\r\n")
	if len(body) == 0 || body[0] != '{' && body[0] != '[' {
		return layout{}
	}
	line := body[:lineEnd(body)]
	if isJSON(line) {
		return layout{kind: lines, format: protocol.FormatJSON}
	}
	second := bytes.TrimLeft(body[1:], " \t\r\n")
	switch {
	case len(second) == 0, bytes.IndexByte([]byte(`"{[]}`), second[0]) < 0:
		return layout{} // protobuf may begin like this
	case len(line) == len(body): // a long first line, or one that was cut off
		return layout{kind: lines, format: protocol.FormatJSON}
	case body[0] == '{' && len(bytes.TrimSpace(line)) > 1 && someJSON(body[len(line):]): // a bad first line
		return layout{kind: lines, format: protocol.FormatJSON}
	}
	return layout{kind: whole, format: protocol.FormatJSON}
}

func isJSON(line []byte) bool {
	_, _, err := protocol.Scan(line, protocol.FormatJSON, protocol.EncodingNone, &lineLimits, nil)
	return err == nil
}

// someJSON says that one of the first whole lines is a value by itself.
func someJSON(text []byte) bool {
	for range 16 {
		i := bytes.IndexByte(text, '\n')
		if i < 0 {
			return false
		}
		line := bytes.TrimSpace(text[:i])
		if len(line) > 1 && line[0] == '{' && isJSON(line) {
			return true
		}
		text = text[i+1:]
	}
	return false
}

// isProtobuf says whether a LogGroup, a list or a package may begin with a byte.
func isProtobuf(c byte) bool {
	switch c {
	case 0x0a, 0x10, 0x12, 0x18, 0x1a, 0x22, 0x2a, 0x32:
		return true
	}
	return false
}

// isText says that nothing looks binary. A character may be cut off at the end.
func isText(b []byte) bool { return bytes.IndexByte(b, 0) < 0 }

// byName is what the end of a name promises, without that of its compression. Numbers
// of rotated files behind it do not matter: app.log.3.gz.
func byName(name string) layout {
	base := strings.ToLower(path.Base(name))
	for _, compressed := range []string{".gz", ".gzip", ".zst", ".zstd"} {
		base = strings.TrimSuffix(base, compressed)
	}
	for ext := path.Ext(base); ext != ""; ext = path.Ext(base) {
		switch ext {
		case ".json", ".jsonl", ".ndjson":
			return layout{kind: lines, format: protocol.FormatJSON}
		case ".log", ".txt":
			return layout{kind: lines, format: protocol.FormatText}
		}
		if strings.Trim(ext, ".0123456789-") != "" {
			return layout{}
		}
		base = strings.TrimSuffix(base, ext)
	}
	return layout{}
}

// readUnknown: all of it is one piece of damage, which is not read to its end.
func (r *reader) readUnknown(b *batch) error {
	if err := r.win.fill(damageBytes); err != nil {
		return err
	}
	begin := r.win.have()
	r.win.use(len(begin))
	if r.next > 0 || len(begin) == 0 {
		return r.end(b)
	}
	why := "this is no format that is known, neither JSON lines, frames, LogGroups nor a package: say with source.file.format what it is"
	if r.win.broken != "" {
		why = r.win.broken
	}
	r.damaged(b, 0, -1, begin, why)
	r.next = max(r.slice.Size, r.win.at+1)
	return nil
}
